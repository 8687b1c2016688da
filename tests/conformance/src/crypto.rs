//! Every backend, through the trait that it implements.

use std::sync::LazyLock;

use dpop_tower::{
    crypto::{Algorithm, AwsLcRs, CryptoProvider, InvalidKey, InvalidSignature, Josekit},
    jwk::{PublicJwk, Thumbprint},
};
use josekit::{
    jwk::{
        Jwk,
        alg::{ec::EcCurve, ed::EdCurve},
    },
    jws::{
        ES256, ES384, ES512, EdDSA, JwsSigner, PS256, PS384, PS512, RS256, RS384, RS512,
        alg::hmac::HmacJwsAlgorithm,
    },
};
use serde_json::{Map, Value};

/// All backends, with their names for assertions.
pub const BACKENDS: [(&str, &dyn CryptoProvider); 2] =
    [("josekit", &Josekit), ("aws-lc-rs", &AwsLcRs)];

/// Encodes base64url without padding. It is not the library's own, so that both have to be right.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.as_ref().chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]));
        }
    }
    text
}

/// Decodes valid base64url, the inverse of [`base64url`].
pub fn from_base64url(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_u32, 0);
    for character in text.bytes() {
        let value = match character {
            b'A'..=b'Z' => character - b'A',
            b'a'..=b'z' => character - b'a' + 26,
            b'0'..=b'9' => character - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => panic!("not base64url: {text}"),
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).unwrap());
        }
    }
    bytes
}

/// A key pair of josekit. It can sign with algorithms that the library's test utilities do not support.
#[derive(Clone)]
pub struct JoseKey {
    pub algorithm: Algorithm,
    private: Jwk,
}

/// Generated once, since RSA keys take long to generate.
static RSA: LazyLock<[Jwk; 2]> = LazyLock::new(|| [rsa(2048), rsa(2048)]);

pub fn rsa(bits: u32) -> Jwk {
    bare(&Jwk::generate_rsa_key(bits).unwrap())
}

/// Removes `alg`, `use` and `key_ops`, which josekit obeys, so that one key serves several algorithms.
fn bare(jwk: &Jwk) -> Jwk {
    let mut members: Map<String, Value> = jwk.as_ref().clone();
    for name in ["alg", "kid", "use", "key_ops"] {
        members.remove(name);
    }
    Jwk::from_map(members).unwrap()
}

impl JoseKey {
    /// Returns a new key or, for RSA, always the same one.
    pub fn new(algorithm: Algorithm) -> Self {
        Self::numbered(algorithm, 0)
    }

    /// Returns a new key or, for RSA, always the same one, which differs from that of
    /// [`new`](Self::new).
    pub fn other(algorithm: Algorithm) -> Self {
        Self::numbered(algorithm, 1)
    }

    fn numbered(algorithm: Algorithm, number: usize) -> Self {
        let private = match algorithm {
            Algorithm::Ed25519 | Algorithm::EdDsa => {
                bare(&Jwk::generate_ed_key(EdCurve::Ed25519).unwrap())
            }
            Algorithm::Es256 => bare(&Jwk::generate_ec_key(EcCurve::P256).unwrap()),
            Algorithm::Es384 => bare(&Jwk::generate_ec_key(EcCurve::P384).unwrap()),
            Algorithm::Es512 => bare(&Jwk::generate_ec_key(EcCurve::P521).unwrap()),
            _ => RSA[number].clone(),
        };
        Self { algorithm, private }
    }

    pub fn from_private(algorithm: Algorithm, private: Jwk) -> Self {
        Self { algorithm, private }
    }

    /// Returns all members of the private JWK, including the public ones.
    pub fn private(&self) -> Map<String, Value> {
        self.private.as_ref().clone()
    }

    /// Returns only the members of RFC 7638 section 3.2.
    pub fn public(&self) -> Map<String, Value> {
        self.private()
            .into_iter()
            .filter(|(name, _)| ["kty", "crv", "x", "y", "n", "e"].contains(&name.as_str()))
            .collect()
    }

    pub fn public_jwk(&self) -> PublicJwk {
        parse(&self.public())
    }

    pub fn thumbprint(&self) -> String {
        Thumbprint::of(&self.public_jwk(), &AwsLcRs).to_string()
    }

    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let key = &self.private;
        let signer: Box<dyn JwsSigner> = match self.algorithm {
            Algorithm::Ed25519 | Algorithm::EdDsa => Box::new(EdDSA.signer_from_jwk(key).unwrap()),
            Algorithm::Es256 => Box::new(ES256.signer_from_jwk(key).unwrap()),
            Algorithm::Es384 => Box::new(ES384.signer_from_jwk(key).unwrap()),
            Algorithm::Es512 => Box::new(ES512.signer_from_jwk(key).unwrap()),
            Algorithm::Ps256 => Box::new(PS256.signer_from_jwk(key).unwrap()),
            Algorithm::Ps384 => Box::new(PS384.signer_from_jwk(key).unwrap()),
            Algorithm::Ps512 => Box::new(PS512.signer_from_jwk(key).unwrap()),
            Algorithm::Rs256 => Box::new(RS256.signer_from_jwk(key).unwrap()),
            Algorithm::Rs384 => Box::new(RS384.signer_from_jwk(key).unwrap()),
            Algorithm::Rs512 => Box::new(RS512.signer_from_jwk(key).unwrap()),
            other => panic!("no signer for {other}"),
        };
        signer.sign(message).unwrap()
    }

    /// Returns a compact JWS with these texts as header and payload, whatever `alg` the header has.
    pub fn jws(&self, header: &str, payload: &str) -> String {
        let input = signing_input(header, payload);
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", base64url(signature))
    }
}

pub fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", base64url(header), base64url(payload))
}

/// Returns a compact JWS whose "signature" is an HMAC with `secret`, often a public key.
pub fn hmac_jws(header: &str, payload: &str, secret: &[u8]) -> String {
    let input = signing_input(header, payload);
    // josekit requires a secret as long as the hash. RFC 2104 section 2 pads with zeros anyway.
    let mut secret = secret.to_vec();
    secret.resize(secret.len().max(32), 0);
    let signer = HmacJwsAlgorithm::Hs256.signer_from_bytes(secret).unwrap();
    let signature = signer.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", base64url(signature))
}

pub fn parse(jwk: &Map<String, Value>) -> PublicJwk {
    PublicJwk::from_json(&Value::Object(jwk.clone()).to_string()).unwrap()
}

/// Returns each backend's verdict on a key and then on a signature.
pub fn verdicts(
    key: &PublicJwk,
    algorithm: Algorithm,
    message: &[u8],
    signature: &[u8],
) -> [(&'static str, Verdict); BACKENDS.len()] {
    BACKENDS.map(|(name, backend)| {
        let prepared = backend.prepare(key, algorithm);
        (name, prepared.map(|key| key.verify(message, signature)))
    })
}

pub type Verdict = Result<Result<(), InvalidSignature>, InvalidKey>;

/// Kinds of keys, and the algorithms that each can be used with.
pub const FITTING: [(Algorithm, &[&str]); 5] = [
    (Algorithm::Es256, &["ES256"]),
    (Algorithm::Es384, &["ES384"]),
    (Algorithm::Es512, &["ES512"]),
    (Algorithm::Ed25519, &["Ed25519", "EdDSA"]),
    (
        Algorithm::Rs256,
        &["PS256", "PS384", "PS512", "RS256", "RS384", "RS512"],
    ),
];

/// Encodes the `ECDSA-Sig-Value` of RFC 3279 section 2.2.3, which JOSE does not use.
pub fn der_signature(signature: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
        let mut value = bytes[start..].to_vec();
        if value[0] >= 0x80 {
            value.insert(0, 0);
        }
        [&[2, u8::try_from(value.len()).unwrap()], &value[..]].concat()
    };
    let (r, s) = signature.split_at(signature.len() / 2);
    let body = [integer(r), integer(s)].concat();
    let len = u8::try_from(body.len()).unwrap();
    match len {
        0..0x80 => [&[0x30, len], &body[..]].concat(),
        _ => [&[0x30, 0x81, len], &body[..]].concat(),
    }
}
