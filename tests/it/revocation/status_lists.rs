//! Token Status Lists (draft-ietf-oauth-status-list), from a real server.

use std::{
    io::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use base64url::encode;
use dpop_tower::{
    DpopConfig, PublicOrigin,
    test_util::{TestIssuer, TokenBuilder},
    token::StatusLists,
};
use flate2::{Compression, write::ZlibEncoder};
use futures_util::{FutureExt as _, future::join_all};
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch, time::timeout};

use super::REVOKED;
use crate::support::{Api, ORIGIN, URL, Verdict, invalid_token, router, send, unavailable};

const UNAVAILABLE: Verdict = unavailable("revocation_unavailable");
const INVALID: Verdict = invalid_token("token_invalid_claim");

/// Far longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

mod base64url {
    use dpop_tower::jwk::Thumbprint;

    /// Encodes bytes without padding, as thumbprints are written.
    pub(super) fn encode(bytes: &[u8]) -> String {
        const BLOCK: usize = 30;
        let mut text = String::new();
        for block in bytes.chunks(BLOCK) {
            let mut padded = [0; 32];
            padded[..block.len()].copy_from_slice(block);
            let encoded = Thumbprint::from_bytes(padded).to_string();
            text.push_str(&encoded[..(block.len() * 8).div_ceil(6)]);
        }
        text
    }
}

/// A server of one document.
#[derive(Clone)]
struct Server {
    origin: String,
    document: Arc<Mutex<(u16, String)>>,
    count: Arc<AtomicUsize>,
    held: watch::Sender<bool>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            document: Arc::new(Mutex::new((404, String::new()))),
            count: Arc::default(),
            held: watch::Sender::new(false),
        };
        let running = server.clone();
        let app = Router::new().fallback(move |request: Request<Body>| {
            let server = running.clone();
            async move {
                assert_eq!(request.headers()["accept"], "application/statuslist+jwt");
                server.count.fetch_add(1, Ordering::SeqCst);
                let mut held = server.held.subscribe();
                held.wait_for(|held| !held).await.unwrap();
                let (status, text) = server.document.lock().unwrap().clone();
                Response::builder()
                    .status(status)
                    .header("location", "/elsewhere")
                    .body(Body::from(text))
                    .unwrap()
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    fn uri(&self) -> String {
        format!("{}/lists/1?x=y", self.origin)
    }

    fn put(&self, status: u16, text: impl Into<String>) {
        *self.document.lock().unwrap() = (status, text.into());
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }
}

/// An API whose issuer has one status list.
struct Listed {
    api: Api,
    server: Server,
    router: Router,
}

impl Listed {
    async fn start() -> Self {
        Self::with(|lists| lists).await
    }

    async fn with(change: impl FnOnce(StatusLists) -> StatusLists) -> Self {
        let (api, server) = (Api::new(), Server::start().await);
        let lists = change(StatusLists::at([server.origin.as_str()]));
        let tokens = api.issuer.tokens().danger_allow_plain_http();
        let tokens = tokens.status_lists(lists);
        let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens);
        let router = router(config.clock(api.clock.clone()).build().unwrap());
        Self {
            api,
            server,
            router,
        }
    }

    /// Returns a list token with these statuses of two bits, for tests to break.
    fn list(&self, statuses: u8) -> TokenBuilder {
        self.list_of(&self.api.issuer, 2, &[statuses])
    }

    fn list_of(&self, issuer: &TestIssuer, bits: u8, bytes: &[u8]) -> TokenBuilder {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(bytes).unwrap();
        let lst = encode(&zlib.finish().unwrap());
        let list = issuer.token().header("typ", "statuslist+jwt");
        list.without_claim("aud")
            .without_claim("client_id")
            .claim("sub", self.server.uri())
            .claim("ttl", 60)
            .claim("status_list", json!({ "bits": bits, "lst": lst }))
    }

    fn token(&self, index: impl Into<Value>) -> String {
        self.token_with(&json!({ "idx": index.into(), "uri": self.server.uri() }))
    }

    /// Returns a token that outlives every test.
    fn token_with(&self, reference: &Value) -> String {
        let token = self.api.token().claim("exp", 1_900_000_000);
        token
            .claim("status", json!({ "status_list": reference }))
            .mint()
    }

    async fn present(&self, token: &str) -> Verdict {
        let request = self.api.client.get(URL, token);
        let response = timeout(PATIENCE, send(self.router.clone(), request));
        Verdict::of(response.await.unwrap())
    }

    /// Waits until so many fetches have come to their end.
    async fn wait_for(&self, count: usize) {
        let fetched = async {
            while self.server.count() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, fetched).await.unwrap();
        // The response is on its way.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    /// Presents the token until the verdict is this one.
    async fn until(&self, token: &str, expected: Verdict) {
        let verdict = async {
            while self.present(token).await != expected {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, verdict).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_is_admitted_if_its_status_is_valid() {
    let listed = Listed::start().await;
    // VALID, INVALID, SUSPENDED and one that only this issuer knows, from the lowest bits on.
    listed.server.put(200, listed.list(0b11_10_01_00).mint());
    for (index, expected) in [
        (json!(0), Verdict::Admitted),
        (json!(1), REVOKED),
        (json!(2), REVOKED),
        (json!(3), REVOKED),
        (json!(4), INVALID),
        (json!(u64::MAX), INVALID),
        (json!(-1), INVALID),
        (json!(0.5), INVALID),
        (json!("0"), INVALID),
        (json!(null), INVALID),
    ] {
        let token = listed.token(index.clone());
        // The second time, the token is in the cache.
        for _ in 0..2 {
            assert_eq!(listed.present(&token).await, expected, "{index}");
        }
    }
    assert_eq!(listed.server.count(), 1);
}

#[tokio::test]
async fn a_token_without_a_status_passes_and_an_unknown_kind_of_status_does_not() {
    let listed = Listed::start().await;
    let token = listed.api.token().mint();
    assert_eq!(listed.present(&token).await, Verdict::Admitted);
    for status in [json!({}), json!(null), json!({"other": {}}), json!([])] {
        let token = listed.api.token().claim("status", status.clone()).mint();
        assert_eq!(listed.present(&token).await, INVALID, "{status}");
    }
    assert_eq!(listed.server.count(), 0);
}

#[tokio::test]
async fn a_list_is_fetched_from_a_listed_origin_only() {
    let (listed, other) = (Listed::start().await, Server::start().await);
    listed.server.put(200, listed.list(0).mint());
    let port = listed.server.origin.rsplit_once(':').unwrap().1;
    for uri in [
        other.uri(),
        format!("http://localhost:{port}/lists/1"),
        format!("http://user@127.0.0.1:{port}/lists/1"),
        format!("https://127.0.0.1:{port}/lists/1"),
        format!("ftp://127.0.0.1:{port}/lists/1"),
        format!("{}/{}", listed.server.origin, "x".repeat(2048)),
        "/lists/1".to_owned(),
        String::new(),
    ] {
        let token = listed.token_with(&json!({ "idx": 0, "uri": uri }));
        assert_eq!(listed.present(&token).await, INVALID, "{uri}");
    }
    assert_eq!((listed.server.count(), other.count()), (0, 0));
}

#[tokio::test]
async fn a_token_that_the_issuer_did_not_sign_causes_no_fetch() {
    let listed = Listed::start().await;
    listed.server.put(200, listed.list(0).mint());
    let reference = json!({ "status_list": { "idx": 0, "uri": listed.server.uri() } });
    let token = listed.api.token().claim("status", reference);
    let stranger = TestIssuer::new();
    for token in [
        token.clone().signed_by(&stranger).mint(),
        token.clone().corrupt_signature().mint(),
        token.claim("aud", "another").mint(),
    ] {
        assert_ne!(listed.present(&token).await, Verdict::Admitted);
    }
    assert_eq!(listed.server.count(), 0);
}

/// Bytes that cannot be compressed away.
fn bomb() -> Vec<u8> {
    vec![0; 1024 * 1024 + 1]
}

#[tokio::test]
async fn a_list_that_is_not_the_issuers_or_not_current_is_not_used() {
    type Wrong = (&'static str, fn(&Listed) -> TokenBuilder);
    let wrong: [Wrong; 16] = [
        ("typ", |it| it.list(0).header("typ", "at+jwt")),
        ("no typ", |it| it.list(0).without_header("typ")),
        ("crit", |it| it.list(0).header("crit", json!(["x"]))),
        ("alg", |it| it.list(0).header("alg", "none")),
        ("sub", |it| {
            it.list(0).claim("sub", it.server.origin.clone())
        }),
        ("no sub", |it| it.list(0).without_claim("sub")),
        ("iss", |it| it.list(0).claim("iss", "https://other.test")),
        ("no iat", |it| it.list(0).without_claim("iat")),
        ("iat", |it| it.list(0).claim("iat", it.api.now() + 11)),
        ("exp", |it| it.list(0).claim("exp", it.api.now())),
        ("ttl", |it| it.list(0).claim("ttl", 0)),
        ("no list", |it| it.list(0).without_claim("status_list")),
        ("bits", |it| it.list_of(&it.api.issuer, 3, &[0])),
        ("size", |it| it.list_of(&it.api.issuer, 1, &bomb())),
        ("signature", |it| it.list(0).corrupt_signature()),
        ("key", |it| it.list(0).signed_by(&TestIssuer::new())),
    ];
    for (what, wrong) in wrong {
        let listed = Listed::start().await;
        let token = listed.token(0);
        listed.server.put(200, wrong(&listed).mint());
        assert_eq!(listed.present(&token).await, UNAVAILABLE, "{what}");
        listed.server.put(200, listed.list(0).mint());
        listed.api.advance(5);
        assert_eq!(listed.present(&token).await, Verdict::Admitted, "{what}");
    }
    for (status, text) in [(404, ""), (302, ""), (500, ""), (200, ""), (200, "{}")] {
        let listed = Listed::start().await;
        let text = match status {
            200 => text.to_owned(),
            _ => listed.list(0).mint(),
        };
        listed.server.put(status, text);
        assert_eq!(listed.present(&listed.token(0)).await, UNAVAILABLE);
        assert_eq!(listed.server.count(), 1, "no redirect is followed");
    }
}

#[tokio::test]
async fn after_a_failure_nobody_tries_again_for_five_seconds() {
    let listed = Listed::start().await;
    let token = listed.token(0);
    for _ in 0..3 {
        assert_eq!(listed.present(&token).await, UNAVAILABLE);
    }
    assert_eq!(listed.server.count(), 1);
    listed.server.put(200, listed.list(0).mint());
    listed.api.advance(4);
    assert_eq!(listed.present(&token).await, UNAVAILABLE);
    listed.api.advance(1);
    assert_eq!(listed.present(&token).await, Verdict::Admitted);
    assert_eq!(listed.server.count(), 2);
}

#[tokio::test]
async fn after_its_ttl_a_list_is_refreshed_while_the_old_one_serves() {
    let listed = Listed::start().await;
    let token = listed.token(0);
    listed.server.put(200, listed.list(0).mint());
    assert_eq!(listed.present(&token).await, Verdict::Admitted);
    listed.server.put(200, listed.list(1).mint());
    listed.api.advance(59);
    assert_eq!(listed.present(&token).await, Verdict::Admitted);
    assert_eq!(listed.server.count(), 1);
    listed.api.advance(1);
    listed.server.held.send_replace(true);
    for _ in 0..3 {
        assert_eq!(listed.present(&token).await, Verdict::Admitted);
    }
    listed.server.held.send_replace(false);
    listed.until(&token, REVOKED).await;
    assert_eq!(listed.server.count(), 2);
}

#[tokio::test]
async fn a_list_that_is_too_old_or_has_expired_is_not_used() {
    // The list expires after five minutes, as tokens of this issuer do.
    for (max_age, unusable_after) in [(200, 200), (3600, 300)] {
        let max_age = Duration::from_secs(max_age);
        let listed = Listed::with(|lists| lists.max_age(max_age)).await;
        let token = listed.token(0);
        listed
            .server
            .put(200, listed.list(0).claim("ttl", 9999).mint());
        assert_eq!(listed.present(&token).await, Verdict::Admitted);
        listed.server.put(500, "");
        listed.api.advance(unusable_after - 1);
        assert_eq!(listed.present(&token).await, Verdict::Admitted);
        listed.api.advance(1);
        assert_eq!(listed.present(&token).await, UNAVAILABLE);
        listed.api.advance(5);
        listed.server.put(200, listed.list(1).mint());
        assert_eq!(listed.present(&token).await, REVOKED);
    }
}

/// Otherwise a copy from before the revocation would make the token valid again.
#[tokio::test]
async fn a_list_that_is_older_than_the_one_before_is_not_used() {
    let listed = Listed::with(|lists| lists.max_age(Duration::from_secs(100))).await;
    let token = listed.token(0);
    let issued = |at: i64| listed.list(1).claim("iat", at).claim("exp", 1_900_000_000);
    let now = listed.api.now();
    let old = (listed.list(0).claim("iat", now - 1)).claim("exp", 1_900_000_000);
    listed.server.put(200, issued(now).mint());
    assert_eq!(listed.present(&token).await, REVOKED);
    listed.server.put(200, old.mint());
    // It is refreshed in the background, and the one at hand goes on to serve.
    listed.api.advance(60);
    assert_eq!(listed.present(&token).await, REVOKED);
    listed.wait_for(2).await;
    listed.api.advance(39);
    assert_eq!(listed.present(&token).await, REVOKED);
    listed.wait_for(3).await;
    // Also if the one at hand is too old.
    listed.api.advance(5);
    assert_eq!(listed.present(&token).await, UNAVAILABLE);
    assert_eq!(listed.server.count(), 4);
    // One of the same second is as good, and a newer one better.
    listed.api.advance(5);
    listed.server.put(200, issued(now).mint());
    assert_eq!(listed.present(&token).await, REVOKED);
    let newer = (listed.list(0))
        .claim("iat", now + 1)
        .claim("exp", 1_900_000_000);
    listed.server.put(200, newer.mint());
    listed.api.advance(60);
    listed.until(&token, Verdict::Admitted).await;
}

#[tokio::test]
async fn all_requests_share_one_fetch_and_none_of_them_owns_it() {
    let listed = Listed::start().await;
    let token = listed.token(0);
    listed.server.put(200, listed.list(0).mint());
    listed.server.held.send_replace(true);
    let mut hangs_up = Box::pin(listed.present(&token));
    assert_eq!(hangs_up.as_mut().now_or_never(), None);
    drop(hangs_up);
    let mut others = Box::pin(join_all((0..20).map(|_| listed.present(&token))));
    assert_eq!(others.as_mut().now_or_never(), None);
    listed.server.held.send_replace(false);
    assert_eq!(others.await, [Verdict::Admitted; 20]);
    assert_eq!(listed.server.count(), 1);
}

#[test]
fn settings_that_cannot_work_are_rejected() {
    let at = || StatusLists::at(["https://status.test"]);
    let secs = Duration::from_secs;
    for (lists, part) in [
        (StatusLists::at([""; 0]), "no origin"),
        (StatusLists::at(["status.test"]), "is not a URL"),
        (StatusLists::at(["http://status.test"]), "https"),
        (StatusLists::at(["https://a@status.test"]), "credentials"),
        (StatusLists::at(["https://status.test/1"]), "path"),
        (StatusLists::at(["https://status.test?1"]), "path"),
        (at().max_age(secs(19)), "max_age"),
        (at().max_age(secs(3601)), "max_age"),
        (at().max_size(1023), "max_size"),
        (at().max_size(16 * 1024 * 1024 + 1), "max_size"),
    ] {
        let tokens = TestIssuer::new().tokens().status_lists(lists);
        let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens);
        let error = config.build().unwrap_err().to_string();
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}
