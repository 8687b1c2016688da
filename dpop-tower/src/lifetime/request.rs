//! A request whose token may expire before it is answered.

use std::{
    any::Any,
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Request, Version, header};

use super::{
    Ended, TokenLifetime,
    watch::{Cut, Ending, Watch},
};
use crate::token::TokenErrorKind;

/// Ends a request and its response when the token expires.
pub(crate) struct Expiry {
    lifetime: TokenLifetime,
    upload: Upload,
}

/// The body of a request.
pub(super) enum Upload {
    /// The length of the body is known.
    Finite,
    /// The body is wrapped and ends with an error. The flag is set when it has.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    Wrapped(Arc<Cut>),
    /// The body may never end and cannot be wrapped.
    Opaque(Option<Pin<Box<Ended>>>),
}

impl Expiry {
    /// Makes the request's body end with the token. Returns `None` if this request has no end.
    pub(crate) fn begin<B: 'static>(request: &mut Request<B>) -> Option<Self> {
        let lifetime = TokenLifetime::of(request.extensions())?;
        lifetime.expires_at()?;
        let upload = match wrapped(request.body_mut(), &lifetime) {
            Some(upload) => upload,
            None if may_go_on(request) => Upload::Opaque(None),
            None => Upload::Finite,
        };
        Some(Self { lifetime, upload })
    }

    /// Completes when the request has to be rejected as a whole, and for which reason.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<TokenErrorKind> {
        let Upload::Opaque(ended) = &mut self.upload else {
            return Poll::Pending;
        };
        let ended = ended.get_or_insert_with(|| Box::pin(self.lifetime.ended()));
        ended.as_mut().poll(cx).map(|()| ended.why())
    }

    /// Returns the watch for a response with these headers, or the reason why the response comes too late.
    pub(crate) fn watch(&self, headers: &HeaderMap) -> Result<Watch, TokenErrorKind> {
        let ending = Ending::of(headers, self.upload.was_cut());
        match ending.request_was_cut() {
            Some(why) => Err(why),
            None => Ok(Watch::new(self.lifetime.clone(), ending)),
        }
    }
}

impl Upload {
    /// Returns the flag that is set when the body has been ended.
    const fn was_cut(&self) -> Option<&Arc<Cut>> {
        match self {
            #[cfg(any(feature = "axum", feature = "tonic"))]
            Self::Wrapped(was_cut) => Some(was_cut),
            Self::Finite | Self::Opaque(_) => None,
        }
    }
}

#[cfg(any(feature = "axum", feature = "tonic"))]
fn wrapped(body: &mut dyn Any, lifetime: &TokenLifetime) -> Option<Upload> {
    super::upload::wrapped(body, lifetime)
}

#[cfg(not(any(feature = "axum", feature = "tonic")))]
fn wrapped(_: &mut dyn Any, _: &TokenLifetime) -> Option<Upload> {
    None
}

/// Returns whether a request has a body of unknown length, judged by its head.
fn may_go_on<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    match request.version() {
        // RFC 9112 section 6.3: without either header there is no body.
        Version::HTTP_09 | Version::HTTP_10 | Version::HTTP_11 => {
            headers.contains_key(header::TRANSFER_ENCODING)
        }
        // RFC 9113 section 8.1.1: the length is optional. The head does not say whether there is a body,
        // so methods that rarely have one are assumed to have none.
        _ => {
            !headers.contains_key(header::CONTENT_LENGTH)
                && ![
                    Method::CONNECT,
                    Method::DELETE,
                    Method::GET,
                    Method::HEAD,
                    Method::OPTIONS,
                    Method::TRACE,
                ]
                .contains(request.method())
        }
    }
}
