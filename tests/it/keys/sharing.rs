//! Configurations that share fetched keys.

use std::time::Duration;

use axum::Router;
use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    crypto::{Algorithm, AwsLcRs},
    test_util::TestIssuer,
    token::{FetchedKeys, KeyFetching},
};
use serde_json::{Value, json};

use super::{
    ISSUER, LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN,
    published::{jose_token, with},
    server::{Page, Server, soon},
};
use crate::{
    robustness::crypto::JoseKey,
    support::{Api, ORIGIN, URL, Verdict, invalid_token, router, send},
};

/// A program that replaces its configuration.
struct Program {
    api: Api,
    server: Server,
    fetched: FetchedKeys,
}

impl Program {
    async fn start() -> Self {
        let api = Api::new();
        let server = Server::start().await;
        server.put_keys(&[&api.issuer]);
        Self {
            api,
            server,
            fetched: FetchedKeys::new(),
        }
    }

    fn tokens(&self) -> Issuer {
        Issuer::new(ISSUER)
            .jwks_url(self.server.url("/jwks"))
            .audience(ORIGIN)
            .danger_allow_plain_http()
            .fetched_keys(self.fetched.clone())
    }

    fn configure(&self, tokens: Issuer) -> Router {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, tokens).clock(self.api.clock.clone());
        router(config.build().unwrap())
    }

    fn token(&self) -> String {
        let token = self.api.token();
        token.claim("exp", self.api.now() + 100_000).mint()
    }

    /// Of the issuer that is configured, by a key that it does not have.
    fn unknown(&self) -> String {
        let other = TestIssuer::new().clock(self.api.clock.clone());
        other.token().bound_to(&self.api.client).mint()
    }

    /// Serves the token with keys that are due, and waits until an attempt to refresh them has ended.
    async fn expect_refresh(&self, router: &Router, token: &str, hits: usize) {
        for (token, expected) in [(token, Verdict::Admitted), (&self.unknown(), UNKNOWN)] {
            let request = self.api.client.get(URL, token);
            let verdict = Verdict::of(soon(send(router.clone(), request)).await);
            assert_eq!(verdict, expected);
            // The first request has begun it, and not the second.
            self.server.wait_for(hits).await;
        }
        assert_eq!(self.server.count(), hits);
    }

    async fn expect(&self, router: &Router, token: &str, expected: Verdict, hits: usize) {
        let request = self.api.client.get(URL, token);
        let verdict = Verdict::of(soon(send(router.clone(), request)).await);
        assert_eq!(verdict, expected);
        assert_eq!(self.server.count(), hits);
    }
}

#[tokio::test]
async fn a_new_configuration_begins_with_the_keys_of_the_old_one() {
    let program = Program::start().await;
    let (token, another) = (program.token(), program.token());
    let old = program.configure(program.tokens());
    program.expect(&old, &token, Verdict::Admitted, 1).await;
    program.server.put("/jwks", Page::Status(500));
    program.api.advance(100);
    let new = program.configure(program.tokens());
    drop(old);
    for token in [&token, &another, &token] {
        program.expect(&new, token, Verdict::Admitted, 1).await;
    }
    // They are as old as they are.
    program.api.advance(200);
    program.expect_refresh(&new, &token, 2).await;
    let newest = program.configure(program.tokens());
    program.api.advance(3_299);
    program.expect_refresh(&newest, &token, 3).await;
    program.api.advance(1 + LONGEST_PAUSE);
    program.expect(&newest, &token, OUT_OF_REACH, 4).await;
}

#[tokio::test]
async fn each_configuration_has_algorithms_and_a_backend_of_its_own() {
    let program = Program::start().await;
    let es384 = JoseKey::new(Algorithm::Es384);
    let mut set: Value = serde_json::from_str(&program.api.issuer.jwks()).unwrap();
    let keys = set["keys"].as_array_mut().unwrap();
    keys.push(with(es384.public(), &[("kid", json!("384"))]));
    program.server.put("/jwks", Page::Json(set.to_string()));
    let old = program.configure(program.tokens());
    let by_es256 = program.token();
    let by_es384 = jose_token(&program.api, &es384, Some("384"));
    let not_allowed = invalid_token("token_alg_not_allowed");
    program.expect(&old, &by_es256, Verdict::Admitted, 1).await;
    program.expect(&old, &by_es384, not_allowed, 1).await;
    program.server.put("/jwks", Page::Status(500));

    let new = program.configure(program.tokens().algorithms([Algorithm::Es384]));
    program.expect(&new, &by_es384, Verdict::Admitted, 1).await;
    program.expect(&new, &by_es256, not_allowed, 1).await;
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let other = DpopConfig::builder(origin, program.tokens())
        .clock(program.api.clock.clone())
        .crypto(AwsLcRs);
    let other = router(other.build().unwrap());
    program
        .expect(&other, &by_es256, Verdict::Admitted, 1)
        .await;

    // The set has nothing for this one, which is no fault of the others.
    let none = program.configure(program.tokens().algorithms([Algorithm::Ed25519]));
    let ed25519 = JoseKey::new(Algorithm::Ed25519);
    let by_ed25519 = jose_token(&program.api, &ed25519, Some("1"));
    program.api.advance(LONGEST_PAUSE);
    program.expect(&none, &by_ed25519, OUT_OF_REACH, 2).await;
    program.expect(&old, &by_es256, Verdict::Admitted, 2).await;
    program.expect(&new, &by_es384, Verdict::Admitted, 2).await;
}

#[tokio::test]
async fn another_place_has_nothing_of_it() {
    let program = Program::start().await;
    let token = program.token();
    let old = program.configure(program.tokens());
    program.expect(&old, &token, Verdict::Admitted, 1).await;
    let shared = |tokens: Issuer| {
        tokens
            .audience(ORIGIN)
            .danger_allow_plain_http()
            .fetched_keys(program.fetched.clone())
    };
    // Another URL, one that differs in its query, and an issuer whose metadata would be there.
    let mut hits = 1;
    for (url, requests) in [
        (program.server.url("/other"), 1),
        (program.server.url("/jwks?x"), 1),
        (program.server.url("/JWKS"), 1),
    ] {
        let other = program.configure(shared(Issuer::new(ISSUER).jwks_url(url)));
        hits += requests;
        program.expect(&other, &token, OUT_OF_REACH, hits).await;
    }
    let issuer = program.server.origin.clone();
    let ours = program.api.issuer.clone().issuer(issuer.as_str());
    let by_ours = ours.token().bound_to(&program.api.client).mint();
    let other = program.configure(shared(Issuer::discover(issuer)));
    program
        .expect(&other, &by_ours, OUT_OF_REACH, hits + 2)
        .await;
    // Nor has who was not given the same value.
    let alone = program.tokens().fetched_keys(FetchedKeys::default());
    let alone = program.configure(alone);
    program
        .expect(&alone, &token, Verdict::Admitted, hits + 3)
        .await;
}

#[tokio::test]
async fn metadata_of_the_same_issuer_is_shared_too() {
    let server = Server::start().await;
    let issuer = server.url("/tenant");
    let api = Api::new();
    let ours = api.issuer.clone().issuer(issuer.as_str());
    let place = "/.well-known/oauth-authorization-server/tenant";
    let metadata = ours.metadata(&server.url("/jwks"));
    server.put(place, Page::Json(metadata));
    server.put_keys(&[&api.issuer]);
    let fetched = FetchedKeys::new();
    let program = Program {
        api,
        server,
        fetched: fetched.clone(),
    };
    let tokens = || {
        Issuer::discover(issuer.as_str())
            .audience(ORIGIN)
            .danger_allow_plain_http()
            .fetched_keys(fetched.clone())
    };
    let token = ours.token().bound_to(&program.api.client).mint();
    let old = program.configure(tokens());
    program.expect(&old, &token, Verdict::Admitted, 2).await;
    program.server.put(place, Page::Status(404));
    let new = program.configure(tokens());
    program.expect(&new, &token, Verdict::Admitted, 2).await;
    assert_eq!(format!("{fetched:?}"), "FetchedKeys { places: 1 }");
}

#[tokio::test]
async fn what_no_configuration_uses_is_forgotten() {
    let program = Program::start().await;
    let token = program.token();
    let old = program.configure(program.tokens());
    program.expect(&old, &token, Verdict::Admitted, 1).await;
    drop(old);
    program.server.put("/jwks", Page::Status(500));
    let new = program.configure(program.tokens());
    program.expect(&new, &token, OUT_OF_REACH, 2).await;
    drop(new);
    // Issuers that come and go leave nothing behind.
    for i in 0..20 {
        let url = program.server.url(&format!("/{i}"));
        let tokens = Issuer::new(ISSUER)
            .jwks_url(url)
            .audience(ORIGIN)
            .danger_allow_plain_http()
            .fetched_keys(program.fetched.clone());
        drop(program.configure(tokens));
    }
    assert_eq!(
        format!("{:?}", program.fetched),
        "FetchedKeys { places: 1 }"
    );
}

#[tokio::test]
async fn limits_count_for_all_who_share() {
    let program = Program::start().await;
    let unknown = program.unknown();
    let (one, two) = (
        program.configure(program.tokens()),
        program.configure(program.tokens()),
    );
    program.expect(&one, &unknown, UNKNOWN, 1).await;
    program.expect(&two, &unknown, UNKNOWN, 1).await;
    program.api.advance(30);
    program.expect(&two, &unknown, UNKNOWN, 2).await;
    program.expect(&one, &unknown, UNKNOWN, 2).await;

    // And an outage is met once.
    let program = Program::start().await;
    program.server.put("/jwks", Page::Status(500));
    let (one, two) = (
        program.configure(program.tokens()),
        program.configure(program.tokens()),
    );
    let token = program.token();
    program.expect(&one, &token, OUT_OF_REACH, 1).await;
    program.expect(&two, &token, OUT_OF_REACH, 1).await;
}

#[tokio::test]
async fn configurations_wait_for_one_fetch_together() {
    let program = Program::start().await;
    let token = program.token();
    program.server.hold(true);
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let router = program.configure(program.tokens());
        let request = program.api.client.get(URL, &token);
        waiting.spawn(async move { Verdict::of(send(router, request).await) });
    }
    program.server.wait_for(1).await;
    program.server.hold(false);
    while let Some(verdict) = soon(waiting.join_next()).await {
        assert_eq!(verdict.unwrap(), Verdict::Admitted);
    }
    assert_eq!(program.server.count(), 1);
}

/// The keys and the attempts are shared, and the times are not.
#[tokio::test]
async fn each_configuration_goes_by_its_own_times() {
    let program = Program::start().await;
    let token = program.token();
    let secs = Duration::from_secs;
    let times = |fetching: KeyFetching| program.configure(program.tokens().key_fetching(fetching));
    let patient = times(KeyFetching::new());
    let impatient = times(KeyFetching::new().refresh_after(secs(60)));
    let strict = KeyFetching::new().refresh_after(secs(60));
    let strict = times(strict.max_key_age(secs(100)));
    program.expect(&patient, &token, Verdict::Admitted, 1).await;
    program.api.advance(60);
    program.expect(&patient, &token, Verdict::Admitted, 1).await;
    program.expect_refresh(&impatient, &token, 2).await;
    // All of them have the new keys.
    program.api.advance(59);
    for router in [&patient, &impatient, &strict] {
        program.expect(router, &token, Verdict::Admitted, 2).await;
    }
    program.server.put("/jwks", Page::Status(500));
    program.api.advance(41);
    program.expect(&strict, &token, OUT_OF_REACH, 3).await;
    for router in [&patient, &impatient] {
        program.expect(router, &token, Verdict::Admitted, 3).await;
    }
}
