use std::fmt;

use crate::{clock::UnixTime, jwk::Thumbprint, token::ClaimSet};

/// A verified token, as a [`RevocationList`](super::RevocationList) is asked about it.
///
/// `Debug` shows the names of the claims and hides their values.
///
/// ```
/// use dpop_tower::{clock::UnixTime, revocation::RevocationQuery, token::VerifiedToken};
/// use serde_json::{Map, json};
///
/// let claims = Map::from_iter([
///     ("iss".to_owned(), json!("https://idp.example.com")),
///     ("jti".to_owned(), json!("e1j3V_bKic8-LAEB")),
///     ("exp".to_owned(), json!(1_700_000_300)),
/// ]);
/// let token = VerifiedToken::new(claims)?;
/// let query = RevocationQuery::new(token.claims(), UnixTime::from_secs(1_700_000_000));
/// assert_eq!(query.jti(), Some("e1j3V_bKic8-LAEB"));
/// assert_eq!(query.session_id(), None);
/// # Ok::<(), dpop_tower::token::TokenError>(())
/// ```
#[derive(Clone, Copy)]
#[must_use]
pub struct RevocationQuery<'a> {
    claims: &'a ClaimSet,
    thumbprint: Option<&'a Thumbprint>,
    now: UnixTime,
}

impl<'a> RevocationQuery<'a> {
    /// Describes a token with these claims that is not bound to a key.
    pub const fn new(claims: &'a ClaimSet, now: UnixTime) -> Self {
        Self {
            claims,
            thumbprint: None,
            now,
        }
    }

    /// Sets the key that the token is bound to.
    pub const fn bound_to(mut self, thumbprint: &'a Thumbprint) -> Self {
        self.thumbprint = Some(thumbprint);
        self
    }

    /// Returns the time by the clock of the configuration.
    pub const fn now(&self) -> UnixTime {
        self.now
    }

    /// Returns the thumbprint of the key that the token is bound to and the proof was signed with.
    ///
    /// Returns `None` if the token is unbound.
    #[doc(alias = "jkt")]
    pub const fn thumbprint(&self) -> Option<&'a Thumbprint> {
        self.thumbprint
    }

    /// Returns the issuer (`iss`).
    pub fn issuer(&self) -> Option<&'a str> {
        self.claims.issuer()
    }

    /// Returns the identifier of the token (`jti`), or `None` if it is not a string.
    ///
    /// It is unique among the tokens of one issuer.
    pub fn jti(&self) -> Option<&'a str> {
        self.text("jti")
    }

    /// Returns the subject (`sub`), or `None` if it is not a string.
    pub fn subject(&self) -> Option<&'a str> {
        self.claims.subject()
    }

    /// Returns the login that the token comes from (`sid`, OpenID Connect Front-Channel Logout 1.0
    /// section 3), or `None` if it is not a string.
    #[doc(alias = "sid")]
    pub fn session_id(&self) -> Option<&'a str> {
        self.text("sid")
    }

    /// Returns the OAuth client (`client_id`), or `None` if it is not a string.
    pub fn client_id(&self) -> Option<&'a str> {
        self.claims.client_id()
    }

    /// Returns when the token was issued (`iat`), or `None` if it is not a date.
    pub fn issued_at(&self) -> Option<UnixTime> {
        self.claims.date("iat")
    }

    /// Returns when the user was authenticated (`auth_time`), or `None` if it is not a date.
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.claims.date("auth_time")
    }

    /// Returns when the token expires (`exp`).
    pub fn expires_at(&self) -> UnixTime {
        self.claims.expires_at()
    }

    /// Returns all claims, for identifiers that have no method here.
    pub const fn claims(&self) -> &'a ClaimSet {
        self.claims
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        self.claims.get(name)?.as_str()
    }
}

impl fmt::Debug for RevocationQuery<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RevocationQuery")
            .field("claims", &self.claims)
            .field("thumbprint", &self.thumbprint)
            .field("now", &self.now)
            .finish()
    }
}
