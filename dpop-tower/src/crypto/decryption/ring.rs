//! The keys of one issuer's tokens.

use std::{fmt, sync::Arc};

use ::openssl::pkey::{PKey, Private};

use super::{ContentEncryption, Header, KeyManagement, curve_of, josekit::PrivateKey};
use crate::{
    crypto::{
        Josekit,
        private::{MAX_LEN, Parts, PrivateKeyError, openssl, pem_to_der},
    },
    jose::{
        encrypted::CompactJwe,
        json::{Object, Value},
    },
    jwk::{PublicJwk, Thumbprint},
};

/// The maximum length of the text of a set, in which there is room for about thirty RSA keys.
const MAX_SET_LEN: usize = 4 * MAX_LEN;

/// Keys with different `kid`s. It is never empty.
#[derive(Debug)]
pub(crate) struct KeyRing(Vec<Arc<DecryptionKey>>);

/// A key and what it may be used for.
#[derive(Debug)]
pub(crate) struct DecryptionKey {
    id: Arc<KeyId>,
    public: PublicJwk,
    private: PrivateKey,
}

/// What identifies a key. It contains nothing of the private half.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeyId {
    pub(crate) kid: String,
    thumbprint: Thumbprint,
    /// `None` for each that fits the key.
    algorithm: Option<KeyManagement>,
    /// `None` for each.
    encryption: Option<ContentEncryption>,
}

impl KeyRing {
    /// Parses a JWK Set of private keys. All of them have to be usable.
    pub(crate) fn from_jwk_set(text: &str) -> Result<Self, KeyRingError> {
        if text.len() > MAX_SET_LEN {
            return Err(KeyRingError::NotJwkSet);
        }
        let set = Object::parse(text.as_bytes()).ok_or(KeyRingError::NotJwkSet)?;
        let Some(Value::Array(keys)) = set.get("keys") else {
            return Err(KeyRingError::NotJwkSet);
        };
        let mut ring = Self(Vec::new());
        for (index, jwk) in keys.iter().enumerate() {
            let jwk = jwk.as_object().ok_or(KeyRingError::NotJwkSet)?;
            let kid = jwk.get("kid").and_then(Value::as_str);
            let unusable = |why| KeyRingError::Key {
                position: Some(index + 1),
                kid: kid.map(str::to_owned),
                why,
            };
            let key = DecryptionKey::from_jwk(jwk).map_err(unusable)?;
            ring.add(Arc::new(key)).map_err(unusable)?;
        }
        match ring.0.is_empty() {
            true => Err(KeyRingError::Empty),
            false => Ok(ring),
        }
    }

    /// Parses an unencrypted private key in PKCS#8, as PEM.
    pub(crate) fn from_pkcs8_pem(kid: &str, pem: &str) -> Result<Self, KeyRingError> {
        let key = DecryptionKey::from_pkcs8_pem(kid, pem).map_err(|why| KeyRingError::Key {
            position: None,
            kid: Some(kid.to_owned()),
            why,
        })?;
        Ok(Self(vec![Arc::new(key)]))
    }

    /// Returns the keys of both.
    pub(crate) fn and(&self, other: &Self) -> Result<Self, KeyRingError> {
        let mut both = Self(self.0.clone());
        for key in &other.0 {
            (both.add(Arc::clone(key))).map_err(|why| KeyRingError::Key {
                position: None,
                kid: Some(key.id.kid.clone()),
                why,
            })?;
        }
        Ok(both)
    }

    fn add(&mut self, key: Arc<DecryptionKey>) -> Result<(), Unusable> {
        if self.find(&key.id.kid).is_some() {
            return Err(Unusable::KidTwice);
        }
        self.0.push(key);
        Ok(())
    }

    pub(crate) fn find(&self, kid: &str) -> Option<&Arc<DecryptionKey>> {
        self.0.iter().find(|key| key.id.kid == kid)
    }

    pub(crate) fn contains(&self, id: &KeyId) -> bool {
        self.find(&id.kid).is_some_and(|key| *key.id == *id)
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.0.iter().map(|key| &*key.id)
    }
}

impl DecryptionKey {
    fn from_jwk(jwk: &Object<'_>) -> Result<Self, Unusable> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| !kid.is_empty());
        let kid = kid.ok_or(Unusable::NoKid)?;
        if text("use").is_some_and(|purpose| purpose != "enc") {
            return Err(Unusable::NotForDecryption);
        }
        if let Some(Value::Array(operations)) = jwk.get("key_ops") {
            const DECRYPTION: [&str; 4] = ["decrypt", "unwrapKey", "deriveKey", "deriveBits"];
            let mut operations = operations.iter().filter_map(Value::as_str);
            if !operations.any(|operation| DECRYPTION.contains(&operation)) {
                return Err(Unusable::NotForDecryption);
            }
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(alg) => {
                Some((alg.as_str().and_then(KeyManagement::from_name)).ok_or(Unusable::Algorithm)?)
            }
        };
        let encryption = match jwk.get("enc") {
            None => None,
            Some(enc) => Some(
                (enc.as_str().and_then(ContentEncryption::from_name))
                    .ok_or(Unusable::Encryption)?,
            ),
        };
        let parts = Parts::of_jwk(jwk)?;
        let key = openssl::from_parts(&parts).ok_or(Unusable::Inconsistent)?;
        Self::new(kid, parts.public, &key, algorithm, encryption)
    }

    fn from_pkcs8_pem(kid: &str, pem: &str) -> Result<Self, Unusable> {
        if kid.is_empty() {
            return Err(Unusable::NoKid);
        }
        let der = pem_to_der(pem)?;
        let key = PKey::private_key_from_pkcs8(&der).map_err(|_| Unusable::Kind)?;
        let public = openssl::public_jwk(&key).ok_or(Unusable::Kind)?;
        let public = PublicJwk::from_json(&public).map_err(PrivateKeyError::Jwk)?;
        Self::new(kid, public, &key, None, None)
    }

    fn new(
        kid: &str,
        public: PublicJwk,
        key: &PKey<Private>,
        algorithm: Option<KeyManagement>,
        encryption: Option<ContentEncryption>,
    ) -> Result<Self, Unusable> {
        let all = KeyManagement::ALL.into_iter();
        let fitting = all.filter(|one| one.fits(&public));
        let fitting: Vec<_> = fitting
            .filter(|one| algorithm.is_none_or(|algorithm| algorithm == *one))
            .collect();
        if fitting.is_empty() {
            let has_algorithm = algorithm.is_some();
            return Err(if has_algorithm {
                Unusable::Algorithm
            } else {
                Unusable::Kind
            });
        }
        let private = PrivateKey::new(key, &public, fitting).ok_or(Unusable::Inconsistent)?;
        let id = KeyId {
            kid: kid.to_owned(),
            thumbprint: Thumbprint::of(&public, &Josekit),
            algorithm,
            encryption,
        };
        Ok(Self {
            id: Arc::new(id),
            public,
            private,
        })
    }

    pub(crate) const fn id(&self) -> &Arc<KeyId> {
        &self.id
    }

    /// Decrypts a token, or says why the key may not. Of a key that may, nothing says why it could not.
    pub(crate) fn decrypt(
        &self,
        header: &Header,
        jwe: &CompactJwe<'_>,
    ) -> Result<Vec<u8>, &'static str> {
        const FAILED: &str = "the ciphertext does not belong to the key, or was changed";
        let KeyId {
            algorithm,
            encryption,
            ..
        } = *self.id;
        let may_use = algorithm.is_none_or(|algorithm| algorithm == header.algorithm);
        if !may_use || !header.algorithm.fits(&self.public) {
            return Err("its `alg` is not one of the key that its `kid` names");
        }
        if encryption.is_some_and(|encryption| encryption != header.encryption) {
            return Err("its `enc` is not that of the key that its `kid` names");
        }
        let on_curve = header.agreement.as_ref().map(|agreement| agreement.curve);
        if on_curve != curve_of(&self.public) {
            return Err("its `epk` is not on the curve of the key that its `kid` names");
        }
        let sealed = jwe.sealed().ok_or(FAILED)?;
        (self.private.decrypt(header, &self.public, &sealed)).ok_or(FAILED)
    }
}

/// The reason why keys cannot be used. It contains nothing of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyRingError {
    Empty,
    NotJwkSet,
    Key {
        /// Counted from one, if the key is one of a set.
        position: Option<usize>,
        kid: Option<String>,
        why: Unusable,
    },
}

/// The reason why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    Algorithm,
    Encryption,
    Inconsistent,
    KidTwice,
    Kind,
    NoKid,
    NotForDecryption,
    Unreadable(PrivateKeyError),
}

impl From<PrivateKeyError> for Unusable {
    fn from(error: PrivateKeyError) -> Self {
        Self::Unreadable(error)
    }
}

impl fmt::Display for KeyRingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the set of decryption keys is empty"),
            Self::NotJwkSet => f.write_str(
                "the decryption keys are not a JWK Set: a JSON object of at most 64 KiB with an array `keys` \
                 of objects, none of which has a member twice",
            ),
            Self::Key { position, kid, why } => {
                f.write_str("the decryption key ")?;
                if let Some(kid) = kid {
                    write!(f, "{kid:?} ")?;
                }
                if let Some(position) = position {
                    write!(f, "at position {position} ")?;
                }
                write!(f, "cannot be used: {why}")
            }
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => {
                "its `alg` does not fit the key, or is none of RSA-OAEP-256, ECDH-ES, ECDH-ES+A128KW and \
                 ECDH-ES+A256KW"
            }
            Self::Encryption => "its `enc` is neither A128GCM nor A256GCM",
            Self::Inconsistent => "its private half does not belong to its public half",
            Self::KidTwice => "another key has the same `kid`",
            Self::Kind => {
                "only RSA keys and keys on P-256, P-384 and P-521 are supported"
            }
            Self::NoKid => "it has no `kid`, by which tokens name their key",
            Self::NotForDecryption => "its `use` is not enc, or its `key_ops` do not include decryption",
            Self::Unreadable(error) => return error.fmt(f),
        })
    }
}

impl std::error::Error for KeyRingError {}
