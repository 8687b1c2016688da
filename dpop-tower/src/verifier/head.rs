use std::{fmt, net::IpAddr};

use http::{HeaderMap, Method, Uri};

use super::Admitted;

/// The parts of a request that count.
#[derive(Clone, Copy)]
#[must_use]
pub struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: Option<IpAddr>,
    pub(super) outer: Option<&'a Admitted>,
}

impl<'a> RequestHead<'a> {
    /// A request with this method, this URI as the client sent it, not as a router left it, and these
    /// headers.
    pub const fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            uri,
            headers,
            peer: None,
            outer: None,
        }
    }

    /// Sets the address that the connection comes from: a
    /// [`ForwardedTarget`](crate::target::ForwardedTarget) needs it.
    pub const fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Sets what the layer outside has left, if there is one.
    pub(crate) const fn inside(mut self, outer: Option<&'a Admitted>) -> Self {
        self.outer = outer;
        self
    }
}

/// Headers are left out: they have the credentials.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
