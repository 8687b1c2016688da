use std::fmt;

use crate::{
    crypto::{Algorithm, PreparedKey, SignatureVerifier},
    jose::json::{Object, Value},
    jwk::{JwkError, PublicJwk, Thumbprint},
};

const MAX_KEYS: usize = 100;

/// How many keys a token without `kid`, or with one that several keys share, is tried against: each
/// is a signature check that a stranger can ask for.
const MAX_CANDIDATES: usize = 4;

/// The keys of a JWK Set that tokens may be signed with, parsed and ready.
pub(crate) struct KeySet(Vec<IssuerKey>);

/// One key of an issuer.
pub(crate) struct IssuerKey {
    kid: Option<String>,
    thumbprint: Thumbprint,
    prepared: Vec<(Algorithm, PreparedKey)>,
}

impl IssuerKey {
    pub(crate) const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    fn for_algorithm(&self, algorithm: Algorithm) -> Option<&PreparedKey> {
        self.prepared
            .iter()
            .find_map(|(alg, key)| (*alg == algorithm).then_some(key))
    }
}

impl KeySet {
    /// Parses a JWK Set. A key that cannot be used is skipped, so that one of a new kind does not
    /// make the others unusable (RFC 7517 section 5).
    pub(crate) fn parse(
        jwks: &[u8],
        algorithms: &[Algorithm],
        crypto: &dyn SignatureVerifier,
    ) -> Result<Self, KeySetError> {
        let set = Object::parse(jwks).ok_or(KeySetError::Malformed)?;
        let Some(Value::Array(members)) = set.get("keys") else {
            return Err(KeySetError::Malformed);
        };
        if members.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys = Vec::new();
        for (index, member) in members.iter().enumerate() {
            match IssuerKey::parse(member, algorithms, crypto) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    tracing::debug!(index, %reason, "skipped a key of the issuer's JWK Set");
                }
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Self(keys))
    }

    /// The keys that a token with this header could be signed with.
    pub(crate) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (&IssuerKey, &PreparedKey)> {
        self.0
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == kid)
            .filter_map(move |key| key.for_algorithm(algorithm).map(|prepared| (key, prepared)))
            .take(MAX_CANDIDATES)
    }

    pub(crate) fn contains(&self, key: &Thumbprint, algorithm: Algorithm) -> bool {
        self.0
            .iter()
            .any(|own| own.thumbprint == *key && own.for_algorithm(algorithm).is_some())
    }
}

impl IssuerKey {
    fn parse(
        member: &Value<'_>,
        algorithms: &[Algorithm],
        crypto: &dyn SignatureVerifier,
    ) -> Result<Self, Skipped> {
        let object = member
            .as_object()
            .ok_or(Skipped::Key(JwkError::Malformed))?;
        if object
            .get("use")
            .is_some_and(|use_| use_.as_str() != Some("sig"))
        {
            return Err(Skipped::NotForSignatures);
        }
        if let Some(operations) = object.get("key_ops")
            && !matches!(operations, Value::Array(ops) if ops.iter().any(|op| op.as_str() == Some("verify")))
        {
            return Err(Skipped::NotForSignatures);
        }
        let only = match object.get("alg") {
            None => None,
            Some(alg) => Some(alg.as_str().ok_or(Skipped::Key(JwkError::InvalidMember))?),
        };
        let kid = match object.get("kid") {
            None => None,
            Some(kid) => Some(
                kid.as_str()
                    .ok_or(Skipped::Key(JwkError::InvalidMember))?
                    .to_owned(),
            ),
        };
        let jwk = PublicJwk::from_object(object).map_err(Skipped::Key)?;
        let prepared: Vec<_> = algorithms
            .iter()
            .copied()
            .filter(|algorithm| jwk.fits(*algorithm))
            .filter(|algorithm| only.is_none_or(|only| algorithm.is_named(only)))
            .filter_map(|algorithm| Some((algorithm, crypto.prepare(&jwk, algorithm).ok()?)))
            .collect();
        if prepared.is_empty() {
            return Err(Skipped::NoAlgorithm);
        }
        Ok(Self {
            kid,
            thumbprint: *jwk.thumbprint(),
            prepared,
        })
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(IssuerKey::thumbprint))
            .finish()
    }
}

enum Skipped {
    Key(JwkError),
    NoAlgorithm,
    NotForSignatures,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::NoAlgorithm => f.write_str("no allowed algorithm fits the key"),
            Self::NotForSignatures => f.write_str("the key is not for signatures"),
        }
    }
}

/// Why a JWK Set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySetError {
    Malformed,
    NoUsableKey,
    TooManyKeys,
}

impl fmt::Display for KeySetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("it is not a JSON object with an array `keys`"),
            Self::NoUsableKey => f.write_str("none of its keys can be used"),
            Self::TooManyKeys => write!(f, "it has more than {MAX_KEYS} keys"),
        }
    }
}

impl std::error::Error for KeySetError {}
