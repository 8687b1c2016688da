//! Implementations of the user's own: given as a value or in an `Arc`, and what they may return.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dpop_tower::{
    DpopConfig, DpopConfigBuilder, DpopLayer, PublicOrigin,
    clock::UnixTime,
    crypto::{AwsLcRs, CryptoProvider},
    future::MaybeReady,
    nonce::{NonceSecret, NonceSource, StatelessNonces},
    replay::{MemoryReplayStore, ReplayStore},
    revocation::{MemoryRevocationList, RevocationList},
    target::{Target, TargetUri},
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, Tokens, VerifiedToken},
};
use http::header;
use serde_json::json;

use crate::{
    frameworks::layer::AnyToken,
    rejection::logging::Log,
    support::{Api, ORIGIN, URL, Verdict, invalid_token, send},
};

fn any_token(api: &Api) -> AnyToken {
    let claims = json!({
        "sub": "alice",
        "exp": api.now() + 60,
        "cnf": { "jkt": api.client.thumbprint().to_string() },
    });
    AnyToken { claims }
}

async fn admits(api: &Api, config: DpopConfigBuilder) {
    let router = crate::support::router(config.build().unwrap());
    let request = api.client.get(URL, &api.token().mint());
    assert_eq!(Verdict::of(send(router, request).await), Verdict::Admitted);
}

#[tokio::test]
async fn each_seam_takes_a_value_or_an_arc_of_one() {
    let api = Api::new();
    let origin = || PublicOrigin::new(ORIGIN).unwrap();
    let shared: Arc<dyn TargetUri> = Arc::new(origin());
    let targets: [Target; 3] = [origin().into(), Arc::new(origin()).into(), shared.into()];
    for target in targets {
        let config = DpopConfig::builder(target, api.issuer.tokens());
        admits(&api, config.clock(api.clock.clone())).await;
    }
    let shared: Arc<dyn TokenVerifier> = Arc::new(any_token(&api));
    let verifiers: [Tokens; 4] = [
        api.issuer.tokens().into(),
        any_token(&api).into(),
        Arc::new(any_token(&api)).into(),
        shared.into(),
    ];
    for tokens in verifiers {
        let config = DpopConfig::builder(origin(), tokens);
        admits(&api, config.clock(api.clock.clone())).await;
    }
    let nonces = || StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let (store, source): (Arc<dyn ReplayStore>, Arc<dyn NonceSource>) =
        (Arc::new(MemoryReplayStore::new()), Arc::new(nonces()));
    let list: Arc<dyn RevocationList> = Arc::new(MemoryRevocationList::new());
    let backend: Arc<dyn CryptoProvider> = Arc::new(AwsLcRs);
    let clock: Arc<dyn dpop_tower::clock::TimeSource> = Arc::new(api.clock.clone());
    for config in [
        api.config().replay_store(MemoryReplayStore::new()),
        api.config()
            .replay_store(Arc::new(MemoryReplayStore::new())),
        api.config().replay_store(store),
        api.config().revocation_list(MemoryRevocationList::new()),
        api.config()
            .revocation_list(Arc::new(MemoryRevocationList::new())),
        api.config().revocation_list(list),
        api.config().nonce_source(nonces()),
        api.config().nonce_source(Arc::new(nonces())),
        api.config().nonce_source(source),
        api.config().crypto(AwsLcRs),
        api.config().crypto(Arc::new(AwsLcRs)),
        api.config().crypto(backend),
        api.config().clock(api.clock.clone()),
        api.config().clock(Arc::new(api.clock.clone())),
        api.config().clock(clock),
    ] {
        admits(&api, config).await;
    }
}

#[tokio::test]
async fn clones_of_a_configuration_are_the_same_one() {
    let api = Api::new();
    let config = api.config().build().unwrap();
    let router = |outer: DpopLayer, inner: DpopLayer| {
        Router::new()
            .route("/orders", get(|| async {}))
            .layer(inner)
            .layer(outer)
    };
    let request = api.client.get(URL, &api.token().mint());
    // Two layers around one handler. The inner one uses the verdict of the outer one.
    let nested = router(
        DpopLayer::new(config.clone()),
        DpopLayer::new(Arc::new(config.clone())),
    );
    let response = send(nested, request.clone()).await;
    assert_eq!(Verdict::of(response), Verdict::Admitted);
    // A layer elsewhere knows that the proof was used.
    let elsewhere = crate::support::router(config);
    let response = send(elsewhere, request).await;
    let replayed = crate::support::invalid_proof("proof_replayed");
    assert_eq!(Verdict::of(response), replayed);
}

/// A verifier, such as introspection, that answers every token with this.
#[derive(Debug)]
struct Answers(fn() -> TokenError);

impl TokenVerifier for Answers {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        let answer = self.0;
        MaybeReady::pending(async move { Err(answer()) })
    }
}

/// Returns the verdict on a valid request, and the line in the log.
async fn answered(answer: fn() -> TokenError) -> (Verdict, String) {
    let api = Api::new();
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, Answers(answer)).clock(api.clock.clone());
    let router = crate::support::router(config.build().unwrap());
    let request = api.client.get(URL, &api.token().mint());
    let log = Log::listen();
    let verdict = Verdict::of(send(router, request).await);
    (verdict, log.take().concat())
}

#[tokio::test]
async fn rfc_7662_section_2_2_a_token_that_a_verifier_calls_inactive_is_an_invalid_token() {
    let (verdict, line) = answered(|| TokenErrorKind::Inactive.into()).await;
    assert_eq!(verdict, invalid_token("token_inactive"));
    assert!(line.contains("INFO"), "{line}");
    assert!(line.contains("detail=the token is not active"), "{line}");
}

#[tokio::test]
async fn a_verifier_that_cannot_tell_is_answered_with_503_and_its_cause_is_in_the_log() {
    let (verdict, line) = answered(|| TokenError::unavailable("no route to the endpoint")).await;
    let unavailable = Verdict::Rejected {
        status: 503,
        error: "",
        reason: "token_verifier_unavailable",
    };
    assert_eq!(verdict, unavailable);
    for part in [
        "WARN",
        "the token cannot be verified at the moment",
        "no route to the endpoint",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
}

#[test]
fn the_cause_of_a_token_error_is_in_the_chain_and_not_in_the_message() {
    let error = TokenError::unavailable("no route to the endpoint");
    assert_eq!(error.kind(), TokenErrorKind::VerifierUnavailable);
    assert!(!error.to_string().contains("route"), "{error}");
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "no route to the endpoint");
    assert_eq!(error, error.clone());
    assert_ne!(error, TokenError::unavailable("no route to the endpoint"));
    assert_ne!(error, TokenErrorKind::VerifierUnavailable.into());
}

/// The header has whole seconds, and at least one.
#[tokio::test]
async fn a_verifier_that_knows_when_it_can_tell_says_so_in_retry_after() {
    for (after, expected) in [
        (None, "5"),
        (Some(Duration::ZERO), "1"),
        (Some(Duration::from_millis(1)), "1"),
        (Some(Duration::from_secs(7)), "7"),
        (Some(Duration::from_millis(7_001)), "8"),
        (Some(Duration::MAX), "4294967295"),
    ] {
        let api = Api::new();
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let answers = Unavailable(after);
        let config = DpopConfig::builder(origin, answers).clock(api.clock.clone());
        let router = crate::support::router(config.build().unwrap());
        let response = send(router, api.client.get(URL, &api.token().mint())).await;
        assert_eq!(response.headers()[header::RETRY_AFTER], expected);
    }
}

#[derive(Debug)]
struct Unavailable(Option<Duration>);

impl TokenVerifier for Unavailable {
    fn verify(
        &self,
        _: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        let error = TokenError::unavailable("no route to the endpoint");
        MaybeReady::ready(Err(match self.0 {
            None => error,
            Some(after) => error.with_retry_after(after),
        }))
    }
}
