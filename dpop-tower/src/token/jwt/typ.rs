//! How access tokens are told from the other JWTs of their issuer, such as ID tokens.

use serde_json::{Map, Value as Json};

use super::{Issuer, claim_names};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    jose::{
        json::{Object, Value},
        media_type,
    },
    token::{TokenError, TokenErrorKind},
};

/// The type of all access tokens (RFC 9068 section 2.1).
const ACCESS_TOKEN: &str = "at+jwt";

/// The type of any JWT (RFC 7519 section 5.1).
const ANY_JWT: &str = "JWT";

/// Types of other JWTs, which are not access tokens at any issuer.
const OTHER_JWTS: [&str; 14] = [
    "client-authentication+jwt",
    "dpop+jwt",
    "entity-statement+jwt",
    "id_token+jwt",
    "JOSE",
    "JOSE+JSON",
    "kb+jwt",
    "logout+jwt",
    "oauth-authz-req+jwt",
    "secevent+jwt",
    "statuslist+jwt",
    "token-introspection+jwt",
    "token-userinfo+jwt",
    "trust-mark+jwt",
];

/// Values by which issuers mark other tokens than access tokens.
const OTHER_TOKENS: [&str; 8] = [
    "id",
    "id_token",
    "logout",
    "logout_token",
    "offline",
    "refresh",
    "refresh_token",
    "serialized-id",
];

/// The types that the access tokens of an issuer have.
#[derive(Debug, Default)]
pub(super) struct Types {
    /// Media types besides `at+jwt`.
    pub(super) further: Vec<String>,
    /// What tells access tokens from others if the `typ` is `JWT` or missing.
    pub(super) mark: Option<Mark>,
    /// Whether the `typ` may be `JWT` or missing without a mark.
    pub(super) any_jwt: bool,
}

/// A claim that has one of these values in access tokens only.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) claim: String,
    pub(super) values: Vec<String>,
}

impl Issuer {
    /// Also accepts this `typ`, for an issuer that gives its access tokens a media type of its own.
    ///
    /// Types are compared as media types: `application/` can be omitted, and case is ignored (RFC 7515
    /// section 4.1.9). `at+jwt` is always accepted. Further calls add further types.
    ///
    /// [`build`](crate::DpopConfigBuilder::build) rejects `JWT`, which every JWT may have, the types of other
    /// JWTs such as `logout+jwt`, and text that is no media type.
    ///
    /// ```
    /// use dpop_tower::Issuer;
    ///
    /// let tokens = Issuer::new("https://idp.example.com")
    ///     .jwks_file("/etc/orders/idp-keys.json")
    ///     .audience("https://api.example.com")
    ///     .accept_typ("application/example-at+jwt");
    /// ```
    ///
    /// # Security
    ///
    /// The `typ` prevents other JWTs of the issuer from being used as access tokens (RFC 9068 section 5). Name
    /// a type that the issuer gives to access tokens only.
    #[must_use]
    pub fn accept_typ(mut self, typ: impl Into<String>) -> Self {
        self.checks.types.further.push(typ.into());
        self
    }

    /// Accepts the `typ` `JWT`, and tokens without a `typ`, if a claim says that they are access tokens.
    ///
    /// Some issuers send no `at+jwt`, and tell their tokens apart in the payload. Access tokens of Keycloak
    /// have a claim `typ` that is `Bearer` or `DPoP`; it is `ID` in ID tokens. In tokens of Amazon Cognito,
    /// the claim is `token_use`, which is `access` in access tokens:
    ///
    /// ```
    /// use dpop_tower::Issuer;
    ///
    /// let tokens = Issuer::new("https://idp.example.com/realms/shop")
    ///     .jwks_file("/etc/orders/idp-keys.json")
    ///     .audience("https://api.example.com")
    ///     .accept_typ_jwt_if("typ", ["Bearer", "DPoP"]);
    /// ```
    ///
    /// The claim has to be a string that is exactly one of the values. Tokens with the `typ` `at+jwt` do not
    /// need it. A further call replaces claim and values.
    ///
    /// # Security
    ///
    /// The issuer writes the claim, and signs it. A client can change neither, so this setting does not let
    /// other tokens of the issuer pass. Name a claim that the issuer always writes by itself, not one that
    /// users or their attributes fill, and values that none of its other tokens have.
    #[must_use]
    pub fn accept_typ_jwt_if<T: Into<String>>(
        mut self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        self.checks.types.mark = Some(Mark {
            claim: claim.into(),
            values: values.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Also accepts the `typ` `JWT` and tokens without a `typ`, for issuers that do not send `at+jwt`.
    ///
    /// Any other `typ` is still rejected. If a claim tells access tokens from others,
    /// [`accept_typ_jwt_if`](Self::accept_typ_jwt_if) accepts them without this risk.
    ///
    /// # Security
    ///
    /// The `typ` prevents other JWTs of the same issuer, such as ID tokens, from being used as access
    /// tokens (RFC 9068 section 5). With this setting, only the audience does.
    #[must_use]
    pub const fn danger_accept_typ_jwt(mut self) -> Self {
        self.checks.types.any_jwt = true;
        self
    }
}

impl Types {
    /// Checks the settings.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let reject = |message| Err(ConfigError::new(ConfigErrorKind::TokenType, message));
        for typ in &self.further {
            check_typ(typ)?;
        }
        let Some(Mark { claim, values }) = &self.mark else {
            return Ok(());
        };
        if self.any_jwt {
            return reject(format!(
                "`Issuer::danger_accept_typ_jwt` accepts all that `Issuer::accept_typ_jwt_if` with the claim \
                 {claim:?} would keep out: leave it out"
            ));
        }
        if claim.is_empty() || claim_names::is_in_other_tokens(claim) {
            return reject(format!(
                "the claim {claim:?} does not tell access tokens from ID tokens: give \
                 `Issuer::accept_typ_jwt_if` one that does, such as \"typ\" or \"token_use\""
            ));
        }
        let is_of_others = |value: &&String| {
            let mut others = OTHER_TOKENS.iter();
            value.is_empty() || others.any(|other| value.eq_ignore_ascii_case(other))
        };
        if let Some(value) = values.iter().find(is_of_others) {
            return reject(format!(
                "the value {value:?} of the claim {claim:?} does not mark access tokens: give \
                 `Issuer::accept_typ_jwt_if` the values that only access tokens have"
            ));
        }
        if values.is_empty() {
            return reject(format!(
                "no value of the claim {claim:?} marks access tokens: give `Issuer::accept_typ_jwt_if` at \
                 least one, or leave it out"
            ));
        }
        Ok(())
    }

    /// Returns whether a token with this `typ` and these claims is an access token.
    pub(super) fn accept(&self, typ: Option<&Value<'_>>, claims: &Map<String, Json>) -> bool {
        match typ {
            // RFC 7519 section 5.1: `typ` is OPTIONAL.
            None => self.accept_any_jwt(claims),
            Some(typ) => typ.as_str().is_some_and(|typ| {
                media_type::are_equal(typ, ACCESS_TOKEN)
                    || self
                        .further
                        .iter()
                        .any(|further| media_type::are_equal(typ, further))
                    || media_type::are_equal(typ, ANY_JWT) && self.accept_any_jwt(claims)
            }),
        }
    }

    fn accept_any_jwt(&self, claims: &Map<String, Json>) -> bool {
        self.any_jwt || self.mark.as_ref().is_some_and(|mark| mark.is_in(claims))
    }

    /// Returns the error of a token whose type is not accepted. It names the setting that would accept it.
    pub(super) fn error(&self, header: &Object<'_>) -> TokenError {
        let what = match header.get("typ").map(Value::as_str) {
            None => "it has none",
            Some(Some(typ)) if media_type::are_equal(typ, ANY_JWT) => "it is JWT",
            Some(Some(typ)) if check_typ(typ).is_ok() => {
                return TokenError::explained(
                    TokenErrorKind::TypInvalid,
                    "`accept_typ` of its issuer would accept it, if only access tokens have it",
                );
            }
            Some(_) => return TokenErrorKind::TypInvalid.into(),
        };
        let text = match &self.mark {
            Some(Mark { claim, .. }) => {
                format!("{what}, and its claim `{claim}` does not say that it is an access token")
            }
            None => format!(
                "{what}: `accept_typ_jwt_if` of its issuer accepts access tokens that a claim marks, and \
                 `danger_accept_typ_jwt` any JWT"
            ),
        };
        TokenError::explained(TokenErrorKind::TypInvalid, text)
    }
}

impl Mark {
    /// Returns whether the claims have the mark. A value of another JSON type is none.
    fn is_in(&self, claims: &Map<String, Json>) -> bool {
        let value = claims.get(&self.claim).and_then(Json::as_str);
        value.is_some_and(|value| self.values.iter().any(|marked| marked == value))
    }
}

fn check_typ(typ: &str) -> Result<(), ConfigError> {
    let reject = |why: String| Err(ConfigError::new(ConfigErrorKind::TokenType, why));
    if media_type::are_equal(typ, ANY_JWT) {
        return reject(format!(
            "the `typ` {typ:?} does not tell access tokens from ID tokens: give `Issuer::accept_typ_jwt_if` a \
             claim that does, or read about `Issuer::danger_accept_typ_jwt`"
        ));
    }
    let advice = "give `Issuer::accept_typ` the one that the issuer's access tokens have in their header, such as \
                  \"application/example-at+jwt\", or leave it out for \"at+jwt\"";
    if OTHER_JWTS
        .iter()
        .any(|other| media_type::are_equal(typ, other))
    {
        return reject(format!(
            "the `typ` {typ:?} is not one of access tokens: {advice}"
        ));
    }
    // RFC 6838 section 4.2
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
    let subtype = media_type::subtype(typ);
    if !subtype.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !subtype.chars().all(of_a_name)
        || subtype.len() > 127
    {
        return reject(format!("the `typ` {typ:?} is not a media type: {advice}"));
    }
    Ok(())
}
