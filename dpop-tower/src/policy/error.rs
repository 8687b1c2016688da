use crate::reason::reasons;

reasons! {
    /// What a [`Policy`](super::Policy) asks for and the token does not have; stable, for metrics and tests.
    pub enum PolicyErrorKind {
        /// The user was not authenticated in a way that is asked for (`acr`, RFC 9470).
        AcrInsufficient = "policy_acr_insufficient", InsufficientUserAuthentication,
            "another way of authenticating the user is needed";
        /// The user was authenticated too long ago, or it is not known when (`auth_time`, RFC 9470).
        AuthTooOld = "policy_auth_too_old", InsufficientUserAuthentication,
            "a more recent authentication of the user is needed";
        /// A claim is missing or not as it is asked for.
        ClaimInsufficient = "policy_claim_insufficient", InsufficientScope,
            "the token's claims do not allow this";
        /// The policy admits nobody ([`Policy::deny`](super::Policy::deny)).
        Denied = "policy_denied", Forbidden,
            "no request for this is accepted";
        /// A scope is missing.
        ScopeMissing = "policy_scope_missing", InsufficientScope,
            "the token lacks a scope";
    }
}
