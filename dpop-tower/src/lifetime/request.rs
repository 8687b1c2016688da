//! A request whose token may expire before it is answered.

use std::{
    any::Any,
    future::Future as _,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Request, Version, header};

use super::{
    Ended, TokenLifetime,
    watch::{Ending, Watch},
};

/// What becomes of a request and its response when the token expires.
pub(crate) struct Expiry {
    lifetime: TokenLifetime,
    upload: Upload,
}

/// The body of a request.
pub(super) enum Upload {
    /// Its length is known.
    Finite,
    /// It ends with an error, and this says whether it did.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    Wrapped(Arc<AtomicBool>),
    /// It may go on for ever, and cannot be replaced by one that does not.
    Opaque(Option<Pin<Box<Ended>>>),
}

impl Expiry {
    /// Has the request's body end with the token; `None` if nothing of this request ends.
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

    /// Completes when the request is to be given up as a whole, since its body cannot be ended alone.
    pub(crate) fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Upload::Opaque(ended) = &mut self.upload else {
            return Poll::Pending;
        };
        let ended = ended.get_or_insert_with(|| Box::pin(self.lifetime.ended()));
        ended.as_mut().poll(cx)
    }

    /// What ends the body of a response with these headers; `None` if it has come too late to be given.
    pub(crate) fn watch(&self, headers: &HeaderMap) -> Option<Watch> {
        let ending = Ending::of(headers, self.upload.was_cut());
        (!ending.request_was_cut()).then(|| Watch::new(self.lifetime.clone(), ending))
    }
}

impl Upload {
    /// What says whether it has been ended, if it can be.
    const fn was_cut(&self) -> Option<&Arc<AtomicBool>> {
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

/// Whether a request has a body of unknown length, by its head: of its type nothing is known.
fn may_go_on<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    match request.version() {
        // RFC 9112 section 6.3: without either header there is no body.
        Version::HTTP_09 | Version::HTTP_10 | Version::HTTP_11 => {
            headers.contains_key(header::TRANSFER_ENCODING)
        }
        // RFC 9113 section 8.1.1: the length is optional. Whether there is a body at all is said in a
        // frame, so for methods that hardly ever have one, none is assumed.
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
