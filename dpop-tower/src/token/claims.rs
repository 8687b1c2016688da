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
mod tests;
