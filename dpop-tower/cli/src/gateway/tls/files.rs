//! Reads certificates and keys in PEM.

use std::{fs, path::Path, sync::Arc};

use rustls::{
    CertificateError, Error, InconsistentKeys, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
    sign::CertifiedKey,
};

use super::TlsError;

/// Returns AWS-LC. It is named each time, because a program with two providers has no default.
pub(super) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Reads a chain and the key of its first certificate.
pub(super) fn certified_key(
    (chain_field, chain): (&'static str, &Path),
    (key_field, key): (&'static str, &Path),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(chain_field, chain)?;
    let key = private_key(key_field, key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::new(
            key_field,
            format!("it is not the key of the first certificate of `{chain_field}`"),
        ),
        Error::InvalidCertificate(error) => TlsError::new(
            chain_field,
            format!("its first certificate cannot be read: {error}"),
        ),
        // The error of rustls reveals nothing of the key.
        error => TlsError::new(key_field, format!("the key cannot be used: {error}")),
    })
}

/// Reads the certificates of authorities.
pub(super) fn roots(field: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(field, path)? {
        roots.add(certificate).map_err(|error| {
            let message = format!("a certificate of it cannot be read: {error}");
            TlsError::new(field, message)
        })?;
    }
    Ok(roots)
}

fn certificates(
    field: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(field, path)?;
    let certificates = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| TlsError::new(field, INVALID))?;
    if certificates.is_empty() {
        return Err(TlsError::new(field, "it has no certificate in PEM"));
    }
    Ok(certificates)
}

fn private_key(field: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = read(field, path)?;
    let mut keys = PrivateKeyDer::pem_slice_iter(&pem);
    match (keys.next(), keys.next()) {
        (Some(Ok(key)), None) => Ok(key),
        (None, _) => Err(TlsError::new(
            field,
            "it has no private key in PEM (PKCS#8, SEC1 or PKCS#1, not encrypted)",
        )),
        (Some(Err(_)), _) | (_, Some(Err(_))) => Err(TlsError::new(field, INVALID)),
        (_, Some(Ok(_))) => Err(TlsError::new(field, "it has more than one private key")),
    }
}

/// Replaces an error of the parser, which may quote the line that it failed at.
const INVALID: &str = "it is not valid PEM";

fn read(field: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path)
        .map_err(|error| TlsError::new(field, format!("the file cannot be read: {error}")))
}

/// Returns a warning for each certificate of a chain that is not valid at this time.
pub(super) fn warnings(
    field: &'static str,
    chain: &[CertificateDer<'_>],
    provider: &CryptoProvider,
) -> Vec<(&'static str, String)> {
    let now = UnixTime::now();
    let algorithms = provider.signature_verification_algorithms.all;
    let warning = |(index, certificate): (usize, &CertificateDer<'_>)| {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        // The validity period is checked first. Without a root, the later checks always fail.
        let verified = rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &RootCertStore::empty(),
            &[],
            now,
            algorithms,
        );
        let why = match verified {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after, ..
            })) => format!("has expired {} ago", period(not_after, now)),
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => format!("will be valid in {} only", period(now, not_before)),
            _ => return None,
        };
        Some((field, format!("certificate {} of it {why}", index + 1)))
    };
    chain.iter().enumerate().filter_map(warning).collect()
}

fn period(from: UnixTime, until: UnixTime) -> String {
    let seconds = until.as_secs().saturating_sub(from.as_secs());
    match seconds / 60 {
        0 => format!("{seconds} seconds"),
        minutes @ 1..120 => format!("{minutes} minutes"),
        minutes @ 120..2880 => format!("{} hours", minutes / 60),
        minutes => format!("{} days", minutes / 1440),
    }
}
