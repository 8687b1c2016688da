//! Decryption with josekit.

use std::fmt;

use ::josekit::{
    Value,
    jwe::{
        ECDH_ES, ECDH_ES_A128KW, ECDH_ES_A256KW, JweContentEncryption, JweDecrypter, JweHeader,
        RSA_OAEP_256, enc::aesgcm::AesgcmJweEncryption,
    },
};
use openssl::pkey::{PKey, Private};
use zeroize::Zeroizing;

use super::{
    ContentEncryption, KeyManagement,
    header::{Agreement, Header},
};
use crate::{crypto::private::openssl::is_consistent, jose::encrypted::Sealed, jwk::PublicJwk};

/// A private key and the algorithms that it decrypts with. OpenSSL erases it when it frees it.
pub(super) struct PrivateKey(Vec<(KeyManagement, Box<dyn JweDecrypter>)>);

impl PrivateKey {
    /// Returns the key for those of `algorithms` that fit it, or `None` if its halves do not belong together.
    pub(super) fn new(
        key: &PKey<Private>,
        public: &PublicJwk,
        algorithms: impl IntoIterator<Item = KeyManagement>,
    ) -> Option<Self> {
        if !is_consistent(key) {
            return None;
        }
        let der = Zeroizing::new(key.private_key_to_pkcs8().ok()?);
        let decrypters = algorithms.into_iter().filter(|one| one.fits(public));
        let decrypters = decrypters.map(|algorithm| Some((algorithm, decrypter(algorithm, &der)?)));
        decrypters.collect::<Option<_>>().map(Self)
    }

    /// Decrypts the content. Whatever is wrong, there is one way to fail, and it takes the same steps, so that
    /// nobody learns something of a key by trying (RFC 7516 section 11.5).
    pub(super) fn decrypt(
        &self,
        header: &Header,
        public: &PublicJwk,
        sealed: &Sealed<'_>,
    ) -> Option<Vec<u8>> {
        let decrypters = self.0.iter();
        let (_, decrypter) = decrypters
            .into_iter()
            .find(|(algorithm, _)| *algorithm == header.algorithm)?;
        let content = content_encryption(header.encryption);
        let key_len = header.encryption.key_len();
        // josekit panics if a wrapped key is too short.
        let encrypted_len = match header.algorithm {
            KeyManagement::RsaOaep256 => public.signature_len(),
            KeyManagement::EcdhEs => 0,
            KeyManagement::EcdhEsA128Kw | KeyManagement::EcdhEsA256Kw => key_len + 8,
        };
        if sealed.encrypted_key.len() != encrypted_len {
            return None;
        }
        let encrypted_key = (encrypted_len > 0).then_some(sealed.encrypted_key.as_slice());
        let parameters = parameters(header.agreement.as_ref())?;
        let mut substitute = Zeroizing::new(vec![0; key_len]);
        getrandom::fill(&mut substitute).ok()?;
        let key = match decrypter.decrypt(encrypted_key, &content, &parameters) {
            Ok(key) if key.len() == key_len => Zeroizing::new(key.into_owned()),
            _ => substitute,
        };
        content
            .decrypt(
                &key,
                Some(&sealed.iv),
                &sealed.ciphertext,
                sealed.aad.as_bytes(),
                Some(&sealed.tag),
            )
            .ok()
    }
}

fn decrypter(algorithm: KeyManagement, pkcs8: &[u8]) -> Option<Box<dyn JweDecrypter>> {
    Some(match algorithm {
        KeyManagement::RsaOaep256 => Box::new(RSA_OAEP_256.decrypter_from_der(pkcs8).ok()?),
        KeyManagement::EcdhEs => Box::new(ECDH_ES.decrypter_from_der(pkcs8).ok()?),
        KeyManagement::EcdhEsA128Kw => Box::new(ECDH_ES_A128KW.decrypter_from_der(pkcs8).ok()?),
        KeyManagement::EcdhEsA256Kw => Box::new(ECDH_ES_A256KW.decrypter_from_der(pkcs8).ok()?),
    })
}

const fn content_encryption(encryption: ContentEncryption) -> AesgcmJweEncryption {
    match encryption {
        ContentEncryption::A128Gcm => AesgcmJweEncryption::A128gcm,
        ContentEncryption::A256Gcm => AesgcmJweEncryption::A256gcm,
    }
}

/// Returns the parameters of a key agreement as josekit reads them: only what has been checked.
fn parameters(agreement: Option<&Agreement>) -> Option<JweHeader> {
    let mut header = JweHeader::new();
    if let Some(Agreement { epk, apu, apv, .. }) = agreement {
        let epk = serde_json::from_str(&epk.required_members()).ok()?;
        header.set_claim("epk", Some(epk)).ok()?;
        for (name, party) in [("apu", apu), ("apv", apv)] {
            let party = party.clone().map(Value::String);
            header.set_claim(name, party).ok()?;
        }
    }
    Some(header)
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(..)")
    }
}
