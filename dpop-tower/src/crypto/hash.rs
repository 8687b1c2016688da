use super::CryptoProvider;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    jwk::{PublicJwk, Thumbprint},
};

impl Thumbprint {
    /// Computes the thumbprint of `key`, over its required members only (RFC 7638 section 3).
    ///
    /// It does not depend on members such as `kid` and `alg`, nor on the order of the members.
    ///
    /// ```
    /// # #[cfg(feature = "josekit")] {
    /// use dpop_tower::{crypto::Josekit, jwk::{PublicJwk, Thumbprint}};
    ///
    /// // RFC 8037 appendix A.3
    /// let key = PublicJwk::from_json(
    ///     r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
    /// )
    /// .unwrap();
    /// let thumbprint = Thumbprint::of(&key, &Josekit);
    /// assert_eq!(thumbprint.to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    /// # }
    /// ```
    pub fn of(key: &PublicJwk, crypto: &dyn CryptoProvider) -> Self {
        Self::from_bytes(crypto.sha256(&[key.required_members().as_bytes()]))
    }
}

/// SHA-256 of `abc` (FIPS 180-4, the first example).
const SHA256_OF_ABC: [u8; 32] = [
    0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
    0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad,
];

/// The second test case of RFC 4231.
const HMAC_OF_WHAT_DO_YA_WANT: [u8; 32] = [
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
    0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
];

/// Rejects a backend that computes a wrong hash, because it would confuse one token or proof with another.
pub(crate) fn check_hashes(crypto: &dyn CryptoProvider) -> Result<(), ConfigError> {
    let what = if crypto.sha256(&[b"a", b"", b"bc"]) != SHA256_OF_ABC {
        "SHA-256"
    } else if crypto.hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])
        != HMAC_OF_WHAT_DO_YA_WANT
    {
        "HMAC-SHA-256"
    } else {
        return Ok(());
    };
    let message = format!(
        "the crypto backend does not compute {what}: its methods have to hash all parts, one after the \
         other"
    );
    Err(ConfigError::new(ConfigErrorKind::Crypto, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Algorithm, InvalidKey, PreparedKey, pure_rust::PureRust};

    /// Gets one of the two right.
    #[derive(Debug)]
    struct Half {
        sha256: bool,
    }

    impl CryptoProvider for Half {
        fn supports(&self, _: Algorithm) -> bool {
            false
        }

        fn prepare(&self, _: &PublicJwk, _: Algorithm) -> Result<PreparedKey, InvalidKey> {
            Err(InvalidKey)
        }

        fn sha256(&self, parts: &[&[u8]]) -> [u8; 32] {
            PureRust.sha256(if self.sha256 { parts } else { &parts[..1] })
        }

        fn hmac_sha256(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
            PureRust.hmac_sha256(key, if self.sha256 { &parts[..1] } else { parts })
        }
    }

    #[test]
    fn a_backend_that_hashes_only_a_part_is_rejected() {
        assert!(check_hashes(&PureRust).is_ok());
        for (sha256, what) in [(false, "compute SHA-256"), (true, "compute HMAC-SHA-256")] {
            let error = check_hashes(&Half { sha256 }).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Crypto);
            assert!(error.to_string().contains(what), "{error}");
        }
    }
}
