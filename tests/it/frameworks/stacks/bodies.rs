//! The length and the end that a response's body reports.

use std::{
    convert::Infallible,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use dpop_tower::{DpopLayer, ResponseBody, rejection::Rejection};
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, StreamBody};
use tower::{Layer as _, ServiceExt as _, service_fn};

use super::layer;
use crate::support::{Api, URL};

/// Returns the response to a valid request, or to one without credentials.
async fn answered<B>(layer: DpopLayer, request: Request<()>, body: B) -> ResponseBody<B>
where
    B: Clone,
{
    let service = layer.layer(service_fn(move |_: Request<()>| {
        let response = Response::new(body.clone());
        async { Ok::<_, Infallible>(response) }
    }));
    service.oneshot(request).await.unwrap().into_body()
}

fn good(api: &Api) -> Request<()> {
    api.client.get(URL, &api.token().mint())
}

#[tokio::test]
async fn the_inner_body_is_passed_on_as_it_is() {
    let api = Api::new();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let frames = [
        Frame::data(Bytes::from_static(b"one")),
        Frame::data(Bytes::new()),
        Frame::trailers(trailers.clone()),
    ];
    for layer in [layer(&api), layer(&api).end_streams_at_expiry()] {
        let body = answered(layer.clone(), good(&api), Full::<Bytes>::from("whole")).await;
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        let mut body = pin!(body);
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "whole"
        );
        assert!(body.is_end_stream());
        assert!(body.frame().await.is_none());

        let stream = || {
            let frames =
                frames
                    .iter()
                    .map(|frame| match (frame.data_ref(), frame.trailers_ref()) {
                        (Some(data), _) => Frame::data(data.clone()),
                        (_, trailers) => Frame::trailers(trailers.unwrap().clone()),
                    });
            let frames: Vec<_> = frames.map(Ok::<_, Infallible>).collect();
            StreamBody::new(tokio_stream::iter(frames))
        };
        let service = layer.layer(service_fn(async |_: Request<()>| {
            Ok::<_, Infallible>(Response::new(stream()))
        }));
        let body = service.oneshot(good(&api)).await.unwrap().into_body();
        assert_eq!(body.size_hint().exact(), None);
        let mut body = pin!(body);
        for text in ["one", ""] {
            assert_eq!(
                body.frame().await.unwrap().unwrap().into_data().unwrap(),
                text
            );
        }
        let last = body.frame().await.unwrap().unwrap();
        assert_eq!(last.into_trailers().unwrap(), trailers);
        assert!(body.frame().await.is_none());
    }
}

#[tokio::test]
async fn a_rejection_is_one_piece_of_known_length_or_nothing() {
    let api = Api::new();
    let bare = || Request::get(URL).body(()).unwrap();
    let inner = Full::<Bytes>::from("not for strangers");
    let body = answered(layer(&api), bare(), inner.clone()).await;
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(pin!(body).frame().await.is_none());

    let in_words = |rejection: &Rejection| Response::new(rejection.reason().to_owned());
    let layer = layer(&api)
        .end_streams_at_expiry()
        .with_rejection_response(in_words);
    let body = answered(layer, bare(), inner).await;
    assert!(!body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(19));
    let mut body = pin!(body);
    let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(piece, "credentials_missing");
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
    assert!(body.frame().await.is_none());
}

/// A responder may return anything that can be converted to `Bytes`.
#[tokio::test]
async fn responders_answer_with_texts_bytes_and_nothing() {
    async fn answer<T>(make: impl Fn() -> T + Clone + Send + Sync + 'static) -> Bytes
    where
        T: Into<Bytes>,
    {
        let api = Api::new();
        let layer = layer(&api).with_rejection_response(move |_: &Rejection| Response::new(make()));
        let bare = Request::get(URL).body(()).unwrap();
        let body = answered(layer, bare, Full::<Bytes>::default()).await;
        body.collect().await.unwrap().to_bytes()
    }
    assert_eq!(answer(|| "text").await, "text");
    assert_eq!(answer(|| String::from("text")).await, "text");
    assert_eq!(answer(|| b"text".to_vec()).await, "text");
    assert_eq!(answer(|| b"text".as_slice()).await, "text");
    assert_eq!(answer(|| Bytes::from_static(b"text")).await, "text");
    assert_eq!(answer(|| "").await, "");
}

/// A body of known length that fails.
struct Fails;

impl Body for Fails {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Err("broken")))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(7)
    }
}

#[tokio::test]
async fn an_error_of_the_inner_body_is_passed_on() {
    let api = Api::new();
    let layer = layer(&api).end_streams_at_expiry();
    let service = layer.layer(service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(Fails))
    }));
    let body = service.oneshot(good(&api)).await.unwrap().into_body();
    let error = pin!(body).frame().await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "broken");
}

#[test]
fn the_default_is_that_of_the_inner_body() {
    let body = ResponseBody::<Full<Bytes>>::default();
    assert!(body.is_end_stream());
    assert_eq!(
        format!("{body:?}"),
        format!("ResponseBody({:?})", Full::<Bytes>::default())
    );
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        pin!(body).poll_frame(&mut context),
        Poll::Ready(None)
    ));
}
