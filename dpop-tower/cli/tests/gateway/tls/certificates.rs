//! Makes certificates for tests with OpenSSL.

use std::{fs, path::Path};

use openssl::{
    asn1::{Asn1Integer, Asn1Time},
    bn::{BigNum, MsbOption},
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509Name, X509NameBuilder,
        extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName},
    },
};

/// An authority that issues certificates.
pub(crate) struct Authority {
    name: X509Name,
    key: PKey<Private>,
    certificate: X509,
}

/// A certificate and its key.
pub(crate) struct Pair {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

/// The period of validity, in days from now.
#[derive(Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

pub(crate) const NOW: Validity = Validity { from: -1, until: 2 };

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let (name, key) = (named(name), new_key());
        let mut builder = builder(&name, &name, &key, NOW);
        let ca = BasicConstraints::new().critical().ca().build().unwrap();
        builder.append_extension(ca).unwrap();
        builder.sign(&key, MessageDigest::sha256()).unwrap();
        Self {
            name,
            certificate: builder.build(),
            key,
        }
    }

    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    #[allow(dead_code, reason = "not every test trusts it")]
    pub(crate) fn der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    /// Issues a certificate for a server with this name, which may be an address.
    pub(crate) fn server(&self, name: &str) -> Pair {
        self.issue(name, NOW)
    }

    /// Issues a certificate for a server or a client, with this validity.
    pub(crate) fn issue(&self, name: &str, validity: Validity) -> Pair {
        let key = new_key();
        let mut builder = builder(&named(name), &self.name, &key, validity);
        let mut names = SubjectAlternativeName::new();
        match name.parse::<std::net::IpAddr>() {
            Ok(_) => names.ip(name),
            Err(_) => names.dns(name),
        };
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None));
        builder.append_extension(names.unwrap()).unwrap();
        let mut usage = ExtendedKeyUsage::new();
        let usage = usage.server_auth().client_auth().build().unwrap();
        builder.append_extension(usage).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        Pair {
            certificate: builder.build(),
            key,
        }
    }
}

impl Pair {
    pub(crate) fn certificate_pem(&self) -> Vec<u8> {
        self.certificate.to_pem().unwrap()
    }

    pub(crate) fn certificate_der(&self) -> Vec<u8> {
        self.certificate.to_der().unwrap()
    }

    /// Returns the key in PKCS#8.
    pub(crate) fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().unwrap()
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, folder: &Path, name: &str) {
        fs::write(folder.join(format!("{name}.pem")), self.certificate_pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), self.key_pem()).unwrap();
    }
}

fn new_key() -> PKey<Private> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
}

fn named(name: &str) -> X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_text("CN", name).unwrap();
    builder.build()
}

fn builder(
    name: &X509Name,
    issuer: &X509Name,
    key: &PKey<Private>,
    Validity { from, until }: Validity,
) -> X509Builder {
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let at = |days: i64| {
        let seconds = i64::try_from(now).unwrap() + days * 86_400;
        Asn1Time::from_unix(seconds).unwrap()
    };
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, MsbOption::ONE, false).unwrap();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = Asn1Integer::from_bn(&serial).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(name).unwrap();
    builder.set_issuer_name(issuer).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&at(from)).unwrap();
    builder.set_not_after(&at(until)).unwrap();
    builder
}
