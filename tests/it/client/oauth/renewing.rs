//! Tokens that are renewed for the requests that need them.

use std::{
    error::Error as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dpop_conformance::authorization_server::{AuthorizationServer, Fault, Rotation, Settings};
use dpop_tower::{
    client::{
        ClientErrorKind, TokenSource as _,
        oauth::{
            OAuthError, RenewingTokens, TokenClient, TokenRequest, TokenSet, TokenStore,
            TokenStoreError,
        },
    },
    future::MaybeReady,
};
use futures_util::FutureExt as _;
use http::StatusCode;

use super::{client, later, request, server};

/// A store in memory, which can fail, and which shows what it has.
#[derive(Debug, Default)]
struct Shelf {
    tokens: Mutex<Option<TokenSet>>,
    saves: Mutex<Vec<String>>,
    is_broken: AtomicBool,
}

impl TokenStore for Shelf {
    fn load(&self) -> MaybeReady<Result<Option<TokenSet>, TokenStoreError>> {
        MaybeReady::ready(Ok(self.tokens.lock().unwrap().clone()))
    }

    fn save(&self, tokens: &TokenSet) -> MaybeReady<Result<(), TokenStoreError>> {
        if self.is_broken.load(Ordering::Relaxed) {
            return MaybeReady::ready(Err(TokenStoreError::new("the disk is full")));
        }
        let refresh_token = tokens.refresh_token().unwrap().as_str().to_owned();
        self.saves.lock().unwrap().push(refresh_token);
        *self.tokens.lock().unwrap() = Some(tokens.clone());
        MaybeReady::ready(Ok(()))
    }
}

/// Returns the tokens of a user who has logged in, which have expired.
fn expired(server: &AuthorizationServer, client: &TokenClient) -> TokenSet {
    let json = format!(
        r#"{{"access_token":"old","token_type":"DPoP","expires_at":1,"refresh_token":"{}","scope":"a","jkt":"{}"}}"#,
        server.refresh_token(client.thumbprint()),
        client.thumbprint(),
    );
    TokenSet::from_json(&json).unwrap()
}

fn strict() -> Settings {
    Settings {
        rotation: Rotation::Strict,
        ..Settings::default()
    }
}

/// Returns the error of the authorization server behind an error of a request.
fn cause(error: &dpop_tower::client::ClientError) -> &OAuthError {
    let source = error.source().unwrap();
    match source.downcast_ref::<Arc<OAuthError>>() {
        Some(error) => error,
        None => source.downcast_ref().unwrap(),
    }
}

#[tokio::test]
async fn many_requests_wait_for_one_renewal_and_each_may_leave() {
    let server = server(Settings::default()).await;
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    server.close_gate();
    let waiting: Vec<_> = (0..50).map(|_| tokens.token()).collect();
    let (leaving, staying) = {
        let mut waiting = waiting.into_iter();
        (waiting.by_ref().take(25).collect::<Vec<_>>(), waiting)
    };
    // The first one began the renewal, and leaves with the others.
    drop(leaving);
    server.let_through(2);
    let mut seen = Vec::new();
    for token in staying {
        seen.push(token.await.unwrap());
    }
    assert!(seen.windows(2).all(|pair| pair[0].is_clone_of(&pair[1])));
    assert_eq!(server.grants().len(), 1);
    assert!(tokens.token().await.unwrap().is_clone_of(&seen[0]));
}

#[tokio::test]
async fn nobody_waits_for_a_renewal_while_the_token_is_good() {
    let server = server(Settings::default()).await;
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    let first = tokens.token().await.unwrap();
    later(Duration::from_secs(241)).await;
    server.close_gate();
    for _ in 0..50 {
        let token = tokens.token().now_or_never().unwrap().unwrap();
        assert!(token.is_clone_of(&first));
    }
    server.let_through(1);
    // Without a request that waits, the renewal goes on by itself.
    while tokens
        .token()
        .now_or_never()
        .unwrap()
        .unwrap()
        .is_clone_of(&first)
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.grants().len(), 2);
}

#[tokio::test]
async fn a_token_is_not_used_after_its_expiry_however_long_the_server_is_out_of_reach() {
    let server = server(Settings::default()).await;
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    let first = tokens.token().await.unwrap();
    server.fail_next(Fault::Answer(
        StatusCode::SERVICE_UNAVAILABLE,
        String::new(),
    ));
    later(Duration::from_secs(296)).await;
    let error = tokens.token().await.unwrap_err();
    assert!(cause(&error).to_string().contains("503"), "{error:?}");
    later(Duration::from_secs(1)).await;
    assert!(!tokens.token().await.unwrap().is_clone_of(&first));
}

#[tokio::test]
async fn a_failure_is_the_error_of_all_who_wait_and_the_next_attempt_is_later() {
    let server = server(Settings {
        requires_nonces: false,
        ..Settings::default()
    })
    .await;
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    server.fail_next(Fault::Answer(
        StatusCode::SERVICE_UNAVAILABLE,
        String::new(),
    ));
    for _ in 0..3 {
        let error = tokens.token().await.unwrap_err();
        assert_eq!(error.kind(), ClientErrorKind::Token);
        assert!(cause(&error).to_string().contains("503"), "{error:?}");
    }
    assert_eq!(server.asked().len(), 1);
    later(Duration::from_secs(1)).await;
    tokens.token().await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_token_that_a_resource_server_rejects_right_away_does_not_cause_a_loop() {
    let server = server(Settings::default()).await;
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    let token = tokens.token().await.unwrap();
    tokens.rejected(&token);
    for _ in 0..3 {
        let error = tokens.token().await.unwrap_err();
        assert!(
            cause(&error).to_string().contains("just been issued"),
            "{error:?}"
        );
    }
    assert_eq!(server.grants().len(), 1);
    later(Duration::from_secs(10)).await;
    assert!(!tokens.token().await.unwrap().is_clone_of(&token));
}

#[tokio::test]
async fn a_rotated_refresh_token_is_saved_before_the_access_token_is_used() {
    let server = server(strict()).await;
    let client = client(&server);
    let shelf = Arc::new(Shelf::default());
    let login = expired(&server, &client);
    *shelf.tokens.lock().unwrap() = Some(login.clone());
    let tokens = RenewingTokens::stored(client.clone(), Arc::clone(&shelf)).build();
    let token = tokens.token().await.unwrap();
    assert_ne!(token.as_str(), "old");
    let saved = shelf.tokens.lock().unwrap().clone().unwrap();
    assert_eq!(saved.access_token().as_str(), token.as_str());
    assert_eq!(saved.scope(), Some("a"));
    assert_ne!(
        saved.refresh_token().unwrap().as_str(),
        login.refresh_token().unwrap().as_str()
    );

    // The next run finds a good token, and asks nobody.
    let count = server.asked().len();
    let next_run = RenewingTokens::stored(client, Arc::clone(&shelf)).build();
    assert_eq!(next_run.token().await.unwrap().as_str(), token.as_str());
    assert_eq!(server.asked().len(), count);
}

#[tokio::test]
async fn after_a_crash_between_answer_and_save_the_old_refresh_token_is_tried() {
    for (rotation, is_lost) in [(Rotation::WithGrace, false), (Rotation::Strict, true)] {
        let server = server(Settings {
            rotation,
            ..Settings::default()
        })
        .await;
        let client = client(&server);
        let shelf = Arc::new(Shelf::default());
        let login = expired(&server, &client);
        *shelf.tokens.lock().unwrap() = Some(login.clone());
        // The server answers, and the program ends before it has saved anything.
        let token = login.refresh_token().unwrap();
        client.refresh(token, &TokenRequest::new()).await.unwrap();

        let next_run = RenewingTokens::stored(client, Arc::clone(&shelf)).build();
        match next_run.token().await {
            Ok(_) => assert!(!is_lost),
            Err(error) => {
                assert!(is_lost && cause(&error).requires_login(), "{error:?}");
            }
        }
        assert_eq!(shelf.saves.lock().unwrap().len(), usize::from(!is_lost));
    }
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_refresh_token() {
    let server = server(Settings {
        rotation: Rotation::WithGrace,
        ..Settings::default()
    })
    .await;
    let client = client(&server);
    let login = expired(&server, &client);
    let tokens = RenewingTokens::refreshing(client, login).build();
    server.fail_next(Fault::Lost);
    tokens.token().await.unwrap_err();
    later(Duration::from_secs(1)).await;
    tokens.token().await.unwrap();
    let grants = server.grants();
    assert_eq!(grants.len(), 2);
    assert_eq!(
        grants[0].form["refresh_token"],
        grants[1].form["refresh_token"]
    );
}

#[tokio::test]
async fn tokens_that_cannot_be_saved_are_used_and_saved_later() {
    let server = server(strict()).await;
    let client = client(&server);
    let shelf = Arc::new(Shelf::default());
    shelf.is_broken.store(true, Ordering::Relaxed);
    let login = expired(&server, &client);
    *shelf.tokens.lock().unwrap() = Some(login.clone());
    let tokens = RenewingTokens::refreshing(client, login);
    let tokens = tokens.store(Arc::clone(&shelf)).build();
    tokens.token().await.unwrap();
    assert!(shelf.saves.lock().unwrap().is_empty());

    shelf.is_broken.store(false, Ordering::Relaxed);
    later(Duration::from_secs(300)).await;
    tokens.token().await.unwrap();
    let used: Vec<_> = server
        .grants()
        .iter()
        .map(|asked| asked.form["refresh_token"].clone())
        .collect();
    let saves = shelf.saves.lock().unwrap();
    assert_eq!((used.len(), saves.len()), (2, 2));
    // The store still had the first one, which is dead.
    assert_eq!(used[1], saves[0]);
}

#[tokio::test]
async fn two_programs_can_share_a_store() {
    let server = server(Settings {
        // So short that a stored token is not used by the other program.
        lifetime: Duration::from_secs(20),
        ..strict()
    })
    .await;
    let client = client(&server);
    let shelf = Arc::new(Shelf::default());
    *shelf.tokens.lock().unwrap() = Some(expired(&server, &client));
    for _ in 0..3 {
        // Each has its own memory, and finds in the store what the other one rotated.
        let program = RenewingTokens::stored(client.clone(), Arc::clone(&shelf)).build();
        program.token().await.unwrap();
    }
    assert_eq!(shelf.saves.lock().unwrap().len(), 3);
    let mut used: Vec<_> = server
        .grants()
        .iter()
        .map(|asked| asked.form["refresh_token"].clone())
        .collect();
    used.dedup();
    assert_eq!(used.len(), 3);
}

#[tokio::test]
async fn a_rejected_refresh_token_is_not_sent_again_until_the_user_logs_in() {
    let server = server(strict()).await;
    let client = client(&server);
    let shelf = Arc::new(Shelf::default());
    let dead = expired(&server, &client);
    let secret = dead.refresh_token().unwrap();
    client.refresh(secret, &TokenRequest::new()).await.unwrap();
    *shelf.tokens.lock().unwrap() = Some(dead);
    let count = server.grants().len();
    let tokens = RenewingTokens::stored(client.clone(), Arc::clone(&shelf)).build();
    assert!(cause(&tokens.token().await.unwrap_err()).requires_login());
    later(Duration::from_secs(1)).await;
    assert!(cause(&tokens.token().await.unwrap_err()).requires_login());
    assert_eq!(server.grants().len(), count + 1);

    *shelf.tokens.lock().unwrap() = Some(expired(&server, &client));
    later(Duration::from_secs(2)).await;
    tokens.token().await.unwrap();
}

#[tokio::test]
async fn stored_tokens_of_another_key_are_not_sent() {
    let server = server(strict()).await;
    let shelf = Arc::new(Shelf::default());
    *shelf.tokens.lock().unwrap() = Some(expired(&server, &client(&server)));
    let tokens = RenewingTokens::stored(client(&server), Arc::clone(&shelf)).build();
    let error = tokens.token().await.unwrap_err();
    assert!(
        cause(&error).to_string().contains("another key"),
        "{error:?}"
    );
    assert!(server.asked().is_empty());
}

#[test]
fn without_a_runtime_there_is_an_error_and_no_panic() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(server(strict()));
    let tokens = RenewingTokens::client_credentials(client(&server), request()).build();
    let token = tokens.token();
    let error = futures_util::FutureExt::now_or_never(token)
        .unwrap()
        .unwrap_err();
    assert_eq!(error.kind(), ClientErrorKind::Token);
    assert!(!format!("{tokens:?}").contains("eyJ"));
}
