//! Tokens that are encrypted for the API: a signed JWT in a JWE (RFC 7519 section 5.2).

mod accepted;
mod rejected;
mod rotation;
mod several;

use dpop_tower::{Issuer, token::DecryptionKeys};
use josekit::{
    Map, Value,
    jwe::{self, ECDH_ES, JweEncrypter, JweHeader, RSA_OAEP_256},
    jwk::{
        Jwk,
        alg::{ec::EcCurve, ec::EcKeyPair, rsa::RsaKeyPair},
    },
};
use serde_json::json;

use super::{Api, clock, issuer};
use crate::support::{Verdict, invalid_token};

const FAILED: Verdict = invalid_token("token_decryption_failed");

/// A key pair of the API.
struct Pair {
    kid: String,
    private: Jwk,
}

impl Pair {
    fn p256(kid: &str) -> Self {
        Self::ec(kid, EcCurve::P256)
    }

    fn ec(kid: &str, curve: EcCurve) -> Self {
        Self::new(kid, EcKeyPair::generate(curve).unwrap().to_jwk_key_pair())
    }

    fn rsa(kid: &str) -> Self {
        Self::new(kid, RsaKeyPair::generate(2048).unwrap().to_jwk_key_pair())
    }

    fn new(kid: &str, private: Jwk) -> Self {
        Self {
            kid: kid.to_owned(),
            private,
        }
    }

    fn jwk(&self) -> Map<String, Value> {
        let mut jwk = self.private.as_ref().clone();
        jwk.insert("kid".to_owned(), self.kid.clone().into());
        jwk
    }

    fn public(&self) -> Jwk {
        self.private.to_public_key().unwrap()
    }

    fn keys(&self) -> DecryptionKeys {
        keys([self])
    }

    fn header(&self) -> Value {
        json!({ "enc": "A256GCM", "cty": "JWT", "kid": self.kid })
    }

    /// Encrypts a token as an issuer does.
    fn encrypt(&self, jwt: &str) -> String {
        self.encrypt_with(&self.header(), jwt)
    }

    /// Encrypts with these members in the header.
    fn encrypt_with(&self, header: &Value, text: impl AsRef<[u8]>) -> String {
        match self.private.key_type() {
            "RSA" => {
                let encrypter = RSA_OAEP_256.encrypter_from_jwk(&self.public());
                serialize(header, text, &*encrypter.unwrap())
            }
            _ => serialize(
                header,
                text,
                &*ECDH_ES.encrypter_from_jwk(&self.public()).unwrap(),
            ),
        }
    }
}

fn serialize(header: &Value, text: impl AsRef<[u8]>, encrypter: &dyn JweEncrypter) -> String {
    let header = JweHeader::from_map(header.as_object().unwrap().clone()).unwrap();
    jwe::serialize_compact(text.as_ref(), &header, encrypter).unwrap()
}

fn keys<'k>(pairs: impl IntoIterator<Item = &'k Pair>) -> DecryptionKeys {
    let keys: Vec<_> = pairs.into_iter().map(Pair::jwk).collect();
    DecryptionKeys::from_jwk_set(&json!({ "keys": keys }).to_string()).unwrap()
}

/// An issuer of signed tokens, and the settings that decrypt with these keys.
fn encrypting(keys: &DecryptionKeys) -> (dpop_tower::test_util::TestIssuer, Issuer) {
    let issuer = issuer("https://a.test");
    let tokens = issuer.tokens().decryption_keys(keys.clone());
    (issuer, tokens)
}
