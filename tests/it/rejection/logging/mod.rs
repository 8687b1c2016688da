//! What the log says about a rejection, and what it must not contain.

mod needs;

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, routing};
pub(crate) use dpop_conformance::logging::Log;
use dpop_tower::{
    BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PublicOrigin,
    clock::UnixTime,
    future::MaybeReady,
    nonce::{NonceSecret, StatelessNonces},
    rejection::Rejection,
    replay::{MemoryReplayStore, StoreError},
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::{
    stores::Outage,
    support::{Api, ORIGIN, URL, Verdict, invalid_proof, invalid_token, send},
};

async fn rejected_proof(api: &Api, claim: &str, value: impl Into<Value>) {
    let token = api.token().mint();
    let proof = api.proof(&token).claim(claim, value).sign();
    assert_ne!(api.get(&token, &proof).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_wrong_htu_is_explained_by_the_part_that_differs_and_the_likely_cause() {
    let log = Log::listen();
    let api = Api::new();
    for (htu, part, cause) in [
        (
            "http://api.test/orders",
            "scheme: expected https, the proof says http",
            "TLS ends at a proxy",
        ),
        (
            "https://internal.test/orders",
            "host",
            "under another name than the configured public origin https://api.test",
        ),
        (
            "https://api.test:8443/orders",
            "port: expected 443, the proof says 8443",
            "port mapping",
        ),
        (
            "https://api.test/v1/orders",
            "path prefix: the proof has a prefix",
            "`PublicOrigin::path_prefix`",
        ),
        (
            "https://api.test/orders/",
            "trailing slash: the path of the proof ends with a slash",
            "signs another form than it calls",
        ),
        (
            "https://api.test/Orders",
            "path case",
            "upper and lower case",
        ),
        (
            "https://api.test/invoices",
            "path: the paths name different resources",
            "signs its base address",
        ),
    ] {
        rejected_proof(&api, "htu", htu).await;
        let line = log.line();
        assert!(line.contains("reason=\"proof_htu_mismatch\""), "{line}");
        assert!(
            line.contains(&format!("htu differs in its {part}")),
            "{line}"
        );
        assert!(line.contains(cause), "{htu}: {line}");
    }
}

#[tokio::test]
async fn a_prefix_that_a_proxy_added_is_told_without_its_text() {
    let log = Log::listen();
    let api = Api::new();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    let uri = "https://api.test/internal/orders";
    let request = api
        .client
        .request_with_proof(Method::GET, uri, &token, &proof);
    assert_eq!(api.send(request).await, invalid_proof("proof_htu_mismatch"));
    let line = log.line();
    let part = "path prefix: the request path has a prefix that the proof lacks";
    assert!(line.contains(part), "{line}");
    assert!(!line.contains("internal"), "{line}");
}

#[tokio::test]
async fn a_wrong_iat_is_explained_by_the_signed_offset_of_the_clocks() {
    let log = Log::listen();
    let api = Api::new();
    for (offset, reason, text) in [
        (
            -3600,
            "proof_too_old",
            "offset -3600 s, so the client's clock is behind",
        ),
        (-71, "proof_too_old", "offset -71 s,"),
        (11, "proof_from_future", "offset +11 s,"),
        (
            3600,
            "proof_from_future",
            "offset +3600 s, so the client's clock is ahead",
        ),
    ] {
        rejected_proof(&api, "iat", api.now() + offset).await;
        let line = log.line();
        assert!(line.contains(reason) && line.contains(text), "{line}");
    }
}

#[tokio::test]
async fn a_rejection_is_one_line_with_its_reason_at_a_level_that_fits() {
    let log = Log::listen();
    let api = Api::new();
    let token = api.token().mint();

    assert_eq!(
        api.get(&token, &api.proof(&token).sign()).await,
        Verdict::Admitted
    );
    assert_eq!(log.take(), [""; 0], "nothing is wrong with this one");

    send(
        api.router.clone(),
        Request::get("/orders").body(()).unwrap(),
    )
    .await;
    let line = log.line();
    assert!(is_line_at("DEBUG", &line), "{line}");
    assert!(line.contains("reason=\"credentials_missing\""), "{line}");

    rejected_proof(&api, "htm", "POST").await;
    let line = log.line();
    assert!(is_line_at("INFO", &line), "{line}");
    assert!(line.contains("reason=\"proof_htm_mismatch\""), "{line}");

    rejected_proof(&api, "jti", 7).await;
    let line = log.line();
    assert!(line.contains("invalid: jti"), "the claim is named: {line}");
}

/// The defaults suffice for 13,333 requests per second.
#[test]
fn a_store_that_few_requests_fill_is_a_warning_at_start_with_what_to_set() {
    let size = |entries| NonZeroUsize::new(entries).unwrap();
    let log = Log::listen();
    let api = Api::new();
    assert_eq!(log.take(), [""; 0]);
    let store = Arc::new(
        MemoryReplayStore::with_capacity(size(3_000))
            .capacity_per_key(size(374))
            .capacity_per_subject(size(375)),
    );
    let build = |max_age| {
        let config = api.config().max_age(Duration::from_secs(max_age));
        config.replay_store(Arc::clone(&store)).build().unwrap()
    };
    let _config = build(60);
    let lines = log.take();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    for (line, parts) in lines.iter().zip([
        [
            "`capacity` of",
            "3000 proofs",
            "75 seconds",
            "40 requests",
            "to 37500 or more",
        ],
        [
            "`capacity_per_key` of",
            "374 proofs",
            "75 seconds",
            "4.9 requests",
            "to 375 or more",
        ],
    ]) {
        assert!(line.contains(" WARN dpop_tower::replay"), "{line}");
        for part in parts {
            assert!(line.contains(part), "{line:?} does not contain {part:?}");
        }
    }
    // The warning is logged once for all configurations that share the store, until one of them makes it
    // worse.
    let _same = build(60);
    let _shorter = build(10);
    assert_eq!(log.take(), [""; 0]);
    let _longer = build(600);
    let lines = log.take();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[2].contains("`capacity_per_subject`"), "{lines:#?}");
    // A configuration that remembers no proofs needs no room.
    let config = api
        .config()
        .replay_store(MemoryReplayStore::with_capacity(size(1)));
    config.danger_allow_reuse_within_lifetime().build().unwrap();
    let line = log.line();
    assert!(line.contains("`replay_store` has no effect"), "{line}");
}

#[tokio::test]
async fn an_outage_of_the_store_is_a_warning_with_its_cause() {
    let log = Log::listen();
    let api = Api::with(
        |tokens| tokens,
        |config| config.replay_store(Outage::of(|| StoreError::unavailable("no route to store"))),
    );
    let token = api.token().mint();
    api.get(&token, &api.proof(&token).sign()).await;
    let line = log.line();
    assert!(is_line_at("WARN", &line), "{line}");
    assert!(line.contains("reason=\"store_unavailable\""), "{line}");
    assert!(line.contains("no route to store"), "{line}");
}

/// Searches texts for secrets.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() > 4, "{what} would be found anywhere");
        self.0.push((what, secret.to_owned()));
    }

    /// Adds a JWT and each of its parts.
    fn add_jwt(&mut self, what: &'static str, jwt: &str) {
        for part in jwt.split('.').filter(|part| part.len() > 4) {
            self.add(what, part);
        }
    }

    #[track_caller]
    fn assert_not_in(&self, text: &str) {
        for (what, secret) in &self.0 {
            assert!(!text.contains(secret), "{what} {secret} in {text}");
        }
    }
}

const SUBJECT: &str = "subject-alice";
const NONCE_SECRET: &[u8; 32] = b"nonce-secret-of-32-bytes-0123456";
const NONCE: &str = "nonce-of-the-caller";
const JTI: &str = "jti-of-the-caller";

/// Returns the coordinates of the key in a proof.
fn coordinates(proof: &dpop_tower::test_util::ProofBuilder) -> Vec<String> {
    let header: Value = serde_json::from_str(&proof.header_json()).unwrap();
    ["x", "y"]
        .into_iter()
        .filter_map(|name| Some(header["jwk"].get(name)?.as_str()?.to_owned()))
        .collect()
}

/// An API in which every part could leak something, and requests that fail in every way.
struct Leaky {
    api: Api,
    requests: Vec<Request<()>>,
    secrets: Secrets,
}

impl Leaky {
    fn new() -> Self {
        let api = Api::new();
        let mut secrets = Secrets::default();
        secrets.add("subject", SUBJECT);
        secrets.add("nonce secret", std::str::from_utf8(NONCE_SECRET).unwrap());
        secrets.add("nonce", NONCE);
        secrets.add("jti", JTI);
        secrets.add("path", "path-of-the-caller");
        let token = || {
            api.token()
                .subject(SUBJECT)
                .claim("email", "a@example.test")
        };
        secrets.add("claim", "a@example.test");

        let stranger = dpop_tower::test_util::TestClient::new().clock(api.clock.clone());
        let good = token().mint();
        let proof = || api.proof(&good).claim("jti", JTI);
        for coordinate in coordinates(&proof()) {
            secrets.add("coordinate", &coordinate);
        }
        let mut pairs = vec![(good.clone(), "a.b.c".to_owned())];
        for proof in [
            proof(),
            proof().nonce(NONCE),
            proof().claim("htu", "https://host-of-the-caller.test/"),
            proof().claim("htu", "https://api.test/path-of-the-caller"),
            proof().claim("htm", "path-of-the-caller"),
            proof().claim("iat", 1),
            proof().access_token("other"),
            proof().claim("exp", 1),
            proof().header("alg", "path-of-the-caller"),
            proof().header("jwk", json!({"kty": "path-of-the-caller"})),
            proof().corrupt_signature(),
            proof().signed_by(&stranger),
            proof().raw_payload(format!("{{\"{NONCE}\": ")),
        ] {
            pairs.push((good.clone(), proof.sign()));
        }
        for token in [
            token().claim("iss", "https://path-of-the-caller.test"),
            token().claim("aud", "https://path-of-the-caller.test"),
            token().header("kid", "path-of-the-caller"),
            token().claim("exp", 1),
            token().claim("cnf", json!({"path-of-the-caller": 1})),
            token().corrupt_signature(),
            token().bound_to(&stranger),
        ] {
            let token = token.mint();
            let proof = api.proof(&token).claim("jti", JTI).sign();
            pairs.push((token, proof));
        }
        secrets.add("host", "host-of-the-caller");
        let mut requests: Vec<_> = pairs
            .iter()
            .map(|(token, proof)| {
                secrets.add_jwt("token", token);
                secrets.add_jwt("proof", proof);
                api.client
                    .request_with_proof(Method::GET, URL, token, proof)
            })
            .collect();
        for authorization in [
            format!("Bearer {good}"),
            good.clone(),
            format!("DPoP {good} {good}"),
            format!("DPoP {good}"),
        ] {
            let request = Request::get("/orders").header(header::AUTHORIZATION, authorization);
            requests.push(request.body(()).unwrap());
        }
        Self {
            api,
            requests,
            secrets,
        }
    }

    fn without_nonces(&self) -> DpopConfigBuilder {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        DpopConfig::builder(origin, self.api.issuer.tokens()).clock(self.api.clock.clone())
    }

    fn with_nonces(&self) -> DpopConfigBuilder {
        let secret = NonceSecret::new(NONCE_SECRET).unwrap();
        self.without_nonces()
            .nonce_source(StatelessNonces::new(secret))
            .require_nonces()
    }

    /// Returns routers for every request, with and without nonces, strict and optional.
    fn routers(&self) -> Vec<Router> {
        async fn handler(token: BoundToken, request: axum::extract::Request) -> String {
            format!("{token:?} {request:?} {:?}", request.headers())
        }
        [self.without_nonces(), self.with_nonces()]
            .into_iter()
            .map(|config| Arc::new(config.build().unwrap()))
            .flat_map(|config| {
                [Policy::strict(), Policy::optional()].map(|policy| {
                    Router::new()
                        .route("/orders", routing::get(handler))
                        .layer(DpopLayer::new(config.clone()).with_policy(policy))
                })
            })
            .collect()
    }

    fn request(&self, i: usize) -> Request<()> {
        let (original, mut copy) = (&self.requests[i], Request::new(()));
        *copy.uri_mut() = original.uri().clone();
        *copy.headers_mut() = original.headers().clone();
        copy
    }
}

#[tokio::test]
async fn no_line_of_the_log_quotes_what_the_caller_wrote() {
    let log = Log::listen();
    let leaky = Leaky::new();
    let mut lines = 0;
    for router in leaky.routers() {
        for i in 0..leaky.requests.len() {
            send(router.clone(), leaky.request(i)).await;
            for line in log.take() {
                leaky.secrets.assert_not_in(&line);
                lines += 1;
            }
        }
    }
    assert!(lines > 2 * leaky.requests.len(), "{lines}");
}

#[tokio::test]
async fn no_debug_text_of_a_rejection_quotes_what_the_caller_wrote() {
    let leaky = Leaky::new();
    for router in leaky.routers() {
        for i in 0..leaky.requests.len() {
            let response = send(router.clone(), leaky.request(i)).await;
            let Some(rejection) = response.extensions().get::<Rejection>() else {
                continue;
            };
            let mut text = format!("{rejection:?} {rejection} {response:?}");
            if let Some(error) = rejection.proof_error() {
                text += &format!("{error:?} {error} {:?}", error.htu_difference());
            }
            if let Some(error) = rejection.token_error() {
                text += &format!("{error:?} {error}");
            }
            leaky.secrets.assert_not_in(&text);
        }
    }
}

/// Records what a verifier of the user's own would log about a token.
#[derive(Debug, Default)]
struct DebugOfToken(Mutex<String>);

impl TokenVerifier for DebugOfToken {
    fn verify(
        &self,
        token: PresentedToken<'_>,
        _: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        *self.0.lock().unwrap() = format!("{token:?}");
        MaybeReady::ready(Err(TokenErrorKind::Malformed.into()))
    }
}

#[tokio::test]
async fn no_debug_text_of_a_presented_token_shows_it() {
    let api = Api::new();
    let verifier = Arc::new(DebugOfToken::default());
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, Arc::clone(&verifier)).clock(api.clock.clone());
    let token = api.token().mint();
    let router = crate::support::router(config.build().unwrap());
    let rejected = send(router, api.client.get(URL, &token)).await;
    assert_eq!(Verdict::of(rejected), invalid_token("token_malformed"));
    let text = verifier.0.lock().unwrap().clone();
    assert_eq!(text, "PresentedToken(..)");
}

#[tokio::test]
async fn no_debug_text_of_what_handlers_get_shows_credentials_or_claims() {
    let leaky = Leaky::new();
    let strict = leaky.routers().remove(0);
    let token = leaky.api.token().subject(SUBJECT).mint();
    let proof = leaky.api.proof(&token).claim("jti", "another jti").sign();
    let mut secrets = leaky.secrets;
    secrets.add_jwt("token", &token);
    secrets.add_jwt("proof", &proof);
    let request = leaky
        .api
        .client
        .request_with_proof(Method::GET, URL, &token, &proof);
    let response = send(strict, request).await;
    assert_eq!(response.status(), 200);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await;
    let text = String::from_utf8(body.unwrap().to_vec()).unwrap();
    assert!(text.contains("Sensitive") && text.contains("BoundToken"));
    secrets.assert_not_in(&text);
}

#[tokio::test]
async fn no_debug_text_of_the_configuration_shows_a_secret() {
    let leaky = Leaky::new();
    let config = Arc::new(leaky.with_nonces().build().unwrap());
    let layer = DpopLayer::new(config.clone());
    let mut service = tower::Layer::layer(
        &layer,
        tower::service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(http::Response::<Body>::default())
        }),
    );
    let future = tower::Service::call(&mut service, leaky.request(0));
    let text = format!("{config:?} {layer:?} {service:?} {future:?}");
    leaky.secrets.assert_not_in(&text);
    for byte in ["110, 111, 110, 99", "6e6f6e63"] {
        assert!(!text.contains(byte), "the nonce secret in another form");
    }
    future.await.unwrap();
    // The caches are filled by now.
    leaky.secrets.assert_not_in(&format!("{config:?}"));
}

/// Whether a line has this level, and the target of rejections behind the span.
fn is_line_at(level: &str, line: &str) -> bool {
    line.contains(&format!(" {level} dpop.verify{{")) && line.contains("}: dpop_tower::rejection: ")
}
