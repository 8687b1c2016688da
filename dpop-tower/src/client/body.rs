use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    vec,
};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::error::BoxError;

/// A body in so many parts is not kept, so that small parts do not take more memory than the limit suggests.
const MAX_PARTS: usize = 1024;

/// The body of an attempt that a [`DpopClientService`](super::DpopClientService) passes on.
///
/// The body of the request is sent as it is polled. Its first bytes are kept until the response arrives, so that
/// the request can be sent again with a nonce.
///
/// It is deliberately not `Clone`. A layer that sends a request again, such as tower's `Retry`, needs a clone
/// of it, and so does not compile inside a [`DpopClientLayer`](super::DpopClientLayer), where it would send a
/// proof twice.
pub struct RequestBody<B>(State<B>);

enum State<B> {
    /// The first attempt, or an attempt that is never repeated.
    First {
        shared: Arc<Shared<B>>,
        size: SizeHint,
    },
    /// The second attempt: what the first one has read, followed by what it has not.
    Second {
        kept: vec::IntoIter<Frame<Bytes>>,
        kept_bytes: u64,
        rest: Option<Pin<Box<B>>>,
    },
    Empty,
}

struct Shared<B>(Mutex<Tee<B>>);

struct Tee<B> {
    /// `None` when it has ended, or when the second attempt has it.
    body: Option<Pin<Box<B>>>,
    has_ended: bool,
    /// What has been read of it. `None` when it is not needed, or more than the limit.
    kept: Option<Vec<Frame<Bytes>>>,
    kept_bytes: usize,
    limit: usize,
}

/// The claim to send a body again, which the future of a call holds until the response arrives.
pub(super) struct Resend<B>(Option<Arc<Shared<B>>>);

impl<B: Body> RequestBody<B> {
    /// Returns the body of the first attempt, of which up to `limit` bytes are kept.
    pub(super) fn first(body: B, limit: usize) -> (Self, Resend<B>) {
        if body.is_end_stream() {
            return (Self(State::Empty), Resend(None));
        }
        let size = body.size_hint();
        let shared = Arc::new(Shared(Mutex::new(Tee {
            body: Some(Box::pin(body)),
            has_ended: false,
            kept: Some(Vec::new()),
            kept_bytes: 0,
            limit,
        })));
        let resend = Resend(Some(Arc::clone(&shared)));
        (Self(State::First { shared, size }), resend)
    }
}

impl<B> Resend<B> {
    /// Returns the body of the second attempt, or `None` if more than the limit has been read. What is left
    /// of the first attempt fails when it is polled.
    pub(super) fn second(mut self) -> Option<RequestBody<B>> {
        let Some(shared) = self.0.take() else {
            return Some(RequestBody(State::Empty));
        };
        let mut tee = shared.lock();
        let kept = tee.kept.take()?;
        Some(RequestBody(State::Second {
            kept_bytes: tee.kept_bytes as u64,
            kept: kept.into_iter(),
            rest: tee.body.take(),
        }))
    }
}

/// Keeps no more of a body that is still being sent, for example in a stream in both directions.
impl<B> Drop for Resend<B> {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.lock().kept = None;
        }
    }
}

impl<B> Shared<B> {
    fn lock(&self) -> MutexGuard<'_, Tee<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, BoxError>>>;

impl<B> Tee<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(body) = &mut self.body else {
            let end = if self.has_ended {
                None
            } else {
                Some(Err(
                    "the second attempt has taken the rest of the body".into()
                ))
            };
            return Poll::Ready(end);
        };
        let polled = poll_bytes(body.as_mut(), cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => self.keep(frame),
            Poll::Ready(Some(Err(_))) => self.kept = None,
            Poll::Ready(None) => {
                self.has_ended = true;
                self.body = None;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(kept) = &mut self.kept else {
            return;
        };
        let copy = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => {
                self.kept_bytes = self.kept_bytes.saturating_add(data.len());
                Frame::data(data.clone())
            }
            (_, Some(trailers)) => Frame::trailers(trailers.clone()),
            _ => return,
        };
        if self.kept_bytes > self.limit || kept.len() >= MAX_PARTS {
            self.kept = None;
        } else {
            kept.push(copy);
        }
    }
}

fn poll_bytes<B>(body: Pin<&mut B>, cx: &mut Context<'_>) -> Polled
where
    B: Body,
    B::Error: Into<BoxError>,
{
    body.poll_frame(cx).map(|polled| {
        polled.map(|frame| {
            let frame = frame.map_err(Into::into)?;
            Ok(frame.map_data(|mut data| data.copy_to_bytes(data.remaining())))
        })
    })
}

// No field is structurally pinned: the body of the caller is in a box.
impl<B> Unpin for RequestBody<B> {}

impl<B> Body for RequestBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            State::First { shared, size } => {
                let mut tee = shared.lock();
                let polled = tee.poll_frame(cx);
                if let Some(body) = &tee.body {
                    *size = body.size_hint();
                }
                polled
            }
            State::Second {
                kept,
                kept_bytes,
                rest,
            } => {
                if let Some(frame) = kept.next() {
                    let len = frame.data_ref().map_or(0, Bytes::len);
                    *kept_bytes = kept_bytes.saturating_sub(len as u64);
                    return Poll::Ready(Some(Ok(frame)));
                }
                match rest {
                    Some(rest) if !rest.is_end_stream() => poll_bytes(rest.as_mut(), cx),
                    _ => Poll::Ready(None),
                }
            }
            State::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            State::First { shared, .. } => {
                let tee = shared.lock();
                match &tee.body {
                    Some(body) => body.is_end_stream(),
                    None => tee.has_ended,
                }
            }
            State::Second { kept, rest, .. } => {
                kept.as_slice().is_empty() && rest.as_ref().is_none_or(Body::is_end_stream)
            }
            State::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            State::First { size, .. } => *size,
            State::Second {
                kept_bytes, rest, ..
            } => {
                let rest = rest
                    .as_ref()
                    .map_or(SizeHint::with_exact(0), Body::size_hint);
                let mut size = SizeHint::new();
                size.set_lower(rest.lower().saturating_add(*kept_bytes));
                if let Some(upper) = rest
                    .upper()
                    .and_then(|upper| upper.checked_add(*kept_bytes))
                {
                    size.set_upper(upper);
                }
                size
            }
            State::Empty => SizeHint::with_exact(0),
        }
    }
}

/// Hides the content.
impl<B> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::First { .. } => "RequestBody::First(..)",
            State::Second { .. } => "RequestBody::Second(..)",
            State::Empty => "RequestBody::Empty",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible};

    use http::HeaderMap;

    use super::*;

    /// A body that gives one part at a time, and panics if it is polled after its end.
    struct Parts(Option<VecDeque<Frame<Bytes>>>);

    impl Parts {
        fn new<const N: usize>(parts: [&'static str; N]) -> Self {
            let parts = parts.into_iter();
            Self(Some(parts.map(|part| Frame::data(part.into())).collect()))
        }
    }

    impl Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let parts = self.0.as_mut().expect("the body has not ended");
            let part = parts.pop_front();
            if part.is_none() {
                self.0 = None;
            }
            Poll::Ready(part.map(Ok))
        }
    }

    fn next<B>(body: &mut RequestBody<B>) -> Option<Result<Frame<Bytes>, BoxError>>
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match Pin::new(body).poll_frame(&mut cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => panic!("the bodies of these tests are ready"),
        }
    }

    fn rest<B>(body: &mut RequestBody<B>) -> String
    where
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut text = String::new();
        while let Some(frame) = next(body) {
            text.push_str(&String::from_utf8_lossy(frame.unwrap().data_ref().unwrap()));
        }
        text
    }

    #[test]
    fn a_body_that_was_read_to_its_end_is_sent_again() {
        let (mut first, resend) = RequestBody::first(Parts::new(["a", "bc"]), 3);
        assert_eq!(rest(&mut first), "abc");
        assert!(first.is_end_stream());
        assert!(next(&mut first).is_none());
        let mut second = resend.second().unwrap();
        assert_eq!(second.size_hint().exact(), Some(3));
        assert_eq!(rest(&mut second), "abc");
        assert!(second.is_end_stream());
    }

    #[test]
    fn a_body_that_was_read_in_part_moves_to_the_second_attempt() {
        let (mut first, resend) = RequestBody::first(Parts::new(["a", "bc", "d"]), 1);
        next(&mut first).unwrap().unwrap();
        let mut second = resend.second().unwrap();
        assert!(next(&mut first).unwrap().is_err());
        assert!(!first.is_end_stream());
        assert_eq!(rest(&mut second), "abcd");
    }

    #[test]
    fn what_exceeds_the_limit_is_not_sent_again() {
        let (mut first, resend) = RequestBody::first(Parts::new(["a", "bc", "d"]), 3);
        assert_eq!(rest(&mut first), "abcd");
        assert!(resend.second().is_none());

        let (mut first, resend) = RequestBody::first(Parts::new(["a"; MAX_PARTS + 1]), 1 << 20);
        rest(&mut first);
        assert!(resend.second().is_none());
    }

    #[test]
    fn nothing_is_kept_once_the_response_is_there() {
        let (mut first, resend) = RequestBody::first(Parts::new(["a", "b"]), 9);
        next(&mut first).unwrap().unwrap();
        drop(resend);
        assert_eq!(rest(&mut first), "b");
        let State::First { shared, .. } = &first.0 else {
            panic!("it is the first attempt");
        };
        assert!(shared.lock().kept.is_none());
    }

    #[test]
    fn trailers_are_sent_again() {
        let mut parts = Parts::new(["a"]);
        let mut trailers = HeaderMap::new();
        trailers.insert("x-checksum", "1".parse().unwrap());
        parts
            .0
            .as_mut()
            .unwrap()
            .push_back(Frame::trailers(trailers.clone()));
        let (mut first, resend) = RequestBody::first(parts, 9);
        while next(&mut first).is_some() {}
        let mut second = resend.second().unwrap();
        next(&mut second).unwrap().unwrap();
        let last = next(&mut second).unwrap().unwrap();
        assert_eq!(last.trailers_ref(), Some(&trailers));
    }

    #[test]
    fn an_empty_body_is_known_to_be_empty_in_both_attempts() {
        let (mut first, resend) = RequestBody::first(String::new(), 0);
        for body in [&mut first, &mut resend.second().unwrap()] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
            assert!(next(body).is_none());
        }
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let (mut first, resend) = RequestBody::first(String::from("abc"), 9);
        assert_eq!(first.size_hint().exact(), Some(3));
        next(&mut first).unwrap().unwrap();
        let second = resend.second().unwrap();
        assert_eq!(second.size_hint().exact(), Some(3));
        assert!(format!("{second:?}").ends_with("(..)"));
    }
}
