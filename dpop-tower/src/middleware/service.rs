use std::{
    mem,
    net::IpAddr,
    task::{Context, Poll},
};

use http::{Extensions, HeaderMap, Request, Response, Uri, header};
use tower_service::Service;

use super::{ResponseBody, ResponseFuture};
use crate::{
    header::DPOP,
    target::PeerAddr,
    verifier::{RequestHead, Verifier},
};

/// The service of a [`DpopLayer`](super::DpopLayer).
///
/// Requests and errors have the types of the inner service. The body of its responses is a
/// [`ResponseBody`]. It is ready when the inner service is. Each call clones the inner service, so that
/// should be cheap to clone, as the services of axum and tonic are.
///
/// The values of `Authorization` and `DPoP` are marked as
/// [sensitive](http::HeaderValue::set_sensitive), so inner layers that log headers do not log them.
#[derive(Clone, Debug)]
pub struct Dpop<S> {
    inner: S,
    verifier: Verifier,
}

impl<S> Dpop<S> {
    pub(super) const fn new(inner: S, verifier: Verifier) -> Self {
        Self { inner, verifier }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, without the checks of the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Dpop<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let inner = take_ready(&mut self.inner);
        let peer = peer_address(request.extensions_mut());
        let verification = self.verifier.verify_request(request_head(&request, peer));
        mark_sensitive(request.headers_mut());
        ResponseFuture::new(inner, request, verification)
    }
}

/// Takes the service that was polled ready, and leaves a clone in its place.
///
/// The future owns it, so a rejection releases what `poll_ready` reserved.
pub(super) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

pub(super) fn request_head<B>(request: &Request<B>, peer: Option<IpAddr>) -> RequestHead<'_> {
    RequestHead::new(request.method(), original_uri(request), request.headers()).of_layer(
        request.extensions().get(),
        peer,
        request.extensions().get(),
    )
}

/// Returns the URI as the client sent it. axum's `nest` removes the prefix and keeps the original URI in an
/// extension.
pub(crate) fn original_uri<B>(request: &Request<B>) -> &Uri {
    #[cfg(feature = "axum")]
    if let Some(original) = request.extensions().get::<axum::extract::OriginalUri>() {
        return &original.0;
    }
    request.uri()
}

/// Returns the address that the connection comes from, if the server provides it.
#[cfg_attr(
    not(feature = "tonic"),
    expect(clippy::needless_pass_by_ref_mut, reason = "tonic takes them")
)]
pub(crate) fn peer_address(extensions: &mut Extensions) -> Option<IpAddr> {
    if let Some(peer) = extensions.get::<PeerAddr>() {
        return Some(peer.0);
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::connect_info::{ConnectInfo, MockConnectInfo};
        use std::net::SocketAddr;

        let connected = extensions.get::<ConnectInfo<SocketAddr>>();
        let mock = extensions.get::<MockConnectInfo<SocketAddr>>();
        let told = connected.map(|info| info.0).or(mock.map(|info| info.0));
        if let Some(address) = told {
            return Some(address.ip());
        }
    }
    #[cfg(feature = "tonic")]
    {
        // With TLS, only tonic knows which extension holds the address.
        let request = tonic::Request::from_parts(Default::default(), mem::take(extensions), ());
        let told = request.remote_addr();
        *extensions = request.into_parts().1;
        if let Some(address) = told {
            return Some(address.ip());
        }
    }
    None
}

/// Prevents inner services that log headers from logging these two.
pub(super) fn mark_sensitive(headers: &mut HeaderMap) {
    for name in [header::AUTHORIZATION, DPOP] {
        if let header::Entry::Occupied(mut entry) = headers.entry(name) {
            for value in entry.iter_mut() {
                value.set_sensitive(true);
            }
        }
    }
}
