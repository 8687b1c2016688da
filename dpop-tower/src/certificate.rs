//! Client certificates, to which access tokens can be bound (RFC 8705 section 3).
//!
//! A token is bound to a certificate by the hash of the certificate, the member `x5t#S256` of `cnf`. The
//! client proves that it has the key of the certificate when it makes a TLS connection, so the server that
//! ends TLS has to tell the layer which certificate that was:
//!
//! | TLS ends | the layer gets the certificate from |
//! |---|---|
//! | in this process | a [`ClientCertificate`] in the extensions of each request |
//! | at a proxy | a header of that proxy; see [`ClientCertificates`](crate::target::ClientCertificates) |
//! | elsewhere, with a [`Verifier`](crate::Verifier) | [`RequestHead::client_certificate`](crate::RequestHead::client_certificate), or [`RequestHead::client_certificate_in`](crate::RequestHead::client_certificate_in) |
//!
//! A token that is bound to a key and to a certificate always needs both. A token that is bound to a
//! certificate alone is admitted if the policy says so; see
//! [`Policy::accept_certificate_bound`](crate::Policy::accept_certificate_bound).

use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use crate::{crypto::CryptoProvider, jose::base64url};

/// The SHA-256 hash of a certificate in DER, to which `x5t#S256` binds a token (RFC 8705 section 3.1).
///
/// It identifies a certificate and does not reveal it, so you can log it. Its text form is 43 characters of
/// base64url. Neither a certificate nor its hash is a secret, so the comparison does not take constant time.
///
/// ```
/// use dpop_tower::certificate::CertificateThumbprint;
///
/// // RFC 8705 appendix A
/// let text = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
/// let thumbprint: CertificateThumbprint = text.parse()?;
/// assert_eq!(thumbprint.to_string(), text);
/// # Ok::<(), dpop_tower::certificate::InvalidCertificateThumbprint>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[doc(alias = "x5t#S256")]
pub struct CertificateThumbprint([u8; 32]);

impl CertificateThumbprint {
    /// Makes a thumbprint from the bytes of a SHA-256 hash, such as those in a database.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the SHA-256 hash.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn of_der(der: &[u8], crypto: &dyn CryptoProvider) -> Self {
        Self(crypto.sha256(&[der]))
    }
}

impl fmt::Display for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for CertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateThumbprint({self})")
    }
}

impl FromStr for CertificateThumbprint {
    type Err = InvalidCertificateThumbprint;

    fn from_str(text: &str) -> Result<Self, InvalidCertificateThumbprint> {
        base64url::decode_array(text)
            .map(Self)
            .ok_or(InvalidCertificateThumbprint(()))
    }
}

/// The error of parsing a [`CertificateThumbprint`].
///
/// The text is not 43 characters of canonical, unpadded base64url, which has one text for each hash. The
/// example in RFC 8705 section 3.1 is not canonical: its last character has bits that belong to no byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCertificateThumbprint(());

impl fmt::Display for InvalidCertificateThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the base64url of the SHA-256 thumbprint of a certificate")
    }
}

impl std::error::Error for InvalidCertificateThumbprint {}

/// The certificate with which the client of a TLS connection has authenticated itself.
///
/// A server that ends TLS puts it into the extensions of each request of the connection, before the request
/// reaches the layer. Clones share one copy, and it is hashed once.
///
/// `Debug` shows the thumbprint, if it has been computed, and nothing else of the certificate.
///
/// # Security
///
/// The client must have proved in the handshake that it has the key of this certificate. A certificate that
/// it only mentions, for example in a header, proves nothing. Whether the certificate is valid and who issued
/// it does not matter for the binding (RFC 8705 section 2.2), so a server may accept self-signed ones.
///
/// ```
/// use dpop_tower::certificate::ClientCertificate;
///
/// /// `chain` is what rustls returns from `peer_certificates`.
/// fn with_certificate<B>(mut request: http::Request<B>, chain: &[Vec<u8>]) -> http::Request<B> {
///     if let Some(certificate) = ClientCertificate::from_chain(chain) {
///         request.extensions_mut().insert(certificate);
///     }
///     request
/// }
/// # let request = with_certificate(http::Request::new(()), &[vec![0x30, 0]]);
/// # assert!(request.extensions().get::<ClientCertificate>().is_some());
/// ```
#[derive(Clone)]
pub struct ClientCertificate(Arc<Inner>);

struct Inner {
    der: Box<[u8]>,
    /// Computed when it is first needed.
    thumbprint: OnceLock<CertificateThumbprint>,
}

impl ClientCertificate {
    /// Takes the client's own certificate in DER, without the rest of its chain.
    pub fn from_der(der: impl Into<Box<[u8]>>) -> Self {
        Self(Arc::new(Inner {
            der: der.into(),
            thumbprint: OnceLock::new(),
        }))
    }

    /// Takes the client's own certificate from its chain in DER, in the order of TLS: the certificate of the
    /// client comes first (RFC 8446 section 4.4.2). Returns `None` if the chain is empty.
    ///
    /// It takes what rustls returns from `peer_certificates`, and what tonic returns from `peer_certs`:
    ///
    /// ```
    /// use dpop_tower::certificate::ClientCertificate;
    ///
    /// fn certificate_of(chain: Option<&[Vec<u8>]>) -> Option<ClientCertificate> {
    ///     chain.and_then(ClientCertificate::from_chain)
    /// }
    /// # let chain = [vec![0x30, 0], vec![0x30, 1, 7]];
    /// # assert_eq!(certificate_of(Some(&chain)).unwrap().as_der(), [0x30, 0]);
    /// # assert_eq!(certificate_of(Some(&[])), None);
    /// ```
    pub fn from_chain<C: AsRef<[u8]>>(chain: &[C]) -> Option<Self> {
        chain.first().map(|first| Self::from_der(first.as_ref()))
    }

    /// Returns the certificate in DER.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// Returns the SHA-256 hash of the certificate.
    ///
    /// ```
    /// # #[cfg(feature = "josekit")] {
    /// use dpop_tower::{certificate::ClientCertificate, crypto::Josekit};
    ///
    /// let certificate = ClientCertificate::from_der(*b"abc");
    /// let thumbprint = certificate.thumbprint(&Josekit);
    /// assert_eq!(thumbprint.as_bytes()[..3], [0xba, 0x78, 0x16]);
    /// # }
    /// ```
    pub fn thumbprint(&self, crypto: &dyn CryptoProvider) -> CertificateThumbprint {
        let of_der = || CertificateThumbprint::of_der(&self.0.der, crypto);
        *self.0.thumbprint.get_or_init(of_der)
    }
}

impl PartialEq for ClientCertificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for ClientCertificate {}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate")
            .field("thumbprint", &self.0.thumbprint.get())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::pure_rust::PureRust;

    #[test]
    fn only_canonical_base64url_of_32_bytes_is_a_thumbprint() {
        let good = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
        let parsed: CertificateThumbprint = good.parse().unwrap();
        assert_eq!(parsed.to_string(), good);
        for wrong in [
            "",
            &good[..42],
            &format!("{good}="),
            &format!("{good}A"),
            &format!("{good} "),
            &good.replace('J', "+"),
            // RFC 8705 section 3.1
            "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2",
        ] {
            assert!(wrong.parse::<CertificateThumbprint>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn debug_shows_the_thumbprint_of_a_certificate_and_nothing_else() {
        let certificate = ClientCertificate::from_der(*b"secret");
        let clone = certificate.clone();
        assert_eq!(
            format!("{clone:?}"),
            "ClientCertificate { thumbprint: None, .. }"
        );
        let thumbprint = certificate.thumbprint(&PureRust);
        assert_eq!(
            format!("{clone:?}"),
            format!("ClientCertificate {{ thumbprint: Some({thumbprint:?}), .. }}")
        );
    }
}
