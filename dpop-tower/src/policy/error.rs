use crate::reason::reasons;

reasons! {
    /// The requirement of a [`Policy`](super::Policy) that a token does not satisfy.
    ///
    /// The codes are stable, so you can use them in metrics and tests.
    pub enum PolicyErrorKind {
        /// The user was not authenticated in a way that the policy requires (`acr`, RFC 9470).
        AcrInsufficient = "policy_acr_insufficient", InsufficientUserAuthentication,
            "another way of authenticating the user is needed";
        /// The user was authenticated too long ago, or the token has no `auth_time` (RFC 9470).
        AuthTooOld = "policy_auth_too_old", InsufficientUserAuthentication,
            "a more recent authentication of the user is needed";
        /// The token is not bound to a client certificate (RFC 8705).
        CertificateBindingMissing = "policy_certificate_binding_missing", InvalidToken,
            "only tokens that are bound to a client certificate are accepted for this";
        /// A claim is missing, or the policy does not accept its value.
        ClaimInsufficient = "policy_claim_insufficient", InsufficientScope,
            "the token's claims do not allow this";
        /// The policy rejects every request ([`Policy::deny`](super::Policy::deny)).
        Denied = "policy_denied", Forbidden,
            "no request for this is accepted";
        /// The policy does not accept tokens of this issuer.
        IssuerNotAccepted = "policy_issuer_not_accepted", InvalidToken,
            "no token of this issuer is accepted for this";
        /// A scope is missing.
        ScopeMissing = "policy_scope_missing", InsufficientScope,
            "the token lacks a scope";
    }
}
