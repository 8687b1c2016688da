//! Encrypted access tokens: a signed JWT in a JWE (RFC 7519 section 5.2).

mod keys;
#[cfg(feature = "josekit")]
mod opened;

pub use self::keys::DecryptionKeys;
#[cfg(feature = "josekit")]
pub(super) use self::opened::open;
use super::verifier::IssuerVerifier;
#[cfg(feature = "josekit")]
pub(super) use crate::crypto::decryption::KeyId;
use crate::error::{ConfigError, ConfigErrorKind};

/// What identifies the key that decrypted a token. Without josekit, there is none.
#[cfg(not(feature = "josekit"))]
#[derive(Debug)]
pub(super) enum KeyId {}

/// How an issuer encrypts its tokens.
#[derive(Debug, Default)]
pub(super) struct Encryption {
    pub(super) keys: Option<DecryptionKeys>,
    /// Whether tokens that are only signed are rejected.
    pub(super) is_required: bool,
}

impl Encryption {
    /// Checks the settings of an issuer.
    pub(super) fn check(&self, has_no_jwts: bool) -> Result<(), ConfigError> {
        let reject = |message: &'static str| Err(unusable(message));
        match &self.keys {
            None if self.is_required => reject(
                "`require_encrypted_tokens` without keys would reject every token: give `decryption_keys`",
            ),
            Some(_) if cfg!(not(feature = "josekit")) => reject(
                "encrypted tokens need the feature `josekit`, which this build does not have",
            ),
            Some(_) if has_no_jwts => {
                reject("all tokens of the issuer are opaque, so there is nothing to decrypt")
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Returns whether the key that decrypted a token still counts. A token that was not encrypted has none.
    #[inline]
    pub(super) fn still_has(&self, decrypted_by: Option<&KeyId>) -> bool {
        decrypted_by.is_none_or(|id| (self.keys.as_ref()).is_some_and(|keys| keys.contains(id)))
    }
}

/// Rejects issuers with different keys of the same `kid`. The issuer of a token is not known before it is
/// decrypted, so its `kid` has to name one key.
pub(super) fn check_kids(issuers: &[IssuerVerifier]) -> Result<(), ConfigError> {
    let mut before: Vec<&DecryptionKeys> = Vec::new();
    for issuer in issuers {
        let Some(keys) = &issuer.encryption.keys else {
            continue;
        };
        if let Some(kid) = before.iter().find_map(|other| keys.conflict_with(other)) {
            let message = format!(
                "its decryption key {kid:?} has the same `kid` as another key of another issuer, so that `kid` \
                 does not tell which one decrypts a token"
            );
            return Err(unusable(message).with_issuer(issuer.checks.issuer.as_str()));
        }
        before.push(keys);
    }
    Ok(())
}

fn unusable(message: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Decryption, message)
}

#[cfg(all(test, not(feature = "josekit")))]
mod tests {
    use super::*;

    #[test]
    fn without_josekit_keys_are_an_error_when_the_configuration_is_built() {
        let keys = DecryptionKeys::from_jwk_set(r#"{"keys":[]}"#).unwrap();
        let encryption = Encryption {
            keys: Some(keys),
            is_required: false,
        };
        let error = encryption.check(false).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Decryption);
        assert!(error.to_string().contains("`josekit`"), "{error}");
        assert!(Encryption::default().check(false).is_ok());
    }
}
