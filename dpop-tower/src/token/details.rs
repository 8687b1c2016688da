//! Claims about how and for what a token was issued.

use std::{fmt, iter};

use serde_json::{Map, Value};

use super::ClaimSet;
use crate::clock::UnixTime;

/// How many actors [`ClaimSet::actors`] returns at most.
const MAX_ACTORS: usize = 16;

impl ClaimSet {
    /// Returns the class of the user's authentication (`acr`, RFC 9470 section 6.1).
    ///
    /// Returns `None` if it is not a string. [`Policy::require_acr`](crate::Policy::require_acr) checks it.
    pub fn acr(&self) -> Option<&str> {
        self.get("acr").and_then(Value::as_str)
    }

    /// Returns the time when the user was authenticated (`auth_time`, RFC 9470 section 6.1).
    ///
    /// Returns `None` if it is not a date. [`Policy::max_auth_age`](crate::Policy::max_auth_age) checks it.
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.date("auth_time")
    }

    /// Returns who acts for the subject (`act`, RFC 8693 section 4.1): the current actor first, then the one
    /// before it, and so on, at most 16.
    ///
    /// Only the current actor counts for access control. The others are for information (RFC 8693 section 4.1).
    /// The list ends at a value that is not an object.
    ///
    /// ```
    /// use dpop_tower::token::VerifiedToken;
    /// use serde_json::{Map, json};
    ///
    /// let token = VerifiedToken::new(Map::from_iter([
    ///     ("sub".to_owned(), json!("alice")),
    ///     ("exp".to_owned(), json!(1_700_000_300)),
    ///     ("act".to_owned(), json!({ "sub": "shop", "act": { "sub": "gateway" } })),
    /// ]))?;
    /// let actors = token.claims().actors().map(|actor| actor.subject());
    /// assert!(actors.eq([Some("shop"), Some("gateway")]));
    /// # Ok::<(), dpop_tower::token::TokenError>(())
    /// ```
    #[doc(alias = "act")]
    pub fn actors(&self) -> impl Iterator<Item = Actor<'_>> {
        let first = self.get("act").and_then(Value::as_object).map(Actor);
        iter::successors(first, |Actor(claims)| {
            claims.get("act").and_then(Value::as_object).map(Actor)
        })
        .take(MAX_ACTORS)
    }

    /// Returns what the token authorizes in detail (`authorization_details`, RFC 9396 section 9.1).
    ///
    /// Elements that are not objects with a `type` authorize nothing and are left out.
    /// [`Policy::require_authorization_details`](crate::Policy::require_authorization_details) checks them.
    ///
    /// ```
    /// use dpop_tower::token::VerifiedToken;
    /// use serde_json::{Map, json};
    ///
    /// let token = VerifiedToken::new(Map::from_iter([
    ///     ("exp".to_owned(), json!(1_700_000_300)),
    ///     ("authorization_details".to_owned(), json!([
    ///         { "type": "payment", "amount": 50 },
    ///         { "type": "account", "actions": ["read"] },
    ///     ])),
    /// ]))?;
    /// let payment = token.claims().authorization_details().find(|details| details.kind() == "payment");
    /// assert_eq!(payment.unwrap().get("amount"), Some(&json!(50)));
    /// # Ok::<(), dpop_tower::token::TokenError>(())
    /// ```
    #[doc(alias = "rar")]
    pub fn authorization_details(&self) -> impl Iterator<Item = AuthorizationDetails<'_>> {
        self.get("authorization_details")
            .into_iter()
            .flat_map(AuthorizationDetails::all)
    }
}

/// A party that acts for the subject of a token (RFC 8693 section 4.1).
///
/// `Debug` shows the names of its claims and hides their values, which may be personal data.
#[derive(Clone, Copy)]
pub struct Actor<'a>(&'a Map<String, Value>);

impl<'a> Actor<'a> {
    /// Returns its `sub`, or `None` if that is not a string.
    pub fn subject(&self) -> Option<&'a str> {
        self.get("sub").and_then(Value::as_str)
    }

    /// Returns its `iss`, or `None` if that is not a string. Without one, its subject is one of the token's
    /// issuer.
    pub fn issuer(&self) -> Option<&'a str> {
        self.get("iss").and_then(Value::as_str)
    }

    /// Returns one of its claims, such as `client_id`.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }
}

impl fmt::Debug for Actor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One element of `authorization_details` (RFC 9396 section 2).
///
/// `Debug` shows its type and the names of its members.
#[derive(Clone, Copy)]
pub struct AuthorizationDetails<'a> {
    kind: &'a str,
    members: &'a Map<String, Value>,
}

impl<'a> AuthorizationDetails<'a> {
    pub(crate) fn all(claim: &'a Value) -> impl Iterator<Item = Self> {
        let elements = claim.as_array().map_or(&[][..], Vec::as_slice);
        elements.iter().filter_map(|element| {
            let members = element.as_object()?;
            let kind = members.get("type")?.as_str()?;
            Some(Self { kind, members })
        })
    }

    /// Returns its `type`, which says what the other members mean.
    #[doc(alias = "type")]
    pub const fn kind(&self) -> &'a str {
        self.kind
    }

    /// Returns one of its members, such as `actions` or `locations`.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.members.get(name)
    }
}

impl fmt::Debug for AuthorizationDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationDetails")
            .field("kind", &self.kind)
            .field("members", &self.members.keys())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::VerifiedToken;

    fn claims(mut claims: Value) -> ClaimSet {
        claims["exp"] = json!(2_000_000_000);
        let token = VerifiedToken::new(claims.as_object().cloned().unwrap());
        token.unwrap().claims().clone()
    }

    #[test]
    fn claims_of_another_json_type_count_as_absent() {
        for value in [
            json!(true),
            json!(null),
            json!([7]),
            json!(["a"]),
            json!({"a": {}}),
        ] {
            let claims = claims(json!({
                "acr": value, "auth_time": value, "authorization_details": value,
            }));
            assert_eq!(claims.acr(), None, "{value}");
            assert_eq!(claims.auth_time(), None, "{value}");
            assert_eq!(claims.authorization_details().count(), 0, "{value}");
        }
        for value in [json!(true), json!(null), json!("a"), json!([{"sub": "a"}])] {
            assert_eq!(claims(json!({ "act": value })).actors().count(), 0);
        }
        let good = claims(json!({"acr": "a", "auth_time": 5}));
        assert_eq!(good.acr(), Some("a"));
        assert_eq!(good.auth_time(), Some(UnixTime::from_secs(5)));
    }

    #[test]
    fn rfc_8693_section_4_1_the_current_actor_comes_first() {
        let claims = claims(json!({"act": {
            "sub": "a", "iss": "i", "client_id": "c",
            "act": {"sub": 7, "act": {"act": "not an actor"}},
        }}));
        let actors: Vec<_> = claims.actors().collect();
        let subjects: Vec<_> = actors.iter().map(Actor::subject).collect();
        assert_eq!(subjects, [Some("a"), None, None]);
        assert_eq!(actors[0].issuer(), Some("i"));
        assert_eq!(actors[0].get("client_id"), Some(&json!("c")));
        assert_eq!(actors[1].issuer(), None);
    }

    #[test]
    fn a_chain_of_actors_ends_at_the_sixteenth() {
        let chain = |length: usize| {
            (0..length).fold(
                json!({}),
                |act, n| json!({"sub": n.to_string(), "act": act}),
            )
        };
        assert_eq!(claims(json!({ "act": chain(14) })).actors().count(), 15);
        assert_eq!(claims(json!({ "act": chain(100) })).actors().count(), 16);
        let long = claims(json!({ "act": chain(100) }));
        assert_eq!(long.actors().next().unwrap().subject(), Some("99"));
    }

    #[test]
    fn details_without_a_type_authorize_nothing() {
        let claims = claims(json!({"authorization_details": [
            {"type": "a", "n": 1}, {"n": 2}, {"type": 3}, "a", null, [{"type": "a"}], {"type": "b"},
        ]}));
        let kinds: Vec<_> = claims.authorization_details().map(|it| it.kind()).collect();
        assert_eq!(kinds, ["a", "b"]);
    }

    #[test]
    fn debug_hides_the_values() {
        let claims = claims(json!({
            "act": {"sub": "secret"}, "authorization_details": [{"type": "t", "iban": "secret"}],
        }));
        let actors: Vec<_> = claims.actors().collect();
        let details: Vec<_> = claims.authorization_details().collect();
        let text = format!("{actors:?} {details:?}");
        assert!(!text.contains("secret") && text.contains("iban"), "{text}");
    }
}
