mod syntax;

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::syntax::Syntax;
use super::{networks::Networks, public_origin::rejected};
use crate::{
    certificate::{CertificateThumbprint, ClientCertificate},
    crypto::CryptoProvider,
    error::ConfigError,
};

/// The client certificates that trusted proxies report in a header.
///
/// Use it if TLS ends at a proxy and access tokens are bound to client certificates (RFC 8705 section 3).
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// # use dpop_tower::test_util::TestIssuer;
/// use dpop_tower::{
///     DpopConfig, Policy, PublicOrigin,
///     target::{CertificateHeader, ClientCertificates},
/// };
///
/// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
/// let header = CertificateHeader::client_cert();
/// let config = DpopConfig::builder(origin, issuer)
///     .client_certificates(ClientCertificates::forwarded(["10.0.0.0/8"], header)?)
///     .policy(Policy::strict().accept_certificate_bound())
///     .build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// | peer of the connection | certificate of the client |
/// |---|---|
/// | in a listed network | in the header; none if the header is missing or empty |
/// | anywhere else, or unknown | the [`ClientCertificate`] of the connection itself, if there is one |
///
/// The address of the peer is known from the same sources as that of a
/// [`ForwardedTarget`](super::ForwardedTarget). A listed proxy may have a certificate of its own, which is
/// never taken for the client's.
///
/// A listed proxy that sends the header twice, longer than 16 KiB, or in another syntax is configured
/// differently, or passes on what a client wrote. Its requests are rejected with 400 and
/// `client_certificate_malformed`. The header is decoded only if the token is bound to a certificate, so the
/// syntax does not matter for other tokens. The number of headers and the length always do.
///
/// # Security
///
/// A proxy has to remove the header from requests of clients, also if a client has no certificate, or write
/// its own value in its place. If it passes the header on, anyone who knows a certificate, which is public,
/// can use a stolen token that is bound to it (RFC 9440 section 4). List only networks from which nobody but
/// such proxies can connect.
#[derive(Clone, Debug)]
#[doc(alias = "mtls")]
pub struct ClientCertificates {
    trusted: Networks,
    header: CertificateHeader,
}

/// A header in which a proxy reports the certificate of its client, and the syntax of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateHeader {
    name: HeaderName,
    syntax: Syntax,
}

impl CertificateHeader {
    /// `Client-Cert`: the certificate as a byte sequence of structured fields (RFC 9440 section 2.2).
    pub const fn client_cert() -> Self {
        Self::new(HeaderName::from_static("client-cert"), Syntax::ByteSequence)
    }

    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    ///
    /// Only the last element counts, which the nearest proxy has written. It needs `Hash`, which Envoy always
    /// writes, or `Cert`. If it has both, they have to agree.
    ///
    /// # Security
    ///
    /// Set `forward_client_cert_details` to `SANITIZE_SET` or `APPEND_FORWARD`. With `FORWARD_ONLY` or
    /// `ALWAYS_FORWARD_ONLY`, Envoy passes on what clients write.
    pub const fn x_forwarded_client_cert() -> Self {
        let name = HeaderName::from_static("x-forwarded-client-cert");
        Self::new(name, Syntax::Xfcc)
    }

    /// A header with the URL-encoded certificate in PEM, as nginx has it in `$ssl_client_escaped_cert`.
    ///
    /// ```
    /// use dpop_tower::target::CertificateHeader;
    /// use http::HeaderName;
    ///
    /// // proxy_set_header X-Client-Certificate $ssl_client_escaped_cert;
    /// let header = CertificateHeader::escaped_pem(HeaderName::from_static("x-client-certificate"));
    /// ```
    pub const fn escaped_pem(name: HeaderName) -> Self {
        Self::new(name, Syntax::EscapedPem)
    }

    /// A header with the certificate in DER as base64, as `HAProxy` has it in `%[ssl_c_der,base64]`.
    pub const fn base64_der(name: HeaderName) -> Self {
        Self::new(name, Syntax::Base64Der)
    }

    /// A header with the SHA-256 hash of the certificate in hexadecimal digits, as `HAProxy` has it in
    /// `%[ssl_c_der,sha2(256),hex]`.
    pub const fn sha256_hex(name: HeaderName) -> Self {
        Self::new(name, Syntax::Sha256Hex)
    }

    const fn new(name: HeaderName, syntax: Syntax) -> Self {
        Self { name, syntax }
    }

    /// Returns the name of the header.
    pub const fn name(&self) -> &HeaderName {
        &self.name
    }

    /// Finds the certificate without decoding it.
    pub(crate) fn find(
        &self,
        headers: &HeaderMap,
    ) -> Result<PresentedCertificate, MalformedCertificate> {
        let mut values = headers.get_all(&self.name).iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(PresentedCertificate::Missing),
            // HAProxy sends an empty header if the client has no certificate.
            (Some(value), None) if value.is_empty() => Ok(PresentedCertificate::Missing),
            (Some(value), None) if value.len() <= MAX_LEN => {
                let encoded = Box::new((self.syntax, value.clone()));
                Ok(PresentedCertificate::InHeader(encoded))
            }
            (Some(_), _) => Err(MalformedCertificate),
        }
    }
}

/// The maximum length of the header in bytes.
const MAX_LEN: usize = 16 * 1024;

/// What a request says about the client's certificate.
///
/// It is decoded and hashed if a token is bound to a certificate. Other requests must not pay for that.
pub(crate) enum PresentedCertificate {
    Missing,
    OfConnection(ClientCertificate),
    /// In a box, so that requests without a certificate do not move a place for it around.
    InHeader(Box<(Syntax, HeaderValue)>),
}

impl PresentedCertificate {
    pub(crate) fn thumbprint(
        &self,
        crypto: &dyn CryptoProvider,
    ) -> Result<Option<CertificateThumbprint>, MalformedCertificate> {
        match self {
            Self::Missing => Ok(None),
            Self::OfConnection(certificate) => Ok(Some(certificate.thumbprint(crypto))),
            Self::InHeader(encoded) => {
                let (syntax, value) = &**encoded;
                let thumbprint = syntax.thumbprint(value, crypto);
                thumbprint.map(Some).ok_or(MalformedCertificate)
            }
        }
    }
}

/// A trusted proxy has sent a header that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MalformedCertificate;

impl ClientCertificates {
    /// Reads this header of peers in these networks (`10.0.0.0/8`, `2001:db8::/32`, or single addresses).
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if there is no network, one is malformed, or one has every address, such as
    /// `0.0.0.0/0`: anyone could then write the certificate of somebody else into the header.
    pub fn forwarded<'n>(
        trusted: impl IntoIterator<Item = &'n str>,
        header: CertificateHeader,
    ) -> Result<Self, ConfigError> {
        let trusted = Networks::parse(trusted, "client certificates of no peer are trusted")?;
        if trusted.include_everyone() {
            return Err(rejected(
                "client certificates of every peer are trusted, so anyone could report the certificate of somebody \
                 else: list the networks of your proxies",
            ));
        }
        Ok(Self { trusted, header })
    }

    pub(crate) fn header_name(&self) -> &str {
        self.header.name.as_str()
    }

    /// Returns the header to read, if the peer is a listed proxy.
    pub(crate) fn header_of(&self, peer: Option<IpAddr>) -> Option<&CertificateHeader> {
        self.trusted.include(peer).then_some(&self.header)
    }
}

#[cfg(test)]
mod tests;
