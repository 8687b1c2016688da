//! Signed answers (RFC 9701).

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value as Json};

use super::error::Failure;
use crate::{
    clock::UnixTime,
    crypto::Algorithm,
    document::{Document, NO_KEY, NotVerified},
    keys::KeySource,
};

/// The maximum age of an answer. An older one may be a copy from before the issuer revoked the token.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);

/// The rules for signed answers, and the keys that answers are signed with.
#[derive(Debug)]
pub(super) struct SignedAnswers {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) leeway: Duration,
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) keys: Arc<dyn KeySource>,
}

impl SignedAnswers {
    /// Verifies an answer and returns its claim `token_introspection`. Nothing outside it describes the token.
    pub(super) async fn open(
        &self,
        body: &[u8],
        now: UnixTime,
    ) -> Result<Map<String, Json>, Failure> {
        let mut answer = self.parse(body, now).map_err(Failure::SignedAnswer)?;
        match answer.verify(&*self.keys).await {
            Ok(()) => {}
            Err(NotVerified::WrongKey) => return Err(Failure::SignedAnswer(NO_KEY)),
            Err(NotVerified::KeysUnavailable) => return Err(Failure::Keys),
        }
        match answer.claims.remove("token_introspection") {
            Some(Json::Object(introspection)) => Ok(introspection),
            _ => Err(Failure::SignedAnswer("it has no token_introspection")),
        }
    }

    /// Checks the claims of RFC 9701 section 5. An `exp` is not among them, but is obeyed.
    fn parse(&self, body: &[u8], now: UnixTime) -> Result<Document, &'static str> {
        let answer = Document::parse(body, "token-introspection+jwt", &self.algorithms)?;
        answer.check_issuer(&self.issuer)?;
        if !answer.is_for(&[&self.client_id]) {
            return Err("its aud is not the client_id of this API");
        }
        let issued_at = answer.issued_at(now.saturating_add(self.leeway))?;
        if issued_at < now.saturating_sub(MAX_AGE.saturating_add(self.leeway)) {
            return Err("it is too old");
        }
        answer.expires_at(now)?;
        Ok(answer)
    }
}
