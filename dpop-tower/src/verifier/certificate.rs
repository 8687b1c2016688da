//! The client's certificate, to which a token can be bound.

use super::{RequestHead, head::CertificateSource};
use crate::{
    certificate::CertificateThumbprint,
    config::Settings,
    credentials::RequestErrorKind,
    crypto::CryptoProvider,
    rejection::Cause,
    target::{MalformedCertificate, PresentedCertificate},
    token::TokenErrorKind,
};

/// Finds the certificate of the connection, or what a trusted proxy writes about it, without decoding it.
pub(super) fn client_certificate(
    config: &Settings,
    request: RequestHead<'_>,
) -> Result<PresentedCertificate, Cause> {
    let header = match (request.certificate, &config.client_certificates) {
        (CertificateSource::Header(header), _) => Some(header),
        (CertificateSource::Connection(_), Some(proxies)) => proxies.header_of(request.peer),
        (CertificateSource::Connection(_), None) => None,
    };
    match (header, request.certificate) {
        (Some(header), _) => Ok(header.find(request.headers)?),
        (None, CertificateSource::Connection(Some(own))) => {
            Ok(PresentedCertificate::OfConnection(own.clone()))
        }
        (None, _) => Ok(PresentedCertificate::Missing),
    }
}

/// Compares the certificate that a token is bound to with the client's (RFC 8705 section 3).
pub(super) fn check_certificate(
    bound_to: CertificateThumbprint,
    presented: &PresentedCertificate,
    crypto: &dyn CryptoProvider,
) -> Result<(), Cause> {
    match presented.thumbprint(crypto)? {
        Some(certificate) if certificate == bound_to => Ok(()),
        Some(_) => Err(TokenErrorKind::CertificateMismatch.into()),
        None => Err(TokenErrorKind::CertificateMissing.into()),
    }
}

impl From<MalformedCertificate> for Cause {
    fn from(MalformedCertificate: MalformedCertificate) -> Self {
        RequestErrorKind::ClientCertificateMalformed.into()
    }
}
