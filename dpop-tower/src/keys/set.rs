use std::{borrow::Cow, fmt};

use super::{BYTE_ORDER_MARK, quoted::Quoted};
use crate::{
    crypto::{Algorithm, CryptoProvider, PreparedKey},
    jose::json::{Object, Value},
    jwk::{self, JwkError, PublicJwk, Thumbprint},
};

const MAX_KEYS: usize = 100;

/// The number of keys that are tried for a token without `kid`, or with one that several keys share. Each is
/// a signature check that anyone can cause.
const MAX_CANDIDATES: usize = 4;

/// The keys of a JWK Set that tokens may be signed with, parsed and prepared.
#[derive(Default)]
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
    /// Parses a JWK Set. A key that cannot be used is skipped and logged, so that a key of a new kind does
    /// not make the others unusable (RFC 7517 section 5).
    pub(crate) fn parse(
        jwks: &[u8],
        algorithms: &[Algorithm],
        crypto: &dyn CryptoProvider,
    ) -> Result<Self, KeySetError> {
        let set = document(jwks)?;
        let mut keys = Vec::new();
        for (index, member) in members(&set)?.iter().enumerate() {
            match IssuerKey::parse(member, algorithms, crypto) {
                Ok(key) => keys.push(key),
                Err(reason) => {
                    let kid = kid_of(member);
                    let kid = kid.as_deref().map(Quoted::new);
                    tracing::warn!(
                        index,
                        kid = kid.map(tracing::field::display),
                        %reason,
                        "skipped a key of the issuer's JWK Set"
                    );
                }
            }
        }
        if keys.is_empty() {
            return Err(KeySetError::NoUsableKey);
        }
        Ok(Self(keys))
    }

    /// Checks that a document is a JWK Set, whether or not its keys can be used.
    #[cfg(feature = "jwks")]
    pub(crate) fn check(jwks: &[u8]) -> Result<(), KeySetError> {
        members(&document(jwks)?).map(|_| ())
    }

    /// Returns the keys that a token with this header could be signed with.
    ///
    /// A key without `kid` matches every token (RFC 7517 section 4.5), unless another key has the `kid` of
    /// the token.
    pub(crate) fn candidates(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = (&IssuerKey, &PreparedKey)> {
        let is_named = kid.is_some() && self.0.iter().any(|key| key.kid.as_deref() == kid);
        let wanted = if is_named { kid } else { None };
        self.0
            .iter()
            .filter(move |key| kid.is_none() || key.kid.as_deref() == wanted)
            .filter_map(move |key| key.for_algorithm(algorithm).map(|prepared| (key, prepared)))
            .take(MAX_CANDIDATES)
    }

    pub(crate) fn contains(&self, key: &Thumbprint, algorithm: Algorithm) -> bool {
        self.0
            .iter()
            .any(|own| own.thumbprint == *key && own.for_algorithm(algorithm).is_some())
    }
}

/// Parses the document in independent parts. A duplicate member makes its key invalid and not the whole set.
fn document(jwks: &[u8]) -> Result<Object<'_>, KeySetError> {
    let jwks = jwks.strip_prefix(BYTE_ORDER_MARK).unwrap_or(jwks);
    Object::parse_parts(jwks).ok_or(KeySetError::Malformed)
}

fn members<'o, 'a>(set: &'o Object<'a>) -> Result<&'o [Value<'a>], KeySetError> {
    match set.get("keys") {
        Some(Value::Array(members)) if members.len() > MAX_KEYS => Err(KeySetError::TooManyKeys),
        Some(Value::Array(members)) => Ok(members),
        _ => Err(KeySetError::Malformed),
    }
}

/// Returns the `kid` of a key for the log. The key may be any JSON value.
fn kid_of<'v>(member: &'v Value<'_>) -> Option<Cow<'v, str>> {
    match member.as_object()?.get("kid")? {
        Value::String(kid) => Some(Cow::Borrowed(kid)),
        Value::Number(kid) => Some(Cow::Owned(kid.to_string())),
        _ => None,
    }
}

impl IssuerKey {
    fn parse(
        member: &Value<'_>,
        algorithms: &[Algorithm],
        crypto: &dyn CryptoProvider,
    ) -> Result<Self, Skipped> {
        let published = member
            .as_object()
            .ok_or(Skipped::Key(JwkError::Malformed))?;
        let key = jwk::canonical(published);
        let text = |name| match key.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(Skipped::NoText(name)),
        };
        if text("use")?.is_some_and(|use_| use_ != "sig") || !is_for_signatures(key.get("key_ops"))
        {
            return Err(Skipped::NotForSignatures);
        }
        let (kid, only) = (text("kid")?, text("alg")?);
        let jwk = PublicJwk::from_object(&key).map_err(Skipped::Key)?;
        let mut fitting = algorithms
            .iter()
            .copied()
            .filter(|algorithm| jwk.fits(*algorithm))
            .filter(|algorithm| only.is_none_or(|only| algorithm.is_named(only)))
            .peekable();
        if fitting.peek().is_none() {
            return Err(Skipped::NoAlgorithm);
        }
        let prepared: Vec<_> = fitting
            .filter_map(|algorithm| Some((algorithm, crypto.prepare(&jwk, algorithm).ok()?)))
            .collect();
        if prepared.is_empty() {
            return Err(Skipped::NotPrepared);
        }
        Ok(Self {
            kid: kid.map(str::to_owned),
            thumbprint: Thumbprint::of(&jwk, crypto),
            prepared,
        })
    }
}

/// Returns whether `key_ops` allows signatures. `sign` is the operation of the private half of the key. Some
/// issuers write the operation as a string and not as an array.
fn is_for_signatures(key_ops: Option<&Value<'_>>) -> bool {
    let fits = |operation: &Value<'_>| matches!(operation.as_str(), Some("sign" | "verify"));
    match key_ops {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(fits),
        Some(operation) => fits(operation),
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(IssuerKey::thumbprint))
            .finish()
    }
}

/// The reason why a key of the set is skipped.
enum Skipped {
    Key(JwkError),
    NoAlgorithm,
    NoText(&'static str),
    NotForSignatures,
    NotPrepared,
}

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => error.fmt(f),
            Self::NoAlgorithm => f.write_str("no allowed algorithm fits the key and its `alg`"),
            Self::NoText(member) => write!(f, "its `{member}` is no text"),
            Self::NotForSignatures => f.write_str("the key is not for signatures"),
            Self::NotPrepared => f.write_str("the crypto backend cannot use the key"),
        }
    }
}

/// The reason why a JWK Set cannot be used.
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
