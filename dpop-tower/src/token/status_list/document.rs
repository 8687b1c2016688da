//! Status list tokens: JWTs that contain the statuses of many tokens.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::bits::Statuses;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    document::{Document, NO_KEY, NotVerified},
    keys::KeySource,
};

/// The rules that a status list token has to satisfy.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// The URI by which a token refers to the list.
    pub(super) uri: &'a str,
    pub(super) algorithms: &'a [Algorithm],
    pub(super) leeway: Duration,
    pub(super) now: UnixTime,
}

/// A status list token with valid claims and a valid signature.
pub(super) struct ListToken {
    pub(super) issued_at: UnixTime,
    pub(super) expires_at: Option<UnixTime>,
    /// How long the issuer says that the list is current.
    pub(super) ttl: Option<Duration>,
    list: Map<String, Json>,
}

impl ListToken {
    /// Verifies a token (Token Status List section 5.1).
    pub(super) async fn verify(
        text: &[u8],
        expected: &Expected<'_>,
        keys: &dyn KeySource,
    ) -> Result<Self, &'static str> {
        let mut token = Document::parse(text, "statuslist+jwt", expected.algorithms)?;
        let claims = &token.claims;
        // The list of another URI has the statuses of other tokens.
        if claims.get("sub").and_then(Json::as_str) != Some(expected.uri) {
            return Err("its sub is not the URI of the list");
        }
        // The claim is optional, but it must not be wrong.
        if claims.contains_key("iss") {
            token.check_issuer(expected.issuer)?;
        }
        let issued_at = token.issued_at(expected.now.saturating_add(expected.leeway))?;
        let expires_at = token.expires_at(expected.now)?;
        let ttl = match claims.get("ttl") {
            None => None,
            Some(ttl) => {
                let secs = ttl.as_u64().filter(|secs| *secs > 0);
                Some(secs.ok_or("its ttl is not a positive number")?)
            }
        };
        match token.verify(keys).await {
            Ok(()) => {}
            Err(NotVerified::WrongKey) => return Err(NO_KEY),
            Err(NotVerified::KeysUnavailable) => return Err("the issuer's keys are not available"),
        }
        let Some(Json::Object(list)) = token.claims.remove("status_list") else {
            return Err("it has no status_list");
        };
        Ok(Self {
            issued_at,
            expires_at,
            ttl: ttl.map(Duration::from_secs),
            list,
        })
    }

    /// Decompresses the list.
    pub(super) fn statuses(&self, max_size: usize) -> Result<Statuses, &'static str> {
        let bits = self.list.get("bits").and_then(Json::as_u64);
        let lst = self.list.get("lst").and_then(Json::as_str);
        Statuses::inflate(
            bits.ok_or("its status_list has no bits")?,
            lst.ok_or("its status_list has no lst")?,
            max_size,
        )
    }
}
