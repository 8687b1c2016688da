use std::{
    fmt,
    str::FromStr,
    sync::{Arc, OnceLock},
};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{TokenError, TokenErrorKind};
use crate::{
    certificate::CertificateThumbprint,
    clock::UnixTime,
    crypto::CryptoProvider,
    jose::json::{InvalidDate, date},
    jwk::Thumbprint,
};

/// The claims of a verified access token. Clones share one copy.
///
/// `Debug` shows the names of the claims and hides their values, which may be personal data.
///
/// ```
/// use dpop_tower::token::VerifiedToken;
/// use serde_json::{Map, json};
///
/// let claims = Map::from_iter([
///     ("iss".to_owned(), json!("https://idp.example.com")),
///     ("sub".to_owned(), json!("alice")),
///     ("exp".to_owned(), json!(1_700_000_300)),
///     ("scope".to_owned(), json!("orders:read orders:write")),
///     ("tenant".to_owned(), json!(7)),
/// ]);
/// let token = VerifiedToken::new(claims)?;
/// let claims = token.claims();
/// assert_eq!(claims.subject(), Some("alice"));
/// assert!(claims.scopes().eq(["orders:read", "orders:write"]));
/// assert_eq!(claims.get("tenant"), Some(&json!(7)));
/// # Ok::<(), dpop_tower::token::TokenError>(())
/// ```
#[derive(Clone)]
pub struct ClaimSet(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    claims: Map<String, Value>,
    expires_at: UnixTime,
    /// `None` for `scope`.
    scope_claim: Option<Arc<str>>,
    /// `None` for `client_id`.
    client_id_claim: Option<Arc<str>>,
    /// Computed once for each token.
    subject_digest: OnceLock<Option<[u8; 32]>>,
}

impl ClaimSet {
    /// Returns the value of a claim, or `None` if the token does not have it.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.claims.get(name)
    }

    /// Returns the issuer (`iss`).
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// Returns the subject (`sub`), which is the user, or the client if no user is involved.
    ///
    /// Returns `None` if it is not a string.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// Returns the subject together with its issuer, or `None` if the token lacks one of them.
    ///
    /// A subject is unique within its issuer only (RFC 7519 section 4.1.2). Use both as the key of what
    /// you store for a user.
    pub fn principal(&self) -> Option<Principal<'_>> {
        let (issuer, subject) = (self.issuer()?, self.subject()?);
        Some(Principal { issuer, subject })
    }

    /// Returns the OAuth client that the token was issued to (`client_id`, RFC 9068 section 2.2, or the claim
    /// that [`Issuer::client_id_claim`](super::Issuer::client_id_claim) names).
    ///
    /// Returns `None` if it is not a string.
    pub fn client_id(&self) -> Option<&str> {
        self.text(self.0.client_id_claim.as_deref().unwrap_or("client_id"))
    }

    /// Returns the scopes of the `scope` claim (RFC 9068 section 2.2.3), or of the claim that
    /// [`Issuer::scope_claim`](super::Issuer::scope_claim) names.
    ///
    /// A string contains scopes separated by spaces. An array contains one scope per string. Its elements
    /// that contain a space or are not strings grant nothing.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let name = self.0.scope_claim.as_deref().unwrap_or("scope");
        let (text, list) = match self.get(name) {
            Some(Value::String(text)) => (text.as_str(), &[][..]),
            Some(Value::Array(list)) => ("", list.as_slice()),
            _ => ("", &[][..]),
        };
        let listed = list.iter().filter_map(Value::as_str);
        text.split(' ')
            .chain(listed.filter(|scope| !scope.contains(' ')))
            .filter(|scope| !scope.is_empty())
    }

    /// Returns when the token expires. It is valid before this instant.
    pub fn expires_at(&self) -> UnixTime {
        self.0.expires_at
    }

    /// Reads the claims into your own type.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsMismatch`] if the claims do not fit the type.
    ///
    /// ```
    /// use dpop_tower::token::{ClaimSet, ClaimsMismatch};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Claims {
    ///     tenant: u32,
    ///     #[serde(default)]
    ///     roles: Vec<String>,
    /// }
    ///
    /// fn is_admin(claims: &ClaimSet, tenant: u32) -> Result<bool, ClaimsMismatch> {
    ///     let claims: Claims = claims.deserialize()?;
    ///     Ok(claims.tenant == tenant && claims.roles.iter().any(|role| role == "admin"))
    /// }
    /// # let _ = is_admin;
    /// ```
    pub fn deserialize<C: DeserializeOwned>(&self) -> Result<C, ClaimsMismatch> {
        C::deserialize(&self.0.claims).map_err(|error| ClaimsMismatch(error.to_string()))
    }

    pub(super) fn map(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    /// Returns the SHA-256 digest of the issuer and the subject, or of the issuer and the client if there is
    /// no subject. Returns `None` if the token has neither.
    pub(crate) fn subject_digest(&self, crypto: &dyn CryptoProvider) -> Option<[u8; 32]> {
        let digest = &self.0.subject_digest;
        *digest.get_or_init(|| subject_digest(self, crypto))
    }

    /// Returns a claim that is a date. A value of the wrong JSON type counts as absent.
    pub(crate) fn date(&self, name: &'static str) -> Option<UnixTime> {
        date(&self.0.claims, name).ok()?
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

/// A subject together with the issuer that named it.
///
/// Two issuers can give the same subject to different users, so compare principals, not subjects.
/// `Debug` hides the subject, which may be personal data.
///
/// ```
/// use dpop_tower::token::VerifiedToken;
/// use serde_json::{Map, json};
///
/// let alice_of = |issuer: &str| {
///     VerifiedToken::new(Map::from_iter([
///         ("iss".to_owned(), json!(issuer)),
///         ("sub".to_owned(), json!("alice")),
///         ("exp".to_owned(), json!(1_700_000_300)),
///     ]))
/// };
/// let (one, other) = (alice_of("https://a.example.com")?, alice_of("https://b.example.com")?);
/// assert_eq!(one.claims().subject(), other.claims().subject());
/// assert_ne!(one.claims().principal(), other.claims().principal());
/// # Ok::<(), dpop_tower::token::TokenError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal<'a> {
    issuer: &'a str,
    subject: &'a str,
}

impl<'a> Principal<'a> {
    /// Returns the issuer (`iss`).
    pub const fn issuer(&self) -> &'a str {
        self.issuer
    }

    /// Returns the subject (`sub`).
    pub const fn subject(&self) -> &'a str {
        self.subject
    }
}

impl fmt::Debug for Principal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Principal")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn subject_digest(claims: &ClaimSet, crypto: &dyn CryptoProvider) -> Option<[u8; 32]> {
    let (kind, who) = match (claims.subject(), claims.client_id()) {
        (Some(subject), _) => (b's', subject),
        (None, Some(client)) => (b'c', client),
        (None, None) => return None,
    };
    let issuer = claims.issuer().unwrap_or_default();
    // Kind and length first, so that no two pairs give the same input.
    let length = u64::try_from(issuer.len()).unwrap_or(u64::MAX);
    Some(crypto.sha256(&[
        &[kind],
        &length.to_be_bytes(),
        issuer.as_bytes(),
        who.as_bytes(),
    ]))
}

impl fmt::Debug for ClaimSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.claims.keys()).finish()
    }
}

/// The error of reading claims into a type that they do not fit.
///
/// Its text may quote a value of the token, so the layer neither logs it nor sends it anywhere.
#[derive(Clone)]
pub struct ClaimsMismatch(String);

impl ClaimsMismatch {
    /// Returns the name of a missing claim. It is the name of a field of the type, so it is safe to log.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn missing(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("missing field `")?;
        rest.split_once('`').map(|(name, _)| name)
    }

    /// Returns an error that explains what does not fit and quotes nothing of the token.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn explained(&self, wanted: &'static str) -> TokenError {
        let text = match self.missing() {
            Some(name) => format!("{wanted} needs the claim `{name}`"),
            None => format!("it does not fit {wanted}"),
        };
        TokenError::explained(TokenErrorKind::InvalidClaim, text)
    }
}

impl fmt::Display for ClaimsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the token's claims do not fit: {}", self.0)
    }
}

impl fmt::Debug for ClaimsMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimsMismatch(..)")
    }
}

impl std::error::Error for ClaimsMismatch {}

/// The key or certificate that a token is bound to (`cnf`, RFC 7800 section 3.1).
///
/// ```
/// use dpop_tower::token::{Confirmation, VerifiedToken};
/// use serde_json::{Map, json};
///
/// let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
/// let claims = Map::from_iter([
///     ("exp".to_owned(), json!(1_700_000_300)),
///     ("cnf".to_owned(), json!({ "jkt": jkt })),
/// ]);
/// match VerifiedToken::new(claims)?.confirmation() {
///     Confirmation::Key(thumbprint) => assert_eq!(thumbprint.to_string(), jkt),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), dpop_tower::token::TokenError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Confirmation {
    /// The token is not bound: anyone who obtains it can use it.
    Unbound,
    /// The token is bound to the DPoP key with this thumbprint (`jkt`, RFC 9449 section 6.1), and to
    /// nothing else that is known.
    Key(Thumbprint),
    /// The token is bound to the client certificate with this thumbprint (`x5t#S256`, RFC 8705 section 3.1),
    /// and to nothing else that is known.
    Certificate(CertificateThumbprint),
    /// The token is bound to a DPoP key and to a client certificate. The client needs both.
    KeyAndCertificate(Thumbprint, CertificateThumbprint),
    /// The token is bound by a method that this crate does not know, so it is always rejected.
    Unknown,
}

impl Confirmation {
    /// Reads the `cnf` claim. A malformed one is an error, because reading it as "unbound" would turn a bound
    /// token into a bearer token.
    fn from_claims(claims: &Map<String, Value>) -> Result<Self, TokenError> {
        let Some(cnf) = claims.get("cnf") else {
            return Ok(Self::Unbound);
        };
        let invalid = TokenErrorKind::ConfirmationInvalid;
        let members = cnf
            .as_object()
            .filter(|members| !members.is_empty())
            .ok_or(invalid)?;
        let key = thumbprint(members, "jkt")?;
        // RFC 8705 section 3.1
        let certificate = thumbprint(members, "x5t#S256")?;
        Ok(match (key, certificate) {
            (Some(key), Some(certificate)) => Self::KeyAndCertificate(key, certificate),
            (None, Some(certificate)) => Self::Certificate(certificate),
            // RFC 7800 section 3.1: members that are not understood are ignored, unless nothing else
            // is left.
            (Some(key), None) => Self::Key(key),
            (None, None) => Self::Unknown,
        })
    }
}

/// Reads a member of `cnf` that is a thumbprint.
fn thumbprint<T: FromStr>(
    members: &Map<String, Value>,
    name: &str,
) -> Result<Option<T>, TokenErrorKind> {
    let Some(member) = members.get(name) else {
        return Ok(None);
    };
    let parsed = member.as_str().and_then(|text| text.parse().ok());
    Ok(Some(parsed.ok_or(TokenErrorKind::ConfirmationInvalid)?))
}

/// A valid access token, before the layer has decided whether the caller may use it.
///
/// A [`TokenVerifier`](super::TokenVerifier) returns it. The layer then compares
/// [`confirmation`](Self::confirmation) with the key of the proof.
#[derive(Clone, Debug)]
pub struct VerifiedToken {
    claims: ClaimSet,
    confirmation: Confirmation,
}

impl VerifiedToken {
    /// Takes the claims of a token that a [`TokenVerifier`](super::TokenVerifier) has found to be genuine,
    /// active and issued for this API.
    ///
    /// Claims that are only passed on, such as `sub` and `client_id`, count as absent if they are not
    /// strings.
    ///
    /// # Errors
    ///
    /// Returns a [`TokenError`] if `exp` is missing or not a date, `iss` is not a string, or `cnf` is
    /// malformed.
    ///
    /// ```
    /// use dpop_tower::token::{TokenErrorKind, VerifiedToken};
    ///
    /// let error = VerifiedToken::new(serde_json::Map::new()).unwrap_err();
    /// assert_eq!(error.kind(), TokenErrorKind::MissingClaim);
    /// assert_eq!(error.to_string(), "a required claim of the token is missing: exp");
    /// ```
    pub fn new(claims: Map<String, Value>) -> Result<Self, TokenError> {
        let expires_at = date(&claims, "exp")?.ok_or(TokenError::missing("exp"))?;
        if claims.get("iss").is_some_and(|iss| !iss.is_string()) {
            return Err(TokenError::invalid("iss"));
        }
        let confirmation = Confirmation::from_claims(&claims)?;
        Ok(Self {
            claims: ClaimSet(Arc::new(Inner {
                subject_digest: OnceLock::new(),
                claims,
                expires_at,
                scope_claim: None,
                client_id_claim: None,
            })),
            confirmation,
        })
    }

    /// Sets the claim that contains the scopes, which is `scope` by default; see [`ClaimSet::scopes`].
    #[must_use]
    pub fn with_scope_claim(mut self, name: impl Into<Arc<str>>) -> Self {
        let inner = Arc::make_mut(&mut self.claims.0);
        inner.scope_claim = Some(name.into());
        self
    }

    /// Sets the claim that names the client, which is `client_id` by default; see [`ClaimSet::client_id`].
    #[must_use]
    pub fn with_client_id_claim(mut self, name: impl Into<Arc<str>>) -> Self {
        let inner = Arc::make_mut(&mut self.claims.0);
        inner.client_id_claim = Some(name.into());
        inner.subject_digest = OnceLock::new();
        self
    }

    /// Returns the claims.
    pub const fn claims(&self) -> &ClaimSet {
        &self.claims
    }

    pub(crate) fn into_claims(self) -> ClaimSet {
        self.claims
    }

    /// Returns what the token is bound to.
    pub const fn confirmation(&self) -> Confirmation {
        self.confirmation
    }
}

impl From<InvalidDate> for TokenError {
    fn from(InvalidDate(name): InvalidDate) -> Self {
        Self::invalid(name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::crypto::pure_rust::PureRust;

    const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    /// RFC 8705 appendix A
    const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

    fn verified(mut claims: Value) -> Result<VerifiedToken, TokenError> {
        claims["exp"] = json!(2_000_000_000);
        VerifiedToken::new(claims.as_object().cloned().unwrap())
    }

    fn confirmation(cnf: &Value) -> Result<Confirmation, TokenErrorKind> {
        verified(json!({ "cnf": cnf }))
            .map(|token| token.confirmation())
            .map_err(|error| error.kind())
    }

    #[test]
    fn only_a_token_without_cnf_is_unbound() {
        assert_eq!(
            verified(json!({})).unwrap().confirmation(),
            Confirmation::Unbound
        );
        for malformed in [
            json!(null),
            json!([]),
            json!(""),
            json!({}),
            json!(true),
            json!({"jkt": 7}),
            json!({"jkt": null}),
            json!({"jkt": ""}),
            json!({"jkt": [JKT]}),
            json!({"jkt": &JKT[..42]}),
            json!({"jkt": format!("{JKT}=")}),
            json!({"jkt": 7, "x5t#S256": X5T}),
            json!({"jkt": JKT, "x5t#S256": 7}),
            json!({"jkt": JKT, "x5t#S256": null}),
            json!({"x5t#S256": null}),
            json!({"x5t#S256": ""}),
            json!({"x5t#S256": [X5T]}),
            json!({"x5t#S256": &X5T[..42]}),
            json!({"x5t#S256": format!("{X5T}=")}),
            // RFC 8705 section 3.1 has an example with bits that belong to no byte.
            json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
        ] {
            assert_eq!(
                confirmation(&malformed),
                Err(TokenErrorKind::ConfirmationInvalid),
                "{malformed}"
            );
        }
    }

    #[test]
    fn every_kind_of_binding_is_told_apart() {
        let key = Confirmation::Key(JKT.parse().unwrap());
        assert_eq!(confirmation(&json!({"jkt": JKT})), Ok(key));
        assert_eq!(confirmation(&json!({"jkt": JKT, "new": {}})), Ok(key));
        let certificate = Confirmation::Certificate(X5T.parse().unwrap());
        assert_eq!(confirmation(&json!({"x5t#S256": X5T})), Ok(certificate));
        assert_eq!(
            confirmation(&json!({"x5t#S256": X5T, "new": {}})),
            Ok(certificate)
        );
        assert_eq!(
            confirmation(&json!({"x5t#S256": X5T, "jkt": JKT})),
            Ok(Confirmation::KeyAndCertificate(
                JKT.parse().unwrap(),
                X5T.parse().unwrap()
            ))
        );
        assert_eq!(confirmation(&json!({"jwk": {}})), Ok(Confirmation::Unknown));
    }

    #[test]
    fn claims_of_the_wrong_type_are_rejected_not_ignored() {
        for value in [json!(7), json!(null), json!(["a"]), json!({})] {
            let error = verified(json!({ "iss": value })).unwrap_err();
            assert_eq!(error, TokenError::invalid("iss"));
        }
        for exp in [json!("2000000000"), json!(null), json!([1]), json!(true)] {
            let claims = json!({ "exp": exp }).as_object().cloned().unwrap();
            assert_eq!(
                VerifiedToken::new(claims).unwrap_err(),
                TokenError::invalid("exp")
            );
        }
        assert_eq!(
            VerifiedToken::new(Map::new()).unwrap_err(),
            TokenError::missing("exp")
        );
    }

    #[test]
    fn claims_that_are_handed_on_count_as_absent_if_they_are_no_text() {
        for value in [json!(7), json!(null), json!(true), json!(["a"]), json!({})] {
            let claims = json!({ "sub": value, "client_id": value, "jti": value, "azp": value });
            let token = verified(claims).unwrap();
            assert_eq!(token.claims().subject(), None, "{value}");
            assert_eq!(token.claims().client_id(), None, "{value}");
            assert_eq!(token.claims().get("sub"), Some(&value));
        }
        let token = verified(json!({"sub": "", "client_id": "c"})).unwrap();
        assert_eq!(token.claims().subject(), Some(""));
        assert_eq!(token.claims().client_id(), Some("c"));
    }

    #[test]
    fn who_a_token_is_for_is_told_by_issuer_and_subject_or_client() {
        let digest = |claims: Value| verified(claims).unwrap().claims().subject_digest(&PureRust);
        let alice = digest(json!({"iss": "i", "sub": "alice"}));
        assert!(alice.is_some());
        for same in [
            json!({"iss": "i", "sub": "alice", "client_id": "x", "scope": "y"}),
            json!({"iss": "i", "sub": "alice", "client_id": 7}),
        ] {
            assert_eq!(digest(same), alice);
        }
        let others = [
            json!({"iss": "j", "sub": "alice"}),
            json!({"sub": "alice"}),
            json!({"iss": "i", "sub": "bob"}),
            json!({"iss": "i", "sub": ""}),
            json!({"iss": "i", "client_id": "alice"}),
            json!({"iss": "ia", "sub": "lice"}),
            json!({"iss": "", "sub": "ialice"}),
        ];
        let mut digests: Vec<_> = others.into_iter().map(digest).chain([alice]).collect();
        assert!(digests.iter().all(Option::is_some));
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), 8);
        // What is no text counts as absent here, too.
        let client = digest(json!({"iss": "i", "client_id": "c"}));
        for sub in [json!(null), json!(7), json!(["alice"])] {
            assert_eq!(
                digest(json!({"iss": "i", "sub": sub, "client_id": "c"})),
                client
            );
        }
        assert_eq!(digest(json!({"iss": "i"})), None);
        assert_eq!(
            digest(json!({"iss": "i", "sub": null, "client_id": []})),
            None
        );
    }

    #[test]
    fn the_client_is_that_of_the_named_claim_and_of_no_other() {
        let claims = json!({"iss": "i", "client_id": "a", "azp": "b", "cid": "c", "x": 7});
        let digest = |token: &VerifiedToken| token.claims().subject_digest(&PureRust);
        let by_default = verified(claims.clone()).unwrap();
        assert_eq!(by_default.claims().client_id(), Some("a"));
        for (name, expected) in [
            ("azp", Some("b")),
            ("cid", Some("c")),
            ("client_id", Some("a")),
            ("x", None),
            ("absent", None),
        ] {
            let token = verified(claims.clone()).unwrap();
            assert_eq!(digest(&token), digest(&by_default), "{name}");
            // What was computed before counts no longer.
            let token = token.with_client_id_claim(name);
            assert_eq!(token.claims().client_id(), expected, "{name}");
            let same = expected.map(|id| verified(json!({"iss": "i", "client_id": id})).unwrap());
            assert_eq!(digest(&token), same.as_ref().and_then(digest), "{name}");
        }
    }

    fn scopes(token: &VerifiedToken) -> Vec<&str> {
        token.claims().scopes().collect()
    }

    #[test]
    fn scopes_are_split_at_spaces() {
        let token = verified(json!({"scope": "a b:c  d"})).unwrap();
        assert_eq!(scopes(&token), ["a", "b:c", "d"]);
        assert_eq!(verified(json!({})).unwrap().claims().scopes().count(), 0);
    }

    #[test]
    fn scopes_of_an_array_are_its_texts_without_a_space() {
        for (scope, expected) in [
            (json!(["a", "b:c"]), &["a", "b:c"][..]),
            (json!(["a b", "c", " d", "e ", " "]), &["c"]),
            (json!(["", "a", ""]), &["a"]),
            (json!([7, null, true, ["b"], {"c": "c"}, "a"]), &["a"]),
            (json!([]), &[]),
            (json!([["a"]]), &[]),
            (json!({"a": "a"}), &[]),
            (json!(null), &[]),
            (json!(7), &[]),
            (json!(true), &[]),
        ] {
            let token = verified(json!({ "scope": scope })).unwrap();
            assert_eq!(scopes(&token), expected, "{scope}");
        }
    }

    #[test]
    fn scopes_are_those_of_the_named_claim_and_of_no_other() {
        let claims = json!({"scope": "a b", "scp": ["c"], "roles": "d", "x": 7});
        for (name, expected) in [
            ("scp", &["c"][..]),
            ("roles", &["d"]),
            ("scope", &["a", "b"]),
            ("x", &[]),
            ("absent", &[]),
        ] {
            let token = verified(claims.clone()).unwrap().with_scope_claim(name);
            assert_eq!(scopes(&token), expected, "{name}");
        }
    }

    #[test]
    fn debug_shows_names_of_claims_and_no_values() {
        let token = verified(json!({"sub": "alice", "email": "a@example.com"})).unwrap();
        let text = format!("{token:?}");
        assert!(text.contains("email") && !text.contains("alice") && !text.contains('@'));
    }

    #[test]
    fn a_mismatch_names_the_claim_and_its_debug_text_does_not() {
        #[derive(Debug, serde::Deserialize)]
        struct Tenant {
            #[expect(dead_code, reason = "it is missing")]
            tenant: String,
        }
        let token = verified(json!({"sub": "alice"})).unwrap();
        let error = token.claims().deserialize::<Tenant>().unwrap_err();
        assert!(error.to_string().contains("`tenant`"), "{error}");
        assert_eq!(format!("{error:?}"), "ClaimsMismatch(..)");
    }
}
