//! What the events of a SET revoke. All functions are pure functions of the claims.

use std::time::Duration;

use serde_json::{Map, Value as Json};

use super::{
    answer::Rejection,
    subject::{self, Subject},
};
use crate::{clock::UnixTime, jose::json::date, revocation::Revocation};

/// An event that is understood. Its name is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CredentialChange,
    SessionRevoked,
    StreamUpdated,
    TokenClaimsChange,
    Verification,
}

impl Kind {
    const ALL: [(&'static str, Self); 5] = [
        (
            "https://schemas.openid.net/secevent/caep/event-type/credential-change",
            Self::CredentialChange,
        ),
        (
            "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
            Self::SessionRevoked,
        ),
        (
            "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
            Self::TokenClaimsChange,
        ),
        (
            "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
            Self::StreamUpdated,
        ),
        (
            "https://schemas.openid.net/secevent/ssf/event-type/verification",
            Self::Verification,
        ),
    ];

    fn of(uri: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(known, _)| *known == uri);
        found.map(|(_, kind)| kind)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialChange => "credential-change",
            Self::SessionRevoked => "session-revoked",
            Self::StreamUpdated => "stream-updated",
            Self::TokenClaimsChange => "token-claims-change",
            Self::Verification => "verification",
        }
    }
}

/// What the receiver knows about the transmitter of a SET.
#[derive(Clone, Copy)]
pub(super) struct Authority<'a> {
    /// The issuers whose tokens the transmitter may revoke.
    pub(super) issuers: &'a [String],
    /// Whether all access tokens of these issuers have a `sid`.
    pub(super) tokens_have_sid: bool,
}

/// What one event means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'s> {
    Revokes(Kind, Vec<Revocation<'s>>),
    /// The event is understood, and its subject is not one that a revocation list knows.
    UnknownSubject(Kind),
    UnknownEvent,
    Verification,
    /// The new status, unless it is none that is known.
    StreamUpdated(Option<&'static str>),
}

/// Returns the meaning of each event, or the reason to reject the SET as a whole.
pub(super) fn meanings<'s>(
    claims: &'s Map<String, Json>,
    issued_at: UnixTime,
    authority: Authority<'s>,
) -> Result<Vec<Meaning<'s>>, Rejection> {
    // RFC 8417 section 2.2: a JSON object with one member for each event, whose value is an object.
    let Some(Json::Object(events)) = claims.get("events") else {
        return Err(Rejection::request("it has no events"));
    };
    if events.is_empty() {
        return Err(Rejection::request("its events are empty"));
    }
    let meaning = |(uri, event): (&'s String, &'s Json)| {
        let event = event.as_object();
        let event = event.ok_or(Rejection::request("an event is not an object"))?;
        let Some(kind) = Kind::of(uri) else {
            return Ok(Meaning::UnknownEvent);
        };
        match kind {
            Kind::Verification => return Ok(Meaning::Verification),
            Kind::StreamUpdated => return Ok(Meaning::StreamUpdated(status(event))),
            Kind::CredentialChange | Kind::SessionRevoked | Kind::TokenClaimsChange => {}
        }
        let subject = claims.get("sub_id").or_else(|| event.get("subject"));
        let subjects = subject.and_then(|subject| subject::read(subject).ok());
        let subjects = subjects.ok_or(Rejection::request("its subject is malformed"))?;
        if subjects.is_empty() {
            return Ok(Meaning::UnknownSubject(kind));
        }
        let before = issued_before(event, claims, issued_at)?;
        let revocations = revocations(kind, &subjects, before, authority)?;
        Ok(Meaning::Revokes(kind, revocations))
    };
    events.iter().map(meaning).collect()
}

/// Returns the status of a stream (SSF 1.0 section 8.1.5).
fn status(event: &Map<String, Json>) -> Option<&'static str> {
    let status = event.get("status")?.as_str()?;
    ["enabled", "paused", "disabled"]
        .into_iter()
        .find(|known| *known == status)
}

/// Returns the time before which the revoked tokens were issued.
///
/// Dates have whole seconds, so a token of the second of the event may be older than the event. It is revoked as
/// well. No event happens after its SET was issued, so a time beyond that, such as one in milliseconds, is not used.
fn issued_before(
    event: &Map<String, Json>,
    claims: &Map<String, Json>,
    issued_at: UnixTime,
) -> Result<UnixTime, Rejection> {
    let read = |members: &Map<String, Json>, name: &'static str| {
        date(members, name).map_err(|_| Rejection::request("the time of an event is not a date"))
    };
    let happened = match read(event, "event_timestamp")? {
        Some(happened) => Some(happened),
        None => read(claims, "toe")?,
    };
    let happened = happened.map_or(issued_at, |happened| happened.min(issued_at));
    Ok(happened.saturating_add(Duration::from_secs(1)))
}

fn revocations<'s>(
    kind: Kind,
    subjects: &[Subject<'s>],
    issued_before: UnixTime,
    authority: Authority<'s>,
) -> Result<Vec<Revocation<'s>>, Rejection> {
    let is_session = |subject: &Subject<'_>| matches!(subject, Subject::Session(_));
    let is_of_session = kind == Kind::SessionRevoked;
    let session_is_enough =
        is_of_session && authority.tokens_have_sid && subjects.iter().any(is_session);
    let is_ours = |issuer: &str| authority.issuers.iter().any(|ours| ours == issuer);
    let mut all = Vec::new();
    for subject in subjects {
        match *subject {
            Subject::User { issuer, .. } | Subject::Token { issuer, .. } if !is_ours(issuer) => {
                return Err(Rejection::ACCESS);
            }
            Subject::Token { issuer, jti } => all.push(Revocation::Token { issuer, jti }),
            Subject::Session(session_id) => {
                all.extend(sessions(session_id, authority));
            }
            Subject::User { .. } | Subject::Opaque(_) if session_is_enough => {}
            Subject::User { issuer, subject } => all.push(Revocation::Subject {
                issuer,
                subject,
                issued_before,
            }),
            Subject::Opaque(id) => {
                all.extend(authority.issuers.iter().map(|issuer| Revocation::Subject {
                    issuer,
                    subject: id,
                    issued_before,
                }));
                if is_of_session {
                    all.extend(sessions(id, authority));
                }
            }
        }
    }
    Ok(all)
}

fn sessions<'s>(
    session_id: &'s str,
    authority: Authority<'s>,
) -> impl Iterator<Item = Revocation<'s>> {
    (authority.issuers.iter()).map(move |issuer| Revocation::Session { issuer, session_id })
}
