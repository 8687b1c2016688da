//! What depends on whether another layer is outside or inside; see `docs/layers.md`.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    response::IntoResponse as _,
    routing::get,
};
use dpop_tower::{
    DpopLayer,
    future::MaybeReady,
    replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
};
use http::{Method, StatusCode, header};
use tower::{Layer as _, Service, ServiceBuilder, ServiceExt as _};
use tower_http::{
    limit::RequestBodyLimitLayer, normalize_path::NormalizePathLayer, timeout::TimeoutLayer,
    trace::TraceLayer,
};

use super::layer;
use crate::{
    rejection::logging::Log,
    support::{Api, ORIGIN, URL, Verdict, invalid_proof},
};

fn routes() -> Router {
    Router::new().route(
        "/orders",
        get(async || "orders").post(async |_: String| "order"),
    )
}

fn replayed() -> Verdict {
    invalid_proof("proof_replayed")
}

async fn sent<S, B>(
    service: &S,
    request: http::Request<()>,
    body: &'static str,
) -> http::Response<B>
where
    S: Service<Request, Response = http::Response<B>, Error = Infallible> + Clone,
{
    let request = request.map(|()| Body::from(body));
    service.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn a_rate_limit_inside_uses_up_proofs_and_one_outside_does_not() {
    let api = Api::new();
    let limit = || {
        let is_first = Arc::new(AtomicBool::new(true));
        from_fn(move |request: Request, next: Next| {
            let is_limited = is_first.swap(false, Ordering::SeqCst);
            async move {
                match is_limited {
                    true => StatusCode::TOO_MANY_REQUESTS.into_response(),
                    false => next.run(request).await,
                }
            }
        })
    };
    let outside = ServiceBuilder::new().layer(limit()).layer(layer(&api));
    let inside = ServiceBuilder::new().layer(layer(&api)).layer(limit());
    for (router, again) in [
        (routes().layer(outside), Verdict::Admitted),
        (routes().layer(inside), replayed()),
    ] {
        let request = api.client.get(URL, &api.token().mint());
        let limited = sent(&router, request.clone(), "").await;
        assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(Verdict::of(sent(&router, request, "").await), again);
    }
}

#[tokio::test]
async fn a_limit_of_bodies_inside_uses_up_proofs_and_one_outside_does_not() {
    let api = Api::new();
    let limit = || RequestBodyLimitLayer::new(4);
    let outside = ServiceBuilder::new().layer(limit()).layer(layer(&api));
    let inside = ServiceBuilder::new().layer(layer(&api)).layer(limit());
    for (router, again) in [
        (routes().layer(outside), Verdict::Admitted),
        (routes().layer(inside), replayed()),
    ] {
        let token = api.token().mint();
        let request = |length: &str| {
            let mut request = api.client.request(Method::POST, URL, &token);
            request
                .headers_mut()
                .insert(header::CONTENT_LENGTH, length.parse().unwrap());
            request
        };
        let large = request("5");
        let mut small = large.clone();
        small
            .headers_mut()
            .insert(header::CONTENT_LENGTH, "4".parse().unwrap());
        let limited = sent(&router, large, "large").await;
        assert_eq!(limited.status(), StatusCode::PAYLOAD_TOO_LARGE);
        // A proof says nothing about the body.
        assert_eq!(Verdict::of(sent(&router, small, "tiny").await), again);
    }
}

/// A store that never answers.
#[derive(Debug, Default)]
struct Silent(AcceptanceWindows);

impl ReplayStore for Silent {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::pending(std::future::pending())
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_outside_covers_the_replay_store_and_one_inside_does_not() {
    let api = Api::new();
    let timeout =
        || TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30));
    let dpop = || {
        DpopLayer::new(
            api.config()
                .replay_store(Silent::default())
                .build()
                .unwrap(),
        )
    };
    let outside = routes().layer(ServiceBuilder::new().layer(timeout()).layer(dpop()));
    let inside = routes().layer(ServiceBuilder::new().layer(dpop()).layer(timeout()));
    let request = || api.client.get(URL, &api.token().mint());
    let response = sent(&outside, request(), "").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let patience = Duration::from_secs(3600);
    let answer = tokio::time::timeout(patience, sent(&inside, request(), "")).await;
    assert!(answer.is_err(), "{answer:?}");
}

#[tokio::test]
async fn a_trace_outside_has_rejections_and_one_inside_does_not() {
    let api = Api::new();
    let trace = TraceLayer::new_for_http;
    let outside = routes().layer(ServiceBuilder::new().layer(trace()).layer(layer(&api)));
    let inside = routes().layer(ServiceBuilder::new().layer(layer(&api)).layer(trace()));
    for (router, is_traced) in [(outside, true), (inside, false)] {
        let log = Log::listen();
        let bare = http::Request::get("/orders").body(()).unwrap();
        assert_eq!(
            sent(&router, bare, "").await.status(),
            StatusCode::UNAUTHORIZED
        );
        let lines = log.take();
        let of_trace = |line: &&String| line.contains("finished processing request");
        let traced = lines
            .iter()
            .filter(of_trace)
            .filter(|line| line.contains("status=401"));
        assert_eq!(traced.count(), usize::from(is_traced), "{lines:#?}");
    }
}

#[tokio::test]
async fn normalised_paths_are_checked_as_they_were_sent_inside_and_not_outside() {
    let api = Api::new();
    let trim = NormalizePathLayer::trim_trailing_slash;
    let protected = |router: Router| layer(&api).layer(router);
    let inside = layer(&api).layer(trim().layer(routes()));
    let outside = trim().layer(protected(routes()));
    let mismatch = || invalid_proof("proof_htu_mismatch");
    let slash = format!("{ORIGIN}/orders/");
    let token = api.token().mint();
    let request = || api.client.get(&slash, &token);
    assert_eq!(
        Verdict::of(sent(&inside, request(), "").await),
        Verdict::Admitted
    );
    assert_eq!(Verdict::of(sent(&outside, request(), "").await), mismatch());
    // Without normalisation, the router has no such route.
    let response = sent(&protected(routes()), request(), "").await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
