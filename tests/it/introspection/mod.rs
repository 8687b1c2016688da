//! Opaque tokens, about which the issuer is asked (RFC 7662).

mod answers;
mod beside;
mod bindings;
mod caching;
mod calls;
mod clients;
mod outages;
mod server;
mod settings;
mod signed;

use axum::{Router, routing::get};
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    clock::{ManualClock, TimeSource as _, UnixTime},
    test_util::TestClient,
    token::{ClientSecret, IntoTokens, Introspection},
};
use http::{Request, Response, header};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use self::server::Idp;
use crate::support::{ORIGIN, URL, Verdict, send, unavailable};

const ISSUER: &str = "https://issuer.test";
const OUT_OF_REACH: Verdict = unavailable("token_verifier_unavailable");

/// An API that asks an issuer on this machine about tokens. The clock stands still.
struct Opaque {
    idp: Idp,
    client: TestClient,
    clock: ManualClock,
    router: Router,
}

impl Opaque {
    /// Every token is active and bound to the client's key.
    async fn new() -> Self {
        Self::with(|tokens| tokens).await
    }

    async fn with(tokens: impl FnOnce(Introspection) -> Introspection) -> Self {
        let idp = Idp::start().await;
        let opaque = Self::of(idp.clone(), tokens(by_secret(&idp)));
        idp.answer_json(&opaque.active());
        opaque
    }

    fn of(idp: Idp, tokens: impl IntoTokens) -> Self {
        let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
        let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens)
            .policy(Policy::optional())
            .clock(clock.clone());
        let layer = DpopLayer::new(config.build().unwrap());
        Self {
            idp,
            client: TestClient::new().clock(clock.clone()),
            clock,
            router: Router::new()
                .route("/orders", get(async || {}))
                .layer(layer),
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }

    /// What a good answer says of a bound token.
    fn active(&self) -> Value {
        json!({
            "active": true,
            "token_type": "DPoP",
            "iss": ISSUER,
            "aud": ORIGIN,
            "sub": "alice",
            "client_id": "shop",
            "scope": "orders:read",
            "exp": self.now() + 100_000,
            "cnf": { "jkt": self.client.thumbprint().to_string() },
        })
    }

    async fn response(&self, token: &str) -> Response<axum::body::Body> {
        send(self.router.clone(), self.client.get(URL, token)).await
    }

    async fn present(&self, token: &str) -> Verdict {
        Verdict::of(self.response(token).await)
    }

    async fn present_as_bearer(&self, token: &str) -> Verdict {
        let request = Request::get(URL)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(())
            .unwrap();
        Verdict::of(send(self.router.clone(), request).await)
    }

    fn present_often(&self, count: usize, token: &str) -> JoinSet<Verdict> {
        let mut requests = JoinSet::new();
        for _ in 0..count {
            let request = self.client.get(URL, token);
            let router = self.router.clone();
            requests.spawn(async move { Verdict::of(send(router, request).await) });
        }
        requests
    }

    /// What becomes of a token about which the issuer answers this.
    async fn judge(&self, answer: &Value) -> Verdict {
        self.idp.answer_json(answer);
        self.present(&fresh()).await
    }
}

/// The settings that a test changes.
fn by_secret(idp: &Idp) -> Introspection {
    Introspection::new(ISSUER)
        .endpoint(idp.url("/introspect"))
        .client_secret_basic("orders-api", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
        .danger_allow_plain_http()
}

/// A token that was never used.
fn fresh() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("opaque-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The answer with another member, or without it.
fn with(answer: &Value, name: &str, value: impl Into<Value>) -> Value {
    let mut answer = answer.clone();
    answer[name] = value.into();
    answer
}

fn without(answer: &Value, name: &str) -> Value {
    let mut answer = answer.clone();
    answer.as_object_mut().unwrap().remove(name);
    answer
}
