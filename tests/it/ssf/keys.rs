//! The transmitter's keys, from a real server.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, body::Body};
use dpop_tower::{ssf::Transmitter, test_util::TestIssuer};
use http::{Request, Response};
use serde_json::json;
use tokio::net::TcpListener;

use super::{AUDIENCE, Answer, ISSUER, Rig, rejected};
use crate::support::Api;

/// A server of the keys, which may be down.
#[derive(Clone)]
struct Server {
    origin: String,
    jwks: Arc<Mutex<Option<String>>>,
    count: Arc<AtomicUsize>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            jwks: Arc::default(),
            count: Arc::default(),
        };
        let running = server.clone();
        let app = Router::new().fallback(move |request: Request<Body>| {
            let server = running.clone();
            async move { server.answer(request.uri().path()) }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    fn answer(&self, path: &str) -> Response<Body> {
        let (status, body) = match (path, &*self.jwks.lock().unwrap()) {
            ("/jwks", Some(jwks)) => {
                self.count.fetch_add(1, Ordering::SeqCst);
                (200, jwks.clone())
            }
            ("/.well-known/ssf-configuration/tenant", _) => {
                let issuer = format!("{}/tenant", self.origin);
                let jwks_uri = format!("{}/jwks", self.origin);
                (
                    200,
                    json!({ "issuer": issuer, "jwks_uri": jwks_uri }).to_string(),
                )
            }
            (_, Some(_)) => (404, String::new()),
            (_, None) => (500, String::new()),
        };
        Response::builder()
            .status(status)
            .body(Body::from(body))
            .unwrap()
    }

    fn put(&self, jwks: Option<String>) {
        *self.jwks.lock().unwrap() = jwks;
    }
}

async fn at_url(api: Api, server: &Server) -> Rig {
    let transmitter = Transmitter::new(ISSUER)
        .jwks_url(format!("{}/jwks", server.origin))
        .audience(AUDIENCE)
        .danger_allow_plain_http();
    Rig::of(api, vec![transmitter], NonZeroUsize::MAX, |receiver| {
        receiver
    })
    .await
}

#[tokio::test]
async fn keys_out_of_reach_are_answered_with_503_until_they_are_back() {
    let server = Server::start().await;
    let rig = at_url(Api::new(), &server).await;
    let set = rig.set().mint();
    for _ in 0..2 {
        let answer = rig.send(rig.request(set.clone())).await;
        assert_eq!(answer, Answer::Status(503));
    }
    server.put(Some(rig.api.issuer.jwks()));
    rig.api.advance(60);
    assert_eq!(rig.send(rig.request(set)).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s1")).await);
}

/// A stranger who sends unknown keys must not make the transmitter's new key look wrong.
#[tokio::test]
async fn a_new_key_of_the_transmitter_is_fetched_or_the_set_has_to_come_again() {
    let server = Server::start().await;
    let rig = at_url(Api::new(), &server).await;
    server.put(Some(rig.api.issuer.jwks()));
    assert_eq!(rig.deliver(rig.set()).await, Answer::Accepted);
    let stranger = TestIssuer::new().clock(rig.api.clock.clone());
    let of = |issuer: &TestIssuer| {
        let set = super::set_of(issuer).claim("sub_id", super::opaque("s2"));
        set.claim("events", json!({ super::SESSION_REVOKED: {} }))
    };
    rig.api.advance(31);
    // The keys are fetched, and do not have this one.
    assert_eq!(rig.deliver(of(&stranger)).await, rejected("invalid_key"));
    assert_eq!(server.count.load(Ordering::SeqCst), 2);
    let new = TestIssuer::new().clock(rig.api.clock.clone());
    server.put(Some(new.jwks()));
    // It is too early to fetch them again, so nobody knows.
    assert_eq!(rig.deliver(of(&new)).await, Answer::Status(503));
    assert_eq!(server.count.load(Ordering::SeqCst), 2);
    // A key with a known name is known not to fit.
    let forged = rig.set().signed_by(&stranger);
    assert_eq!(rig.deliver(forged).await, rejected("invalid_key"));
    rig.api.advance(31);
    assert_eq!(rig.deliver(of(&new)).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s2")).await);
}

#[tokio::test]
async fn ssf_section_7_2_the_configuration_of_the_transmitter_names_its_keys() {
    let server = Server::start().await;
    let mut api = Api::new();
    let issuer = format!("{}/tenant", server.origin);
    let config_issuer = api.issuer.clone();
    api.issuer = api.issuer.issuer(issuer.as_str());
    server.put(Some(api.issuer.jwks()));
    let transmitter = Transmitter::discover(issuer.as_str())
        .audience(AUDIENCE)
        .tokens_of(ISSUER)
        .danger_allow_plain_http();
    let mut rig = Rig::of(api, vec![transmitter], NonZeroUsize::MAX, |receiver| {
        receiver
    })
    .await;
    assert_eq!(rig.deliver(rig.set()).await, Answer::Accepted);
    // The tokens are of another issuer, which shares the key.
    let config = config_issuer.tokens();
    let origin = dpop_tower::PublicOrigin::new(crate::support::ORIGIN).unwrap();
    let config = dpop_tower::DpopConfig::builder(origin, config)
        .clock(rig.api.clock.clone())
        .revocation_list(Arc::clone(&rig.list));
    rig.router = crate::support::router(config.build().unwrap());
    let token = rig.token().claim("iss", ISSUER);
    assert!(rig.is_admitted(token.clone()).await);
    assert!(!rig.is_admitted(token.claim("sid", "s1")).await);
}
