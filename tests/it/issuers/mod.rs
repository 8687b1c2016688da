//! Tokens of several issuers, which the configuration lists or looks up.

mod dynamic;
mod encrypted;
mod products;
mod several;
mod types;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, PublicOrigin,
    clock::{ManualClock, UnixTime},
    test_util::{TestClient, TestIssuer},
    token::IntoTokens,
};
use http::Request;

use crate::support::{ORIGIN, URL, Verdict, router, send};

/// An issuer of this name with a key of its own.
fn issuer(name: &str) -> TestIssuer {
    TestIssuer::new().issuer(name).clock(clock())
}

/// The clock of every test, which stands still unless it is advanced.
fn clock() -> ManualClock {
    thread_local! {
        static CLOCK: ManualClock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    }
    CLOCK.with(Clone::clone)
}

/// One API and one client.
struct Api {
    client: TestClient,
    router: axum::Router,
}

impl Api {
    fn new(tokens: impl IntoTokens) -> Self {
        Self::with(tokens, |config| config)
    }

    fn with(
        tokens: impl IntoTokens,
        change: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Self {
        let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens);
        Self {
            client: TestClient::new().clock(clock()),
            router: router(change(config.clock(clock())).build().unwrap()),
        }
    }

    /// A token of this issuer that outlives every test.
    fn token(&self, issuer: &TestIssuer) -> String {
        let token = issuer.token().subject("alice").bound_to(&self.client);
        token.claim("exp", 1_900_000_000).mint()
    }

    fn request(&self, token: &str) -> Request<()> {
        self.client.get(URL, token)
    }

    async fn present(&self, token: &str) -> Verdict {
        Verdict::of(send(self.router.clone(), self.request(token)).await)
    }
}
