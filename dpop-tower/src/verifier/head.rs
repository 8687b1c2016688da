use std::{fmt, net::IpAddr};

use http::{HeaderMap, Method, Uri};

use super::Admitted;
use crate::{
    certificate::ClientCertificate,
    target::{CertificateHeader, TargetRequest},
};

/// The parts of a request that a [`Verifier`](crate::Verifier) checks.
///
/// ```
/// use dpop_tower::RequestHead;
/// use std::net::SocketAddr;
///
/// fn head<B>(request: &http::Request<B>, peer: SocketAddr) -> RequestHead<'_> {
///     RequestHead::new(request.method(), request.uri(), request.headers()).peer(peer.ip())
/// }
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct RequestHead<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: Option<IpAddr>,
    pub(super) certificate: CertificateSource<'a>,
    pub(super) outer: Option<&'a Admitted>,
}

/// Where the client's certificate is.
#[derive(Clone, Copy, Debug)]
pub(super) enum CertificateSource<'a> {
    /// In the connection, unless the configuration names a header for this peer.
    Connection(Option<&'a ClientCertificate>),
    Header(&'a CertificateHeader),
}

impl<'a> RequestHead<'a> {
    /// Describes a request with this method, this URI and these headers.
    ///
    /// Pass the URI as the client sent it, before a router has removed a prefix. Its path becomes a part
    /// of the expected `htu` and selects the policy of a [`PolicyTable`](crate::PolicyTable).
    pub const fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap) -> Self {
        Self {
            method,
            uri,
            headers,
            peer: None,
            certificate: CertificateSource::Connection(None),
            outer: None,
        }
    }

    /// Sets the address that the connection comes from.
    ///
    /// A [`ForwardedTarget`](crate::target::ForwardedTarget) and
    /// [`ClientCertificates`](crate::target::ClientCertificates) need it, and trust no forwarded header
    /// without it.
    ///
    /// # Security
    ///
    /// Pass the address of the socket. An address from a header such as `X-Forwarded-For` can be chosen by
    /// the caller.
    pub const fn peer(mut self, peer: IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }

    /// Sets the certificate with which the client of the TLS connection has authenticated itself.
    ///
    /// Tokens can be bound to it (RFC 8705 section 3). If the connection comes from a proxy whose
    /// [header](crate::target::ClientCertificates) is trusted, the header decides instead.
    ///
    /// # Security
    ///
    /// Pass the certificate of the handshake. Anyone can send the certificate of somebody else in a header.
    pub const fn client_certificate(mut self, certificate: &'a ClientCertificate) -> Self {
        self.certificate = CertificateSource::Connection(Some(certificate));
        self
    }

    /// Sets the header in which a proxy has reported the certificate of the client.
    ///
    /// Use it if the proxy only asks whether a request may pass, and you have checked that it is the one that
    /// asks. A missing or empty header means that the client has no certificate. This setting replaces
    /// [`client_certificate`](Self::client_certificate), and
    /// [`DpopConfigBuilder::client_certificates`](crate::DpopConfigBuilder::client_certificates) does not
    /// apply.
    ///
    /// ```
    /// use dpop_tower::{RequestHead, target::CertificateHeader};
    ///
    /// fn head<'r>(request: &'r http::Request<()>, header: &'r CertificateHeader) -> RequestHead<'r> {
    ///     let head = RequestHead::new(request.method(), request.uri(), request.headers());
    ///     head.client_certificate_in(header)
    /// }
    /// ```
    ///
    /// # Security
    ///
    /// The header counts whatever the [`peer`](Self::peer) is. The proxy has to write it in every request, or
    /// remove it. Otherwise anyone who knows a certificate, which is public, can use a stolen token that is
    /// bound to it (RFC 9440 section 4).
    pub const fn client_certificate_in(mut self, header: &'a CertificateHeader) -> Self {
        self.certificate = CertificateSource::Header(header);
        self
    }

    /// Returns what the expected `htu` depends on.
    pub(super) const fn target(&self) -> TargetRequest<'a> {
        TargetRequest::new(self.uri, self.headers, self.peer)
    }

    /// Sets the verdict of the outer layer and the connection, as far as a layer knows them.
    pub(crate) const fn of_layer(
        mut self,
        outer: Option<&'a Admitted>,
        peer: Option<IpAddr>,
        certificate: Option<&'a ClientCertificate>,
    ) -> Self {
        self.outer = outer;
        self.peer = peer;
        self.certificate = CertificateSource::Connection(certificate);
        self
    }
}

/// Omits the headers, since they contain the credentials.
impl fmt::Debug for RequestHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("peer", &self.peer)
            .field("client_certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}
