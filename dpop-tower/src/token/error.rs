use std::{error::Error, fmt, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{keys::KeysUnavailable, reason::reasons};

/// The reason why an access token was rejected, for the operator.
///
/// You can log its text, which contains nothing of the token. The client learns less: the
/// [`RejectionKind`](crate::rejection::RejectionKind) and the
/// [`description`](TokenErrorKind::description) of the kind.
///
/// ```
/// use dpop_tower::{
///     rejection::RejectionKind,
///     token::{TokenError, TokenErrorKind},
/// };
///
/// let error = TokenError::from(TokenErrorKind::Inactive);
/// assert_eq!(error.kind().as_str(), "token_inactive");
/// assert_eq!(RejectionKind::from(error.kind()).status(), 401);
///
/// let error = TokenError::unavailable("the introspection endpoint timed out");
/// assert_eq!(error.kind(), TokenErrorKind::VerifierUnavailable);
/// assert_eq!(RejectionKind::from(error.kind()).status(), 503);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TokenError {
    kind: TokenErrorKind,
    detail: Detail,
    /// In how many seconds the client may try again, if the verifier knows.
    retry_after: Option<NonZeroU32>,
}

#[derive(Clone)]
enum Detail {
    None,
    Claim(&'static str),
    /// The configured value, and how to change it.
    Setting(Arc<str>),
    Source(Arc<dyn Error + Send + Sync>),
}

impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Claim(one), Self::Claim(other)) => one == other,
            (Self::Setting(one), Self::Setting(other)) => one == other,
            (Self::Source(one), Self::Source(other)) => Arc::ptr_eq(one, other),
            (Self::None | Self::Claim(_) | Self::Setting(_) | Self::Source(_), _) => false,
        }
    }
}

impl Eq for Detail {}

reasons! {
    /// The check that an access token failed.
    ///
    /// Its code, which [`as_str`](Self::as_str) returns, is stable, so you can use it in metrics and tests.
    pub enum TokenErrorKind {
        /// The `alg` is unknown, not asymmetric or not allowed here (RFC 8725 section 3.1).
        AlgNotAllowed = "token_alg_not_allowed", InvalidToken,
            "the token's alg is not allowed";
        /// The `aud` claim does not name this API (RFC 9068 section 4).
        AudienceMismatch = "token_audience_mismatch", InvalidToken,
            "the token is for another audience";
        /// The token is bound to another key than the one the proof was made with (RFC 9449 section 4.3
        /// item 12).
        BindingMismatch = "token_binding_mismatch", InvalidToken,
            "the token is bound to another key";
        /// The token is bound but was sent with the `Bearer` scheme (RFC 9449 section 7.2).
        BoundAsBearer = "token_bound_as_bearer", InvalidToken,
            "the token is bound to a key and needs the DPoP scheme";
        /// The `cnf` claim is malformed (RFC 7800 section 3.1).
        ConfirmationInvalid = "token_confirmation_invalid", InvalidToken,
            "the token's cnf is malformed";
        /// The handler accepts only tokens that are bound to a client certificate and to no key.
        CertificateBoundNeeded = "token_certificate_bound_needed", InvalidToken,
            "only tokens that are bound to a client certificate alone are accepted";
        /// The token is bound to another certificate than the client's (RFC 8705 section 3).
        CertificateMismatch = "token_certificate_mismatch", InvalidToken,
            "the token is bound to another client certificate";
        /// The token is bound to a certificate, and the client has none (RFC 8705 section 3).
        CertificateMissing = "token_certificate_missing", InvalidToken,
            "the token is bound to a client certificate and needs it";
        /// The `cnf` claim has a binding that is not supported. A certificate (RFC 8705) is one if the policy
        /// does not [accept it](crate::Policy::accept_certificate_bound).
        ConfirmationNotSupported = "token_confirmation_not_supported", InvalidToken,
            "the token's kind of binding is not supported";
        /// A critical extension (RFC 7515 section 4.1.11) or an unencoded payload.
        CritNotSupported = "token_crit_not_supported", InvalidToken,
            "the token has a critical extension";
        /// The token is encrypted and cannot be decrypted. It is for another key, was changed, or asks for something
        /// that is not accepted.
        DecryptionFailed = "token_decryption_failed", InvalidToken,
            "the token cannot be decrypted";
        /// The token is signed but not encrypted (RFC 9068 section 4).
        EncryptionNeeded = "token_encryption_needed", InvalidToken,
            "only encrypted tokens are accepted";
        /// The token has expired.
        Expired = "token_expired", InvalidToken,
            "the token has expired";
        /// The authorization server reports that the token is not active (RFC 7662 section 2.2).
        Inactive = "token_inactive", InvalidToken,
            "the token is not active";
        /// A claim has the wrong JSON type, or does not fit the type that a handler asks for.
        InvalidClaim = "token_invalid_claim", InvalidToken,
            "a claim of the token is invalid";
        /// The `iss` claim is not exactly the configured issuer.
        IssuerMismatch = "token_issuer_mismatch", InvalidToken,
            "the token is of another issuer";
        /// The issuer has no key with this `kid` and of this kind.
        KeyUnknown = "token_key_unknown", InvalidToken,
            "the token is signed with an unknown key";
        /// The issuer's keys are not available. This is not the client's fault.
        KeysUnavailable = "keys_unavailable", Unavailable,
            "the issuer's keys are not available";
        /// The token is not a compact JWS whose header and payload are JSON objects.
        Malformed = "token_malformed", InvalidToken,
            "the token is not a well-formed JWT";
        /// A required claim is missing.
        MissingClaim = "token_missing_claim", InvalidToken,
            "a required claim of the token is missing";
        /// The token is not bound to a key but was sent with the `DPoP` scheme.
        NotBound = "token_not_bound", InvalidToken,
            "the token is not bound to a key";
        /// The `nbf` or `iat` is further in the future than the leeway allows.
        NotYetValid = "token_not_yet_valid", InvalidToken,
            "the token is not valid yet";
        /// The [`RevocationList`](crate::revocation::RevocationList) or the status list of the token could not
        /// tell whether it is revoked. This is not the client's fault.
        RevocationUnavailable = "revocation_unavailable", Unavailable,
            "it cannot be told at the moment whether the token is revoked";
        /// The token is on the [`RevocationList`](crate::revocation::RevocationList), or the issuer's status list
        /// has it.
        Revoked = "token_revoked", InvalidToken,
            "the token has been revoked";
        /// The token was sent with the `Bearer` scheme where only `DPoP` is accepted.
        SchemeNotAccepted = "token_scheme_not_accepted", InvalidToken,
            "only DPoP-bound tokens with the DPoP scheme are accepted";
        /// The signature does not verify.
        SignatureInvalid = "token_signature_invalid", InvalidToken,
            "the token's signature is invalid";
        /// The token is longer than [`MAX_TOKEN_LEN`](super::MAX_TOKEN_LEN).
        TooLong = "token_too_long", InvalidToken,
            "the token is too long";
        /// The `typ` is not `at+jwt` (RFC 9068 section 4), nor another one that the issuer's settings accept.
        TypInvalid = "token_typ_invalid", InvalidToken,
            "the token's typ is not that of an access token";
        /// The token is bound, and the handler accepts only unbound tokens.
        UnboundNeeded = "token_unbound_needed", InvalidToken,
            "only tokens that are bound to nothing are accepted";
        /// The introspection endpoint, or a [`TokenVerifier`](super::TokenVerifier) of your own, could not
        /// decide. This is not the client's fault; see [`TokenError::unavailable`].
        VerifierUnavailable = "token_verifier_unavailable", Unavailable,
            "the token cannot be verified at the moment";
    }
}

impl TokenError {
    const fn new(kind: TokenErrorKind, detail: Detail) -> Self {
        Self {
            kind,
            detail,
            retry_after: None,
        }
    }

    /// Returns the check that failed.
    pub const fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// Makes the error of a verifier that cannot decide, for example because an introspection endpoint is out
    /// of reach. The response has status 503 and not 401.
    ///
    /// `source` appears in logs, so it must not contain the token.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = Detail::Source(source.into().into());
        Self::new(TokenErrorKind::VerifierUnavailable, detail)
    }

    /// Makes the error of a revocation list that cannot tell.
    pub(crate) fn revocation_unavailable(source: Box<dyn Error + Send + Sync>) -> Self {
        let detail = Detail::Source(source.into());
        Self::new(TokenErrorKind::RevocationUnavailable, detail)
    }

    /// Sets when the client may try again. It is rounded up to whole seconds, at least one.
    ///
    /// It only matters for an error that is [`unavailable`](Self::unavailable), whose response otherwise says
    /// five seconds.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        let fraction = u64::from(after.subsec_nanos() > 0);
        let secs = u32::try_from(after.as_secs().saturating_add(fraction)).unwrap_or(u32::MAX);
        self.retry_after = Some(NonZeroU32::new(secs).unwrap_or(NonZeroU32::MIN));
        self
    }

    pub(crate) const fn retry_after(&self) -> Option<NonZeroU32> {
        self.retry_after
    }

    pub(crate) const fn missing(claim: &'static str) -> Self {
        Self::new(TokenErrorKind::MissingClaim, Detail::Claim(claim))
    }

    pub(crate) const fn invalid(claim: &'static str) -> Self {
        Self::new(TokenErrorKind::InvalidClaim, Detail::Claim(claim))
    }

    /// Makes an error with a text for the operator, which must contain nothing of the token.
    pub(crate) fn explained(kind: TokenErrorKind, setting: impl Into<Arc<str>>) -> Self {
        Self::new(kind, Detail::Setting(setting.into()))
    }
}

impl From<TokenErrorKind> for TokenError {
    fn from(kind: TokenErrorKind) -> Self {
        Self::new(kind, Detail::None)
    }
}

impl From<KeysUnavailable> for TokenError {
    fn from(_: KeysUnavailable) -> Self {
        TokenErrorKind::KeysUnavailable.into()
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.description())?;
        match &self.detail {
            // The text of the source is in the chain of causes.
            Detail::None | Detail::Source(_) => Ok(()),
            Detail::Claim(claim) => write!(f, ": {claim}"),
            Detail::Setting(setting) => write!(f, ": {setting}"),
        }
    }
}

impl fmt::Debug for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenError({:?}: {self})", self.kind)
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.detail {
            Detail::Source(source) => Some(&**source),
            Detail::None | Detail::Claim(_) | Detail::Setting(_) => None,
        }
    }
}
