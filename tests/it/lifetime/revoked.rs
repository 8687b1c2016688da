//! Streams whose token is revoked while they are open.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::{get, post},
};
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    future::MaybeReady,
    lifetime::TokenLifetime,
    revocation::{
        MemoryRevocationList, Revocation, RevocationError, RevocationList, RevocationQuery,
        RevocationStatus,
    },
};
use http::{Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, advance, sleep, timeout},
};

use super::{
    Api, Flood, LIFETIME, PausedClock, Pipe, answering, assert_stays_open, is_token_expired, read,
    send, ticking,
};
use crate::support::{ORIGIN, Verdict, invalid_token};

/// The documented limit, with the second in which the clock of these tests is read.
const SOON: Duration = Duration::from_secs(6);

fn layer(api: &Api<PausedClock>, list: Arc<dyn RevocationList>) -> DpopLayer {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, api.issuer.tokens()).clock(api.clock.clone());
    let config = config.revocation_list(list).build().unwrap();
    DpopLayer::new(config).end_streams_at_expiry()
}

/// A list that ends all tokens of these tests on demand.
fn revocable(api: &Api<PausedClock>) -> (Arc<MemoryRevocationList>, impl Fn() + use<>) {
    let list = Arc::new(MemoryRevocationList::new().clock(api.clock.clone()));
    let (filled, key) = (Arc::clone(&list), api.client.thumbprint());
    let revoke = move || {
        let until = dpop_tower::clock::UnixTime::from_secs(1_900_000_000);
        filled
            .revoke(Revocation::Key { thumbprint: key }, until)
            .unwrap();
    };
    (list, revoke)
}

/// Revokes after so many seconds. Returns when.
async fn after(secs: u64, revoke: impl Fn()) -> Instant {
    sleep(Duration::from_secs(secs)).await;
    revoke();
    Instant::now()
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_within_five_seconds_of_the_revocation() {
    for body in [ticking as fn() -> Body, quiet] {
        let api = Api::new();
        let (list, revoke) = revocable(&api);
        let response = api.get(answering(body).layer(layer(&api, list))).await;
        let ((_, end), revoked) = tokio::join!(read(response.into_body()), after(33, revoke));
        let error = end.unwrap_err();
        assert!(is_token_expired(&error), "{error:?}");
        assert!(format!("{error:?}").contains("Revoked"), "{error:?}");
        assert!(revoked.elapsed() <= SOON, "{:?}", revoked.elapsed());
    }
}

/// A body that says one word and nothing else.
fn quiet() -> Body {
    let (sender, receiver) = mpsc::unbounded_channel();
    sender.send("one").unwrap();
    tokio::spawn(async move { sender.closed().await });
    Body::new(Pipe(receiver))
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_never_pending_ends_as_well() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let router = answering(|| Body::new(Flood)).layer(layer(&api, list));
    let mut body = api.get(router).await.into_body();
    for _ in 0..1_000 {
        assert!(body.frame().await.unwrap().is_ok());
    }
    revoke();
    advance(Duration::from_secs(5)).await;
    let mut ended = false;
    for _ in 0..100 {
        ended |= !matches!(body.frame().await, Some(Ok(_)));
    }
    assert!(ended);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_token_that_is_not_revoked_goes_on_until_its_expiry() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let until = dpop_tower::clock::UnixTime::from_secs(1_900_000_000);
    let other = Revocation::Token {
        issuer: "https://issuer.test",
        jti: "another",
    };
    list.revoke(other, until).unwrap();
    let began = Instant::now();
    let response = api.get(answering(ticking).layer(layer(&api, list))).await;
    let (_, end) = read(response.into_body()).await;
    assert!(format!("{end:?}").contains("Expired"), "{end:?}");
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    drop(revoke);
}

#[tokio::test(start_paused = true)]
async fn where_streams_do_not_end_they_do_not_end_by_revocation() {
    let api = Api::new();
    for ends in [false, true] {
        let (list, revoke) = revocable(&api);
        let exempt = Policy::strict().danger_let_streams_outlive_tokens();
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, api.issuer.tokens()).clock(api.clock.clone());
        let layer = DpopLayer::new(config.revocation_list(list).build().unwrap());
        let layer = match ends {
            true => layer
                .end_streams_at_expiry()
                .with_policy(exempt.build().unwrap()),
            false => layer,
        };
        let response = api.get(answering(ticking).layer(layer)).await;
        revoke();
        assert_stays_open(response.into_body()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_and_the_response_says_that_the_token_is_revoked() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let errors: Arc<Mutex<Vec<axum::Error>>> = Arc::default();
    let seen = Arc::clone(&errors);
    let upload = post(async move |body: Body| {
        let (_, end) = read(body).await;
        seen.lock().unwrap().push(end.unwrap_err());
    });
    let router = Router::new().route("/", upload).layer(layer(&api, list));
    let request = api.request(http::Method::POST, "/").map(|()| ticking());
    let response = tower::ServiceExt::oneshot(router, request);
    let (response, revoked) = tokio::join!(response, after(10, revoke));
    assert!(revoked.elapsed() <= SOON);
    assert!(is_token_expired(&errors.lock().unwrap()[0]));
    assert_eq!(response.unwrap().status(), StatusCode::OK);
}

/// The layer cannot end a body of this type, so it rejects the request as a whole.
#[tokio::test(start_paused = true)]
async fn a_request_whose_body_cannot_be_wrapped_is_rejected() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let service = tower::service_fn(|_: http::Request<Pipe>| async {
        std::future::pending::<()>().await;
        Ok::<_, io::Error>(Response::new(Body::empty()))
    });
    let service = tower::Layer::layer(&layer(&api, list), service);
    let (_sender, receiver) = mpsc::unbounded_channel();
    let mut request = api
        .request(http::Method::POST, "/")
        .map(|()| Pipe(receiver));
    let chunked = http::HeaderValue::from_static("chunked");
    request.headers_mut().insert("transfer-encoding", chunked);
    let response = tower::ServiceExt::oneshot(service, request);
    let (response, revoked) = tokio::join!(response, after(10, revoke));
    assert!(revoked.elapsed() <= SOON);
    assert_eq!(
        Verdict::of(response.unwrap()),
        invalid_token("token_revoked")
    );
}

#[tokio::test(start_paused = true)]
async fn a_grpc_stream_ends_with_unauthenticated_and_the_reason() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let handler = get(async || {
        let mut response = Response::new(quiet());
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", grpc);
        response
    });
    let router = Router::new().route("/", handler).layer(layer(&api, list));
    let body = api.get(router).await.into_body();
    let (body, _) = tokio::join!(body.collect(), after(10, revoke));
    let trailers = body.unwrap().trailers().cloned().unwrap();
    assert_eq!(trailers["grpc-status"], "16");
    assert_eq!(trailers["dpop-reason"], "token_revoked");
}

#[tokio::test(start_paused = true)]
async fn the_lifetime_of_a_web_socket_ends_too() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    let handler = get(async |lifetime: TokenLifetime| {
        let mut ended = std::pin::pin!(lifetime.ended());
        ended.as_mut().await;
        // It completes again.
        ended.as_mut().await;
        assert!(!lifetime.is_over());
        Bytes::from_static(b"ended")
    });
    let router = Router::new().route("/", handler).layer(layer(&api, list));
    let (response, revoked) = tokio::join!(api.get(router), after(10, revoke));
    assert_eq!(response.status(), 200);
    assert!(revoked.elapsed() <= SOON);
}

/// A list of somebody's own.
#[derive(Debug)]
struct Own {
    asked: AtomicUsize,
    /// The number of questions from the second on that get no answer.
    fails: usize,
    version: Option<AtomicU64>,
}

impl Own {
    fn new(fails: usize, version: Option<u64>) -> Arc<Self> {
        let (asked, version) = (AtomicUsize::new(0), version.map(AtomicU64::new));
        Arc::new(Self {
            asked,
            fails,
            version,
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl RevocationList for Own {
    fn status(
        &self,
        _: RevocationQuery<'_>,
    ) -> MaybeReady<Result<RevocationStatus, RevocationError>> {
        let number = self.asked.fetch_add(1, Ordering::SeqCst);
        let fails = (1..=self.fails).contains(&number);
        MaybeReady::pending(async move {
            sleep(Duration::from_secs(1)).await;
            match fails {
                true => Err(RevocationError::unavailable("connection reset")),
                false => Ok(RevocationStatus::Active),
            }
        })
    }

    fn version(&self) -> Option<u64> {
        Some(self.version.as_ref()?.load(Ordering::SeqCst))
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_a_version_is_asked_every_five_seconds() {
    let api = Api::new();
    let list = Own::new(0, None);
    let router = answering(quiet).layer(layer(&api, Arc::<Own>::clone(&list)));
    let response = api.get(router).await;
    let _ = timeout(Duration::from_secs(61), read(response.into_body())).await;
    // Once when the request came, and then every five seconds.
    assert_eq!(list.asked(), 13);
}

#[tokio::test(start_paused = true)]
async fn a_list_with_a_version_is_asked_when_it_has_changed() {
    let api = Api::new();
    let list = Own::new(0, Some(7));
    let router = answering(quiet).layer(layer(&api, Arc::<Own>::clone(&list)));
    let response = api.get(router).await;
    let mut reading = Box::pin(read(response.into_body()));
    let _ = timeout(Duration::from_secs(40), &mut reading).await;
    // The first time to learn the version, which may have changed since the request came.
    assert_eq!(list.asked(), 2);
    list.version.as_ref().unwrap().store(8, Ordering::SeqCst);
    let _ = timeout(Duration::from_secs(40), &mut reading).await;
    assert_eq!(list.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_does_not_answer_ends_the_stream_after_half_a_minute() {
    for (fails, outlives) in [(5, true), (6, false)] {
        let api = Api::new();
        let list = Own::new(fails, None);
        let began = Instant::now();
        let response = api.get(answering(quiet).layer(layer(&api, list))).await;
        let (_, end) = read(response.into_body()).await;
        let text = format!("{end:?}");
        if outlives {
            assert!(text.contains("Expired"), "{text}");
            assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
        } else {
            assert!(text.contains("RevocationUnavailable"), "{text}");
            assert!((30..=40).contains(&began.elapsed().as_secs()), "{began:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_opens_no_new_stream() {
    let api = Api::new();
    let (list, revoke) = revocable(&api);
    revoke();
    let router = answering(ticking).layer(layer(&api, list));
    let response = send(router, api.request(http::Method::GET, "/")).await;
    assert_eq!(Verdict::of(response), invalid_token("token_revoked"));
}
