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

mod error;
mod point;
mod published;
mod strength;
mod thumbprint;

pub use error::JwkError;
pub use point::EcPoint;
pub(crate) use published::canonical;
pub use thumbprint::{InvalidThumbprint, Thumbprint};

use std::fmt;

use self::strength::{bits, check_rsa, has_small_order, is_below_the_prime};
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, PartialEq, Eq, Hash)]
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

    /// Returns the key as JSON, with its required members only (RFC 7638 section 3.2).
    ///
    /// ```
    /// use dpop_tower::jwk::PublicJwk;
    ///
    /// // RFC 8037 appendix A.3
    /// let json = r#"{"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// assert_eq!(PublicJwk::from_json(json)?.to_json(), json);
    /// # Ok::<(), dpop_tower::jwk::JwkError>(())
    /// ```
    pub fn to_json(&self) -> String {
        self.required_members()
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

#[cfg(test)]
mod tests;
