//! The client's certificate, to which a token can be bound.

use super::RequestHead;
use crate::{
    certificate::CertificateThumbprint, config::Settings, credentials::RequestErrorKind,
    rejection::Cause, target::MalformedCertificate, token::TokenErrorKind,
};

/// Returns the thumbprint of the client's certificate: of the connection, or as a trusted proxy reports it.
pub(super) fn client_certificate(
    config: &Settings,
    request: RequestHead<'_>,
) -> Result<Option<CertificateThumbprint>, Cause> {
    let crypto = &*config.crypto;
    let own = request.certificate;
    match &config.client_certificates {
        None => Ok(own.map(|certificate| certificate.thumbprint(crypto))),
        Some(certificates) => certificates
            .thumbprint(request.headers, request.peer, own, crypto)
            .map_err(|MalformedCertificate| RequestErrorKind::ClientCertificateMalformed.into()),
    }
}

/// Compares the certificate that a token is bound to with the client's (RFC 8705 section 3).
pub(super) fn check_certificate(
    bound_to: CertificateThumbprint,
    certificate: Option<CertificateThumbprint>,
) -> Result<(), TokenErrorKind> {
    match certificate {
        Some(certificate) if certificate == bound_to => Ok(()),
        Some(_) => Err(TokenErrorKind::CertificateMismatch),
        None => Err(TokenErrorKind::CertificateMissing),
    }
}
