//! Decrypts the token of a request.

use std::sync::Arc;

use super::KeyId;
use crate::{
    crypto::decryption::{Header, KeyRing},
    jose::{encrypted::CompactJwe, json::Object},
    token::{
        TokenError, TokenErrorKind,
        jwt::{issuers::Issuers, parse::DecodedToken},
    },
};

/// The signed JWT of an encrypted token. Only the key is known to belong to an issuer.
pub(in crate::token::jwt) struct Opened {
    jwt: String,
    pub(in crate::token::jwt) decrypted_by: Arc<KeyId>,
    /// The claims that the header of the JWE replicates.
    replicated: Vec<(&'static str, serde_json::Value)>,
}

/// Decrypts a token, unless it is none that is encrypted.
///
/// All checks come before the private key is used, and it is used at most once: the `kid` of the token selects
/// one key of all issuers.
pub(in crate::token::jwt) fn open(
    issuers: &Issuers,
    text: &str,
) -> Option<Result<Opened, TokenError>> {
    let jwe = CompactJwe::split(text)?;
    let bytes = jwe.header()?;
    let header = Object::parse(&bytes)?;
    let mut rings = (issuers.fixed_ones())
        .filter_map(|issuer| Some(issuer.encryption.keys.as_ref()?.current()))
        .peekable();
    if rings.peek().is_none() {
        let why = "it is encrypted, and no issuer has decryption keys";
        return Some(Err(TokenError::explained(TokenErrorKind::Malformed, why)));
    }
    let opened = decrypt(&jwe, &header, rings);
    Some(opened.map_err(|why| TokenError::explained(TokenErrorKind::DecryptionFailed, why)))
}

fn decrypt(
    jwe: &CompactJwe<'_>,
    header: &Object<'_>,
    rings: impl Iterator<Item = Arc<KeyRing>>,
) -> Result<Opened, &'static str> {
    let header = Header::check(header)?;
    let mut found = rings.filter_map(|ring| ring.find(&header.kid).cloned());
    let key = found
        .next()
        .ok_or("its `kid` is none of the decryption keys")?;
    // `build` checks this, but keys can be replaced later.
    if found.any(|other| *other.id() != *key.id()) {
        return Err("two issuers have different decryption keys with its `kid`");
    }
    let jwt = String::from_utf8(key.decrypt(&header, jwe)?);
    Ok(Opened {
        jwt: jwt.map_err(|_| "its content is not a signed JWT")?,
        decrypted_by: Arc::clone(key.id()),
        replicated: header.replicated,
    })
}

impl Opened {
    /// Decodes the JWT. A JWE in it is malformed, as anything else is that is not signed.
    pub(in crate::token::jwt) fn decode(&self) -> Result<DecodedToken<'_>, TokenError> {
        let token = DecodedToken::decode(&self.jwt)?;
        // RFC 7519 section 5.3: replicated claims have to be identical.
        if !token.has_claims(&self.replicated) {
            let why =
                "the `iss`, `sub` or `aud` in the header of the JWE is not that of the JWT in it";
            return Err(TokenError::explained(TokenErrorKind::DecryptionFailed, why));
        }
        Ok(token)
    }
}
