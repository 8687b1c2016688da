//! Responses that outlive their token.

use std::{
    convert::Infallible,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes},
    response::sse::{Event, Sse},
    routing::{get, post},
};
use dpop_tower::{
    Policy,
    clock::{ManualClock, TimeSource as _, UnixTime},
    lifetime::{TokenExpired, TokenLifetime},
};
use http::{Request, Response, StatusCode, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::{
    Announced, Api, Flood, LIFETIME, Pipe, answering, assert_stays_open, is_token_expired, read,
    send, ticking,
};
use crate::support::Verdict;

#[tokio::test(start_paused = true)]
async fn events_end_in_an_orderly_way_when_the_token_does() {
    let api = Api::new();
    let router = Router::new().route(
        "/",
        get(|| async {
            let (sender, receiver) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while sender.send(()).is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            let tick = |()| Ok::<_, Infallible>(Event::default().data("tick"));
            Sse::new(UnboundedReceiverStream::new(receiver).map(tick))
        }),
    );
    let began = Instant::now();
    let response = api
        .get(router.layer(api.layer().end_streams_at_expiry()))
        .await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    let (pieces, end) = read(response.into_body()).await;
    end.unwrap();
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
    // One at the beginning of each second, and perhaps one in the last.
    assert!((100..=101).contains(&pieces), "{pieces}");
}

#[tokio::test(start_paused = true)]
async fn without_the_layer_a_stream_goes_on() {
    let api = Api::new();
    let response = api.get(answering(ticking).layer(api.layer())).await;
    assert_stays_open(response.into_body()).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_does_not_look_complete() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let began = Instant::now();
    let response = api.get(answering(ticking).layer(layer)).await;
    let body = response.into_body();
    assert_eq!(body.size_hint().lower(), 0);
    let (_, end) = read(body).await;
    assert!(is_token_expired(&end.unwrap_err()));
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

/// A body that announces at least eight bytes, and never sends any.
#[derive(Default)]
struct Promise;

impl http_body::Body for Promise {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(8);
        hint
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_has_been_ended_stays_so_and_promised_nothing() {
    let api = Api::new();
    for (content_type, last) in [
        ("application/grpc", "trailers"),
        ("application/grpc+proto", "trailers"),
        ("application/grpc-web+proto", "an error"),
        ("text/event-stream; charset=utf-8", "nothing"),
        ("text/event-streams", "an error"),
        ("text/plain", "an error"),
    ] {
        let layer = api.layer().end_streams_at_expiry();
        let service = layer.layer(service_fn(async |_| {
            let response = Response::builder().header(header::CONTENT_TYPE, content_type);
            Ok::<_, Infallible>(response.body(Promise).unwrap())
        }));
        let request = api.request(http::Method::GET, "/");
        let request = request.map(|()| http_body_util::Empty::<Bytes>::new());
        let body = service.oneshot(request).await.unwrap().into_body();
        let mut body = pin!(body);
        assert_eq!(body.size_hint().lower(), 0, "{content_type}");
        assert!(!body.is_end_stream(), "{content_type}");
        let ended = match body.frame().await {
            None => "nothing",
            Some(Err(error)) if error.is::<TokenExpired>() => "an error",
            Some(Ok(frame)) if frame.is_trailers() => "trailers",
            other => panic!("{content_type}: {other:?}"),
        };
        assert_eq!(ended, last, "{content_type}");
        assert!(body.is_end_stream(), "{content_type}");
        assert!(body.frame().await.is_none(), "{content_type}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_ends_as_well() {
    let half = Duration::from_millis(500);
    let api = Api::in_the_middle_of_a_second(half);
    let layer = api.layer().end_streams_at_expiry();
    let (sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let body = move || Body::new(Pipe(receiver.lock().unwrap().take().unwrap()));
    let response = api.get(answering(body).layer(layer)).await;
    let began = Instant::now();
    let (pieces, end) = read(response.into_body()).await;
    assert_eq!(pieces, 0);
    assert!(is_token_expired(&end.unwrap_err()));
    assert!(sender.is_closed());
    // Not too early, and at most a tenth of a second late.
    let late = began.elapsed() - (Duration::from_secs(LIFETIME.unsigned_abs()) - half);
    assert!(late <= Duration::from_millis(100), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_never_waits_ends_as_well() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let api = Api::with(clock.clone());
    let layer = api.layer().end_streams_at_expiry();
    let response = api.get(answering(|| Body::new(Flood)).layer(layer)).await;
    let mut body = response.into_body();
    for _ in 0..1_000 {
        body.frame().await.unwrap().unwrap();
    }
    clock.advance(Duration::from_secs(LIFETIME.unsigned_abs()));
    let (pieces, end) = read(body).await;
    assert_eq!(pieces, 0);
    assert!(is_token_expired(&end.unwrap_err()));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_is_noticed_within_half_a_minute() {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let api = Api::with(clock.clone());
    let layer = api.layer().end_streams_at_expiry();
    let (_sender, receiver) = mpsc::unbounded_channel();
    let receiver = Arc::new(std::sync::Mutex::new(Some(receiver)));
    let body = move || Body::new(Pipe(receiver.lock().unwrap().take().unwrap()));
    let response = api.get(answering(body).layer(layer)).await;
    // A task of its own, which only the timer wakes.
    let silent = tokio::spawn(read(response.into_body()));
    sleep(Duration::from_secs(3600)).await;
    // The clock stands still, so nothing has ended.
    assert!(!silent.is_finished());
    clock.advance(Duration::from_secs(LIFETIME.unsigned_abs()));
    let began = Instant::now();
    silent.await.unwrap().1.unwrap_err();
    assert!(began.elapsed() <= Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_answer_whose_length_was_announced_is_left_alone() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let slow = || {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            sender.send("half").unwrap();
            sleep(Duration::from_secs(3600)).await;
            sender.send("half").unwrap();
        });
        Body::new(Announced(Pipe(receiver)))
    };
    let response = api.get(answering(slow).layer(layer)).await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "halfhalf"
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_took_longer_than_its_token_is_given_in_one_piece() {
    let api = Api::new();
    let layer = api.layer().end_streams_at_expiry();
    let router = Router::new().route(
        "/",
        get(|| async {
            sleep(Duration::from_secs(3600)).await;
            let (sender, receiver) = mpsc::unbounded_channel();
            sender.send("done").unwrap();
            Response::new(Body::new(Pipe(receiver)))
        }),
    );
    let response = api.get(router.layer(layer)).await;
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "done"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_goes_on_sending_is_cut_off() {
    let api = Api::new();
    let router = Router::new().route(
        "/",
        post(|body: Body| async {
            let (pieces, end) = read(body).await;
            assert!(pieces >= 100, "{pieces}");
            assert!(is_token_expired(&end.unwrap_err()));
            "cut"
        }),
    );
    let request = api.request(http::Method::POST, "/").map(|()| ticking());
    let began = Instant::now();
    let router = router.layer(api.layer().end_streams_at_expiry());
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "cut"
    );
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());
}

#[tokio::test(start_paused = true)]
async fn bearer_tokens_expire_too() {
    let api = Api::new();
    let layer = api.layer().with_policy(Policy::optional());
    let router = answering(ticking).layer(layer.end_streams_at_expiry());
    let token = api.unbound().mint();
    let request = Request::get("/").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let response = send(router, request.body(()).unwrap()).await;
    read(response.into_body()).await.1.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn where_nothing_is_enforced_nothing_ends() {
    let api = Api::new();
    for policy in [
        Policy::off(),
        Policy::report_only(),
        Policy::strict().danger_let_streams_outlive_tokens(),
    ] {
        let layer = api.layer().with_policy(policy).end_streams_at_expiry();
        let response = api.get(answering(ticking).layer(layer)).await;
        assert_stays_open(response.into_body()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_layers_either_is_enough_to_have_streams_ended() {
    let api = Api::new();
    let lenient = || Policy::strict().danger_let_streams_outlive_tokens();
    let layer = api.layer();
    let other_config = api.layer();
    for (outer, inner, ends) in [
        (layer.clone(), layer.clone().with_policy(lenient()), true),
        (layer.clone().with_policy(lenient()), layer.clone(), true),
        (
            layer.clone().with_policy(lenient()),
            layer.clone().with_policy(lenient()),
            false,
        ),
        (
            layer.clone(),
            layer.clone().with_policy(Policy::report_only()),
            true,
        ),
        (
            layer.clone().with_policy(Policy::report_only()),
            layer.clone(),
            true,
        ),
        (
            layer.clone(),
            other_config.clone().with_policy(lenient()),
            true,
        ),
        (
            layer.clone().with_policy(lenient()),
            other_config.clone(),
            true,
        ),
    ] {
        let what = format!("{outer:?} around {inner:?}");
        let router = answering(ticking).layer(inner.end_streams_at_expiry());
        let response = api.get(router.layer(outer)).await;
        assert_eq!(response.status(), StatusCode::OK);
        if ends {
            let (_, end) =
                tokio::time::timeout(Duration::from_secs(3600), read(response.into_body()))
                    .await
                    .unwrap_or_else(|_| panic!("{what}"));
            end.unwrap_err();
        } else {
            assert_stays_open(response.into_body()).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_passes_as_it_is() {
    let api = Api::new();
    let router = answering(ticking).layer(api.layer().end_streams_at_expiry());
    let request = Request::get("/").body(()).unwrap();
    let verdict = Verdict::of(send(router, request).await);
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    assert_eq!(verdict, missing);
}

#[tokio::test(start_paused = true)]
async fn a_handler_learns_when_its_token_ends() {
    async fn handler(lifetime: TokenLifetime) -> String {
        let before = lifetime.is_over();
        lifetime.ended().await;
        format!(
            "{before} {} {:?}",
            lifetime.is_over(),
            lifetime.expires_at()
        )
    }
    let api = Api::new();
    let expires_at = api
        .clock
        .now()
        .saturating_add(Duration::from_secs(LIFETIME.unsigned_abs()));
    let router = Router::new().route("/", get(handler));
    let began = Instant::now();
    let response = api.get(router.clone().layer(api.layer())).await;
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, format!("false true {:?}", Some(expires_at)));
    assert_eq!(began.elapsed().as_secs(), LIFETIME.unsigned_abs());

    // Without a layer in front, it is a developer's error.
    let response = api.get(router).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
