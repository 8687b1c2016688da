//! Public keys as JSON Web Keys (RFC 7517) and their thumbprints (RFC 7638).
//!
//! [`PublicJwk`] accepts the keys that RFC 9449 section 4.2 allows in a proof, which are the public halves
//! of asymmetric keys. It rejects a key that has a private or symmetric member, as section 4.3 item 7
//! requires. Keys of an issuer are first converted to that form.
//!
//! [`Thumbprint`] identifies a key. The `cnf.jkt` of an access token is the thumbprint of the key that the
//! token is bound to (RFC 9449 section 6.1).
//!
//! # Example
//!
//! Parse a client's key, for example in an authorization server, and bind a token to it:
//!
//! ```
//! # #[cfg(feature = "josekit")] {
//! use dpop_tower::{crypto::Josekit, jwk::{PublicJwk, Thumbprint}};
//!
//! // RFC 8037 appendix A.3
//! let key = PublicJwk::from_json(
//!     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
//! )?;
//! let claims = serde_json::json!({
//!     "sub": "alice",
//!     "cnf": { "jkt": Thumbprint::of(&key, &Josekit).to_string() },
//! });
//! assert_eq!(claims["cnf"]["jkt"], "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
//! # }
//! # Ok::<(), dpop_tower::jwk::JwkError>(())
//! ```

mod point;
mod published;
mod thumbprint;

pub use point::EcPoint;
pub(crate) use published::canonical;
pub use thumbprint::{InvalidThumbprint, Thumbprint};

use std::fmt;

use crate::jose::{
    algorithm::Algorithm,
    base64url,
    json::{Object, Value},
};

/// The private members of RFC 7518 section 6 (`k` is a symmetric key) and of RFC 9964 (`priv`).
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// An RSA-4096 key with a certificate chain has less than 12 KiB. In a proof, the length of the proof
/// limits the key as well.
const MAX_JWK_LEN: usize = 16 * 1024;

const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// A public key of a kind that proofs and access tokens may be signed with.
///
/// Parsing checks the form of the members: coordinates have the length of their curve, an RSA modulus has
/// 2048 to 4096 bits, and an Ed25519 key is not of small order. A
/// [`CryptoProvider`](crate::crypto::CryptoProvider) checks that a point lies on its NIST curve when it
/// prepares the key.
///
/// ```
/// use dpop_tower::jwk::PublicJwk;
///
/// // RFC 8037 appendix A.3
/// let key = PublicJwk::from_json(
///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
/// )?;
/// assert_eq!(key.signature_len(), 64);
/// # Ok::<(), dpop_tower::jwk::JwkError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicJwk(KeyParameters);

/// The decoded parameters of a [`PublicJwk`], from which a crypto backend builds its key.
///
/// `Debug` shows the kind of key and hides the parameters.
///
/// ```
/// use dpop_tower::jwk::{EcCurve, KeyParameters, PublicJwk};
///
/// // The key of the proofs in RFC 9449.
/// let key = PublicJwk::from_json(
///     r#"{
///         "kty": "EC",
///         "crv": "P-256",
///         "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
///         "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA"
///     }"#,
/// )?;
/// match key.parameters() {
///     KeyParameters::Ec { curve: EcCurve::P256, point } => assert_eq!(point.x().len(), 32),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), dpop_tower::jwk::JwkError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyParameters {
    /// An elliptic-curve key (RFC 7518 section 6.2.1).
    Ec {
        /// The curve.
        curve: EcCurve,
        /// The point.
        point: EcPoint,
    },
    /// An Ed25519 key (RFC 8037 section 2).
    Ed25519 {
        /// The encoded point.
        x: [u8; 32],
    },
    /// An RSA key (RFC 7518 section 6.3.1).
    Rsa {
        /// The modulus: big-endian, no leading zeros.
        n: Box<[u8]>,
        /// The exponent: big-endian, no leading zeros.
        e: Box<[u8]>,
    },
}

/// A curve of RFC 7518 section 6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EcCurve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl EcCurve {
    /// Returns the name in the `crv` member.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let curves = [Self::P256, Self::P384, Self::P521];
        curves.into_iter().find(|curve| curve.as_str() == name)
    }

    /// Returns the length in bytes of one coordinate.
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

impl PublicJwk {
    /// Parses the JSON of one key.
    ///
    /// Members besides the key's own parameters, such as `kid` or `alg`, are allowed and ignored. They do
    /// not enter the thumbprint (RFC 7638 section 3.2).
    ///
    /// # Errors
    ///
    /// Returns a [`JwkError`] for anything but a well-formed public key of a supported kind. A key with
    /// duplicate members, or with more than 16 KiB of text, is not well-formed.
    ///
    /// ```
    /// use dpop_tower::jwk::{JwkError, PublicJwk};
    ///
    /// let private = r#"{
    ///     "kty": "OKP",
    ///     "crv": "Ed25519",
    ///     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    ///     "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
    /// }"#;
    /// assert_eq!(PublicJwk::from_json(private), Err(JwkError::Private));
    /// assert_eq!(PublicJwk::from_json(r#"{"kty":"oct","k":"AAAA"}"#), Err(JwkError::Symmetric));
    /// ```
    pub fn from_json(text: &str) -> Result<Self, JwkError> {
        if text.len() > MAX_JWK_LEN {
            return Err(JwkError::TooLong);
        }
        let object = Object::parse(text.as_bytes()).ok_or(JwkError::Malformed)?;
        Self::from_object(&object)
    }

    /// Parses strictly, because anyone can write the key of a proof. A key of an issuer is made
    /// [`canonical`] first.
    pub(crate) fn from_object(jwk: &Object<'_>) -> Result<Self, JwkError> {
        let member = |name| jwk.get(name).and_then(Value::as_str);
        let required = |name| member(name).ok_or(JwkError::InvalidMember);
        let kty = member("kty").ok_or(JwkError::Malformed)?;
        if kty == "oct" {
            return Err(JwkError::Symmetric);
        }
        // RFC 9449 section 4.3 item 7
        if SECRET_MEMBERS.into_iter().any(|name| jwk.contains(name)) {
            return Err(JwkError::Private);
        }
        match kty {
            "EC" => {
                let curve =
                    EcCurve::from_name(required("crv")?).ok_or(JwkError::UnsupportedCurve)?;
                let point = EcPoint::parse(curve, required("x")?, required("y")?)
                    .ok_or(JwkError::InvalidMember)?;
                Ok(Self(KeyParameters::Ec { curve, point }))
            }
            "OKP" => {
                if required("crv")? != "Ed25519" {
                    return Err(JwkError::UnsupportedCurve);
                }
                let x = base64url::decode_array(required("x")?).ok_or(JwkError::InvalidMember)?;
                if has_small_order(x) {
                    return Err(JwkError::WeakKey);
                }
                if !is_below_the_prime(&x) {
                    return Err(JwkError::InvalidMember);
                }
                Ok(Self(KeyParameters::Ed25519 { x }))
            }
            "RSA" => {
                let n = unsigned(required("n")?)?;
                let e = unsigned(required("e")?)?;
                check_rsa(&n, &e)?;
                Ok(Self(KeyParameters::Rsa { n, e }))
            }
            _ => Err(JwkError::UnsupportedKeyType),
        }
    }

    /// Returns the decoded parameters.
    pub const fn parameters(&self) -> &KeyParameters {
        &self.0
    }

    /// Returns the JSON object with the required members in lexicographic order, which is the input of a
    /// [`Thumbprint`] (RFC 7638 section 3.2). Every value has only one encoding, so it equals the one in the
    /// text that the key was parsed from.
    pub(crate) fn required_members(&self) -> String {
        let (members, capacity): (&[(&str, Encoded<'_>)], _) = match &self.0 {
            KeyParameters::Ec { curve, point } => (
                &[
                    ("crv", Encoded::Text(curve.as_str())),
                    ("kty", Encoded::Text("EC")),
                    ("x", Encoded::Bytes(point.x())),
                    ("y", Encoded::Bytes(point.y())),
                ],
                2 * curve.field_len(),
            ),
            KeyParameters::Ed25519 { x } => (
                &[
                    ("crv", Encoded::Text("Ed25519")),
                    ("kty", Encoded::Text("OKP")),
                    ("x", Encoded::Bytes(x)),
                ],
                x.len(),
            ),
            KeyParameters::Rsa { n, e } => (
                &[
                    ("e", Encoded::Bytes(e)),
                    ("kty", Encoded::Text("RSA")),
                    ("n", Encoded::Bytes(n)),
                ],
                n.len() + e.len(),
            ),
        };
        // Base64 of the bytes, and the rest.
        let mut json = String::with_capacity(capacity / 3 * 4 + 72);
        for (i, (name, value)) in members.iter().enumerate() {
            json.push_str(if i == 0 { "{\"" } else { ",\"" });
            json.push_str(name);
            json.push_str("\":\"");
            match value {
                Encoded::Text(text) => json.push_str(text),
                Encoded::Bytes(bytes) => base64url::encode_onto(bytes, &mut json),
            }
            json.push('"');
        }
        json.push('}');
        json
    }

    /// Returns whether a key of this kind can sign with `algorithm`.
    ///
    /// The sender of a proof chooses both the key and the `alg`. A pair that does not match may be an
    /// attempt to have one kind of key read as another.
    ///
    /// ```
    /// use dpop_tower::{crypto::Algorithm, jwk::PublicJwk};
    ///
    /// let key = PublicJwk::from_json(
    ///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    /// )?;
    /// assert!(key.fits(Algorithm::Ed25519) && key.fits(Algorithm::EdDsa));
    /// assert!(!key.fits(Algorithm::Es256));
    /// # Ok::<(), dpop_tower::jwk::JwkError>(())
    /// ```
    pub const fn fits(&self, algorithm: Algorithm) -> bool {
        match &self.0 {
            KeyParameters::Ec { curve, .. } => matches!(
                (curve, algorithm),
                (EcCurve::P256, Algorithm::Es256)
                    | (EcCurve::P384, Algorithm::Es384)
                    | (EcCurve::P521, Algorithm::Es512)
            ),
            KeyParameters::Ed25519 { .. } => {
                matches!(algorithm, Algorithm::Ed25519 | Algorithm::EdDsa)
            }
            KeyParameters::Rsa { .. } => algorithm.is_rsa(),
        }
    }

    /// Returns the length in bytes of a signature made with this key: 64 for P-256 and Ed25519, 96 for P-384,
    /// 132 for P-521, and the length of the modulus for RSA.
    pub const fn signature_len(&self) -> usize {
        match &self.0 {
            KeyParameters::Ec { curve, .. } => 2 * curve.field_len(),
            KeyParameters::Ed25519 { .. } => 64,
            KeyParameters::Rsa { n, .. } => n.len(),
        }
    }
}

/// The value of a member in the input of the thumbprint. No value needs escaping.
enum Encoded<'a> {
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Shows the kind of the key and hides the key itself. Log its [`Thumbprint`] instead.
impl fmt::Debug for PublicJwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicJwk").field(&self.0).finish()
    }
}

impl fmt::Debug for KeyParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ec { curve, .. } => write!(f, "Ec({})", curve.as_str()),
            Self::Ed25519 { .. } => f.write_str("Ed25519"),
            Self::Rsa { n, .. } => write!(f, "Rsa({} bits)", bits(n)),
        }
    }
}

/// Decodes a `Base64urlUInt` (RFC 7518 section 2), which is big-endian without leading zeros.
fn unsigned(text: &str) -> Result<Box<[u8]>, JwkError> {
    let bytes = base64url::decode(text).ok_or(JwkError::InvalidMember)?;
    match bytes.first() {
        None | Some(0) => Err(JwkError::InvalidMember),
        Some(_) => Ok(bytes.into_boxed_slice()),
    }
}

fn bits(n: &[u8]) -> usize {
    n.first().map_or(0, |first| {
        n.len() * 8 - usize::try_from(first.leading_zeros()).unwrap_or(0)
    })
}

/// Checks the size of an RSA key. RFC 7518 sections 3.3 and 3.5 require 2048 bits or more. There is an upper
/// bound because anyone can make the server verify with a large key. Exponents below 65537 (FIPS 186-5,
/// A.1.1) and even exponents are rejected.
fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
    // 65537 is the least odd number of three bytes, since there are no leading zeros.
    let sound = RSA_BITS.contains(&bits(n)) && odd(n) && (3..=4).contains(&e.len()) && odd(e);
    if sound {
        Ok(())
    } else {
        Err(JwkError::WeakKey)
    }
}

/// Returns whether the coordinate y is below the prime, 2^255 - 19 (RFC 8032 section 5.1.3 step 1). OpenSSL
/// reduces a larger one, and would then read keys with different thumbprints as the same key.
fn is_below_the_prime(x: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = x;
    *low < 0xed || *high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// Returns whether `x` encodes one of the eight points of small order. Anyone can make a signature for such
/// a key that is valid for many messages. RFC 8032 leaves open whether verifiers accept them and libraries
/// differ, so they are rejected before a backend sees them.
fn has_small_order(mut x: [u8; 32]) -> bool {
    // The y coordinates of these points. -1, 0 and 1 have a second encoding above the prime.
    const ORDER_8: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef,
            0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88,
            0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10,
            0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77,
            0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [low, middle @ .., high] = &mut x;
    // The top bit is the sign of the other coordinate.
    *high &= 0x7f;
    let around_zero = *low <= 1 && *high == 0 && middle.iter().all(|byte| *byte == 0);
    let around_prime =
        (0xec..=0xee).contains(low) && *high == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    around_zero || around_prime || ORDER_8.contains(&x)
}

/// The reason why a JWK was rejected.
///
/// It contains nothing of the key, so you can log it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JwkError {
    /// A parameter is missing, has another JSON type or a wrong length, or is not canonical base64url.
    InvalidMember,
    /// The text is not a JSON object with a `kty`, or has duplicate members.
    Malformed,
    /// The key has a private member (RFC 9449 section 4.3 item 7).
    Private,
    /// The key is symmetric (`oct`).
    Symmetric,
    /// The text is longer than 16 KiB.
    TooLong,
    /// The curve is not supported.
    UnsupportedCurve,
    /// The `kty` is not supported.
    UnsupportedKeyType,
    /// An RSA key has fewer than 2048 or more than 4096 bits or a bad exponent, or an Ed25519 key is of
    /// small order.
    WeakKey,
}

impl fmt::Display for JwkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InvalidMember => "a parameter of the key is missing or invalid",
            Self::Malformed => "not a JSON Web Key",
            Self::Private => "the key has a private member",
            Self::Symmetric => "the key is symmetric",
            Self::TooLong => "the key is too long",
            Self::UnsupportedCurve => "the key's curve is not supported",
            Self::UnsupportedKeyType => "the key's type is not supported",
            Self::WeakKey => "the key is too weak or too large",
        })
    }
}

impl std::error::Error for JwkError {}

#[cfg(test)]
mod tests;
