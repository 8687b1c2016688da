//! Certificates for the demonstration. Yours come from files.

use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509Name,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::Result;

/// An authority, which issues certificates for this machine.
pub(crate) struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut builder = X509Name::builder()?;
        builder.append_entry_by_text("CN", name)?;
        let (name, key) = (builder.build(), new_key()?);
        let mut builder = new_certificate(&name, &key)?;
        builder.set_issuer_name(&name)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        let certificate = builder.build();
        Ok(Self { certificate, key })
    }

    pub(crate) fn certificate(&self) -> Result<CertificateDer<'static>> {
        Ok(self.certificate.to_der()?.into())
    }

    pub(crate) fn issue(&self) -> Result<Pair> {
        let (issuer, key) = (self.certificate.subject_name(), new_key()?);
        let mut builder = new_certificate(&X509Name::builder()?.build(), &key)?;
        builder.set_issuer_name(issuer)?;
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let name = SubjectAlternativeName::new()
            .critical()
            .ip("127.0.0.1")
            .build(&context)?;
        builder.append_extension(name)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Pair {
            certificate: builder.build().to_der()?.into(),
            key: key.private_key_to_pkcs8()?.try_into()?,
        })
    }
}

fn new_key() -> Result<PKey<Private>> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&curve)?)?)
}

fn new_certificate(subject: &X509Name, key: &PKey<Private>) -> Result<X509Builder> {
    let mut serial = BigNum::new()?;
    serial.rand(100, MsbOption::ONE, false)?;
    let mut builder = X509::builder()?;
    // Version 3 is encoded as 2.
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(subject)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(1)?)?;
    Ok(builder)
}
