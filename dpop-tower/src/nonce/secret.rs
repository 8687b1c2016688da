use std::fmt;

use crate::error::{ConfigError, ConfigErrorKind};

/// The secret of [`StatelessNonces`](super::StatelessNonces): 32 bytes or more, the same on every node.
#[derive(Clone)]
pub struct NonceSecret {
    pub(super) bytes: Box<[u8]>,
    /// Is `true` if no other process can have it.
    pub(super) is_random: bool,
}

impl NonceSecret {
    /// Uses a secret that several nodes share.
    ///
    /// It must come from a cryptographic random number generator, not from a person. Anyone who knows or
    /// guesses it can make nonces for any time.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if it has fewer than 32 bytes.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, ConfigError> {
        let bytes = bytes.as_ref();
        if bytes.len() < 32 {
            return Err(ConfigError::new(
                ConfigErrorKind::Nonces,
                "a nonce secret needs 32 bytes or more",
            ));
        }
        Ok(Self {
            bytes: bytes.into(),
            is_random: false,
        })
    }

    /// Generates a secret with the operating system's generator, for a single node.
    ///
    /// Nonces do not survive a restart, which costs each client one challenge.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the operating system provides no randomness.
    pub fn random() -> Result<Self, ConfigError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|error| {
            ConfigError::new(
                ConfigErrorKind::Nonces,
                "no randomness for the nonce secret",
            )
            .with_source(error)
        })?;
        Ok(Self {
            bytes: bytes.into(),
            is_random: true,
        })
    }
}

impl fmt::Debug for NonceSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_are_rejected() {
        assert!(NonceSecret::new([0; 31]).is_err());
        assert!(NonceSecret::new([0; 32]).is_ok());
    }
}
