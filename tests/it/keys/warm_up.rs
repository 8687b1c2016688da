//! Keys that are fetched ahead of need, and what a probe learns of them.

use std::sync::Arc;

use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    clock::{ManualClock, UnixTime},
    crypto::Algorithm,
    future::MaybeReady,
    test_util::TestIssuer,
    token::{
        KeyState, PresentedToken, Readiness, TokenError, TokenErrorKind, TokenVerifier,
        VerifiedToken, WarmUpError,
    },
};
use tokio::task::JoinSet;

use super::{
    ISSUER, LONGEST_PAUSE,
    server::{Page, Server, soon},
};
use crate::support::{Api, ORIGIN, URL, Verdict, router, send};

/// A program before its first request.
struct Program {
    api: Api,
    server: Server,
    config: DpopConfig,
}

fn tokens(server: &Server) -> Issuer {
    Issuer::new(ISSUER)
        .jwks_url(server.url("/jwks"))
        .audience(ORIGIN)
        .danger_allow_plain_http()
}

fn configure(tokens: Issuer, clock: &ManualClock) -> DpopConfig {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, tokens).clock(clock.clone());
    config.build().unwrap()
}

impl Program {
    async fn start() -> Self {
        let api = Api::new();
        let server = Server::start().await;
        server.put_keys(&[&api.issuer]);
        let config = configure(tokens(&server), &api.clock);
        Self {
            api,
            server,
            config,
        }
    }

    fn keys(&self) -> KeyState {
        let readiness = self.config.readiness();
        let issuers: Vec<_> = readiness.issuers().collect();
        let [(ISSUER, keys)] = issuers[..] else {
            panic!("{readiness:?}");
        };
        assert_eq!(readiness.is_ready(), keys != KeyState::Missing);
        keys
    }

    async fn present(&self) -> Verdict {
        let request = self.api.client.get(URL, &self.api.token().mint());
        Verdict::of(send(router(self.config.clone()), request).await)
    }
}

#[tokio::test]
async fn the_first_request_after_a_warm_up_waits_for_nothing() {
    let program = Program::start().await;
    assert_eq!(program.keys(), KeyState::Missing);
    assert_eq!(program.server.count(), 0, "to look costs nothing");
    program.config.warm_up().await.unwrap();
    assert_eq!(program.keys(), KeyState::Fresh);
    assert_eq!(program.server.count(), 1);
    program.server.hold(true);
    assert_eq!(soon(program.present()).await, Verdict::Admitted);
    soon(program.config.warm_up()).await.unwrap();
    assert_eq!(program.server.count(), 1);
}

#[tokio::test]
async fn readiness_says_what_is_at_hand() {
    let program = Program::start().await;
    program.config.warm_up().await.unwrap();
    for (secs, keys) in [
        (0, KeyState::Fresh),
        (299, KeyState::Fresh),
        (1, KeyState::Stale),
        (3_299, KeyState::Stale),
        (1, KeyState::Missing),
    ] {
        program.api.advance(secs);
        assert_eq!(program.keys(), keys, "{secs} s more");
    }
    assert_eq!(program.server.count(), 1);
}

/// A probe that warms up before it looks keeps the keys of an idle service fresh.
#[tokio::test]
async fn a_warm_up_refreshes_keys_that_are_due_and_does_not_wait_for_that() {
    let program = Program::start().await;
    program.config.warm_up().await.unwrap();
    program.api.advance(300);
    program.server.hold(true);
    for _ in 0..3 {
        soon(program.config.warm_up()).await.unwrap();
    }
    program.server.wait_for(2).await;
    program.server.hold(false);
    soon(async {
        while program.keys() != KeyState::Fresh {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(program.server.count(), 2);
}

#[tokio::test]
async fn a_warm_up_that_fails_names_the_issuer_and_the_reason() {
    let program = Program::start().await;
    program.server.put("/jwks", Page::Status(500));
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let config = program.config.clone();
        callers.spawn(async move { config.warm_up().await.unwrap_err() });
    }
    // In the pause that follows, the reason is the same.
    let told = format!(
        "the keys of the issuer {ISSUER} are not available: the JWK Set at {}: the answer has status 500",
        program.server.url("/jwks")
    );
    while let Some(error) = callers.join_next().await {
        assert_eq!(error.unwrap().to_string(), told);
    }
    let error = program.config.warm_up().await.unwrap_err();
    let failures: Vec<_> = error.failures().collect();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].0, ISSUER);
    assert!(failures[0].1.ends_with("the answer has status 500"));
    assert_eq!(program.server.count(), 1);
    assert_eq!(program.keys(), KeyState::Missing);

    program.server.put_keys(&[&program.api.issuer]);
    program.api.advance(LONGEST_PAUSE);
    program.config.warm_up().await.unwrap();
    assert_eq!(program.present().await, Verdict::Admitted);
    assert_eq!(program.server.count(), 2);
}

#[tokio::test]
async fn a_set_without_a_usable_key_is_a_reason_too() {
    let program = Program::start().await;
    let tokens = tokens(&program.server).algorithms([Algorithm::Ed25519]);
    let config = configure(tokens, &program.api.clock);
    let error = config.warm_up().await.unwrap_err();
    let told = "none of the keys of the issuer's JWK Set can be used";
    assert!(error.to_string().ends_with(told), "{error}");
    assert!(!config.readiness().is_ready());
}

#[test]
fn a_warm_up_without_a_runtime_fails() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let tokens = Issuer::new(ISSUER)
        .jwks_url("http://127.0.0.1:9/jwks")
        .audience(ORIGIN)
        .danger_allow_plain_http();
    let config = configure(tokens, &clock);
    let mut warm_up = Box::pin(config.warm_up());
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Err(error)) = warm_up.as_mut().poll(&mut context) else {
        panic!("nobody fetches the keys");
    };
    assert!(
        error.to_string().contains("takes a tokio runtime"),
        "{error}"
    );
}

#[tokio::test]
async fn keys_that_are_part_of_the_configuration_are_always_fresh() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let issuer = TestIssuer::new();
    let config = configure(issuer.tokens(), &clock);
    clock.advance(std::time::Duration::from_secs(1_000_000));
    config.warm_up().await.unwrap();
    let expected = Readiness::default().with(ISSUER, KeyState::Fresh);
    assert_eq!(config.readiness(), expected);
}

/// A verifier that says what it is told to say.
#[derive(Debug)]
struct Custom(Readiness);

impl TokenVerifier for Custom {
    fn verify(
        &self,
        _token: PresentedToken<'_>,
        _now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(Err(TokenErrorKind::Inactive.into()))
    }

    fn warm_up(&self) -> MaybeReady<Result<(), WarmUpError>> {
        let failed = |why| WarmUpError::new("https://a.test", why);
        let both = failed("x").and(WarmUpError::new("https://b.test", "y"));
        MaybeReady::pending(async { Err(both) })
    }

    fn readiness(&self) -> Readiness {
        self.0.clone()
    }
}

/// The same without a word about keys.
#[derive(Debug)]
struct Silent;

impl TokenVerifier for Silent {
    fn verify(
        &self,
        _token: PresentedToken<'_>,
        _now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(Err(TokenErrorKind::Inactive.into()))
    }
}

#[tokio::test]
async fn verifiers_of_ones_own_take_part() {
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let readiness = Readiness::default()
        .with("https://a.test", KeyState::Fresh)
        .and(Readiness::default().with("https://b.test", KeyState::Missing));
    let custom = Arc::new(Custom(readiness.clone()));
    let config = DpopConfig::builder(origin(), custom).build().unwrap();
    assert_eq!(config.readiness(), readiness);
    assert!(!config.readiness().is_ready());
    let error = config.warm_up().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the keys of the issuer https://a.test are not available: x; \
         the keys of the issuer https://b.test are not available: y"
    );
    let silent = DpopConfig::builder(origin(), Silent).build().unwrap();
    silent.warm_up().await.unwrap();
    assert!(silent.readiness().is_ready());
    assert_eq!(silent.readiness().issuers().count(), 0);
}
