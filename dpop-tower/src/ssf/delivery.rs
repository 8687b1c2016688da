//! The way of a SET: request, signature, claims, revocation list.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body::Body;
use serde_json::Value as Json;
use subtle::ConstantTimeEq as _;

use super::{
    answer::{Answer, Outcome, Rejection},
    body,
    event::{self, Authority, Meaning},
    transmitter::Sender,
};
use crate::{
    cache::Cache,
    clock::{TimeSource, UnixTime},
    crypto::CryptoProvider,
    document::{Document, NotVerified},
    revocation::{Revocation, RevocationSink},
};

/// How far the `iat` of a SET may lie in the future.
const LEEWAY: Duration = Duration::from_secs(60);

/// The settings and the state of a receiver.
pub(super) struct Shared {
    pub(super) senders: Vec<Sender>,
    pub(super) sink: Arc<dyn RevocationSink>,
    /// SETs that have been acknowledged, by the hash of `iss` and `jti`. Only transmitters can add one. If one is
    /// pushed out and comes again, it has the same effect again.
    pub(super) known: Cache<[u8; 32], ()>,
    pub(super) token_lifetime: Duration,
    pub(super) crypto: Arc<dyn CryptoProvider>,
    pub(super) clock: Arc<dyn TimeSource>,
}

impl Shared {
    /// Verifies and applies what a request delivers.
    pub(super) async fn receive<B: Body>(&self, request: Request<B>) -> Result<Outcome, Answer> {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Err(Answer::Http(StatusCode::METHOD_NOT_ALLOWED));
        }
        if !is_security_event(&head.headers) {
            return Err(Answer::Http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let presented = Presented::of(&head.headers, &*self.crypto);
        // A stranger's body is not read if all transmitters authenticate.
        if !self.senders.iter().any(|sender| presented.suits(sender)) {
            return Err(Rejection::AUTHENTICATION.into());
        }
        let body = body::read(body).await.map_err(Answer::Http)?;
        let (sender, set) = self.parse(&body)?;
        if !presented.suits(sender) {
            return Err(Rejection::AUTHENTICATION.into());
        }
        match set.verify(&*sender.keys).await {
            Ok(()) => {}
            Err(NotVerified::WrongKey) => return Err(Rejection::KEY.into()),
            Err(NotVerified::KeysUnavailable) => return Err(Answer::Unavailable),
        }
        let result = self.apply(sender, &set).await;
        // The signature is valid, so strangers cannot fill the log.
        if let Err(Answer::Rejected(Rejection { err, description })) = &result {
            let transmitter = &*sender.issuer;
            tracing::warn!(transmitter, err, "rejected a security event: {description}");
        }
        result
    }

    /// Selects the transmitter by the unverified `iss`, by which everything is verified.
    fn parse(&self, text: &[u8]) -> Result<(&Sender, Document), Answer> {
        const TYP: &str = "secevent+jwt";
        let mut wrong = Rejection::ISSUER;
        for sender in &self.senders {
            match Document::parse(text, TYP, &sender.algorithms) {
                Ok(set) if set.check_issuer(&sender.issuer).is_ok() => return Ok((sender, set)),
                Ok(_) => {}
                Err(description) => wrong = Rejection::request(description),
            }
        }
        Err(wrong.into())
    }

    /// Adds to the list what a SET with a valid signature revokes.
    async fn apply(&self, sender: &Sender, set: &Document) -> Result<Outcome, Answer> {
        let now = self.clock.now();
        let request = |description| Answer::from(Rejection::request(description));
        if !set.is_for(&sender.audiences) {
            return Err(Rejection::AUDIENCE.into());
        }
        let issued_at = (set.issued_at(now.saturating_add(LEEWAY))).map_err(request)?;
        for absent in ["exp", "sub"] {
            if set.claims.contains_key(absent) {
                return Err(request("it has an exp or a sub, which are for other JWTs"));
            }
        }
        let jti = set.claims.get("jti").and_then(Json::as_str);
        let jti = jti.filter(|jti| !jti.is_empty());
        let jti = jti.ok_or_else(|| request("it has no jti"))?;
        let id = self.id(&sender.issuer, jti);
        if self.known.get(&id).is_some() {
            return Ok(Outcome::Repeated);
        }
        let authority = Authority {
            issuers: &sender.issuers,
            tokens_have_sid: sender.tokens_have_sid,
        };
        let meanings = event::meanings(&set.claims, issued_at, authority)?;
        let is_outdated = issued_at.saturating_add(self.token_lifetime) < now;
        let mut outcome = Outcome::NoEffect;
        for meaning in meanings {
            let effect = told(&sender.issuer, &meaning, is_outdated);
            if let (Meaning::Revokes(_, revocations), Outcome::Revoked) = (meaning, effect) {
                self.revoke(&sender.issuer, revocations, now).await?;
            }
            if effect != Outcome::NoEffect {
                outcome = effect;
            }
        }
        // Only now, so that a SET that comes again after a failure is looked at.
        self.known.insert(id, ());
        Ok(outcome)
    }

    async fn revoke(
        &self,
        transmitter: &str,
        revocations: Vec<Revocation<'_>>,
        now: UnixTime,
    ) -> Result<(), Answer> {
        let until = now.saturating_add(self.token_lifetime);
        for revocation in revocations {
            if let Err(error) = self.sink.add(revocation, until).await {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.unwrap_or_default();
                tracing::error!(
                    transmitter,
                    "a security event has to come again: {error}: {cause}"
                );
                return Err(Answer::Unavailable);
            }
        }
        Ok(())
    }

    fn id(&self, issuer: &str, jti: &str) -> [u8; 32] {
        // The length comes first, so that no two pairs give the same input.
        let len = (issuer.len() as u64).to_be_bytes();
        (self.crypto).sha256(&[&len, issuer.as_bytes(), jti.as_bytes()])
    }
}

/// Logs what an event means, and nothing of its content. Returns what has become of it.
fn told(transmitter: &str, meaning: &Meaning<'_>, is_outdated: bool) -> Outcome {
    match meaning {
        Meaning::Revokes(kind, _) if is_outdated => {
            let event = kind.as_str();
            tracing::info!(
                transmitter,
                event,
                "a security event has no effect: all tokens from before it have expired"
            );
            Outcome::NoEffect
        }
        Meaning::Revokes(kind, _) => {
            let event = kind.as_str();
            tracing::info!(transmitter, event, "a security event revokes tokens");
            Outcome::Revoked
        }
        Meaning::UnknownSubject(kind) => {
            let event = kind.as_str();
            tracing::warn!(
                transmitter,
                event,
                "a security event has no effect: the format of its subject is not supported"
            );
            Outcome::NoEffect
        }
        Meaning::UnknownEvent => {
            tracing::warn!(
                transmitter,
                "a security event has no effect: its type is not supported"
            );
            Outcome::NoEffect
        }
        Meaning::Verification => {
            tracing::info!(transmitter, "a stream of security events was verified");
            Outcome::Stream
        }
        Meaning::StreamUpdated(Some("enabled")) => {
            tracing::info!(transmitter, "a stream of security events is enabled");
            Outcome::Stream
        }
        Meaning::StreamUpdated(status) => {
            let status = status.unwrap_or("unknown");
            tracing::warn!(
                transmitter,
                status,
                "a stream of security events is not enabled: nothing is revoked by it"
            );
            Outcome::Stream
        }
    }
}

/// The hash of the `Authorization` header, if there is exactly one.
struct Presented(Option<[u8; 32]>);

impl Presented {
    fn of(headers: &HeaderMap, crypto: &dyn CryptoProvider) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self(Some(crypto.sha256(&[value.as_bytes()]))),
            _ => Self(None),
        }
    }

    /// Compares in constant time.
    fn suits(&self, sender: &Sender) -> bool {
        match (&sender.authorization, &self.0) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(required), Some(presented)) => required.ct_eq(presented).into(),
        }
    }
}

/// RFC 8935 section 2.1: the media type is `application/secevent+jwt`.
fn is_security_event(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return false;
    };
    let media_type = value.to_str().ok().and_then(|text| text.split(';').next());
    media_type.is_some_and(|text| text.trim().eq_ignore_ascii_case("application/secevent+jwt"))
}
