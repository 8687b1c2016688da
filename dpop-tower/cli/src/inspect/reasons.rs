//! What to do about each reason for a rejection.

use dpop_tower::{policy::PolicyErrorKind, proof::ProofErrorKind, token::TokenErrorKind};

use super::rules::Rule;

/// A reason of the library, the check that it belongs to, and what to change.
struct Reason {
    code: &'static str,
    description: &'static str,
    rule: Rule,
    fix: &'static str,
}

const fn request(code: &'static str, rule: Rule, fix: &'static str) -> Reason {
    Reason {
        code,
        description: "",
        rule,
        fix,
    }
}

const fn proof(kind: ProofErrorKind, rule: Rule, fix: &'static str) -> Reason {
    Reason {
        code: kind.as_str(),
        description: kind.description(),
        rule,
        fix,
    }
}

const fn token(kind: TokenErrorKind, rule: Rule, fix: &'static str) -> Reason {
    Reason {
        code: kind.as_str(),
        description: kind.description(),
        rule,
        fix,
    }
}

const fn policy(kind: PolicyErrorKind, rule: Rule, fix: &'static str) -> Reason {
    Reason {
        code: kind.as_str(),
        description: kind.description(),
        rule,
        fix,
    }
}

static REASONS: &[Reason] = &[
    request(
        "credentials_missing",
        Rule::Credentials,
        "send the header `Authorization: DPoP <token>`; a capture may have left it out",
    ),
    request(
        "credentials_malformed",
        Rule::Credentials,
        "write the scheme, one space and the token, and nothing else: no quotes, no second token",
    ),
    request(
        "credentials_multiple",
        Rule::Credentials,
        "send one Authorization header; look for a proxy or an interceptor that adds another one",
    ),
    request(
        "target_invalid",
        Rule::Target,
        "call a URL with a path; no proof can be made for `*` or for CONNECT",
    ),
    proof(
        ProofErrorKind::Missing,
        Rule::OneProof,
        "send a proof in the `DPoP` header with every request",
    ),
    proof(
        ProofErrorKind::Multiple,
        Rule::OneProof,
        "send one DPoP header; a retry has to replace the old proof, not add one",
    ),
    proof(
        ProofErrorKind::Malformed,
        Rule::Form,
        "send a compact JWS: three parts of base64url without padding, with a JSON object without duplicate \
         members in the first two",
    ),
    proof(
        ProofErrorKind::TooLong,
        Rule::Form,
        "leave out certificates and claims of your own: a proof has at most 16 KiB",
    ),
    proof(
        ProofErrorKind::TypInvalid,
        Rule::Typ,
        "set `typ` in the header of the proof to `dpop+jwt`; an access token does not belong in the DPoP header",
    ),
    proof(
        ProofErrorKind::CritNotSupported,
        Rule::Crit,
        "leave `crit` and `b64` out of the header of the proof",
    ),
    proof(
        ProofErrorKind::AlgNotAllowed,
        Rule::Alg,
        "sign with one of the algorithms in `algs` of the server's challenge, such as ES256; never with a shared \
         secret or `none`",
    ),
    proof(
        ProofErrorKind::KeyInvalid,
        Rule::Key,
        "put the public key that signs the proof into `jwk`, and no private member such as `d`",
    ),
    proof(
        ProofErrorKind::KeyMismatch,
        Rule::KeyFits,
        "use the `alg` of the key: ES256 for P-256, Ed25519 or EdDSA for Ed25519, PS256 or RS256 for RSA",
    ),
    proof(
        ProofErrorKind::MissingClaim,
        Rule::Claims,
        "put `jti`, `htm`, `htu` and `iat` into each proof, and `ath` if there is an access token",
    ),
    proof(
        ProofErrorKind::InvalidClaim,
        Rule::Claims,
        "write `iat` as a number of seconds and the other claims as strings; `jti` has 1 to 256 bytes",
    ),
    proof(
        ProofErrorKind::HtmMismatch,
        Rule::Htm,
        "make a new proof with the method of this request in upper case; a redirect may have changed the method",
    ),
    proof(
        ProofErrorKind::HtuMismatch,
        Rule::Htu,
        "make a new proof for exactly the URL that is called; behind a proxy, tell the server its public origin",
    ),
    proof(
        ProofErrorKind::HtuInvalid,
        Rule::Htu,
        "write the whole URL into `htu`: https, host and path, percent-encoded, without user name",
    ),
    proof(
        ProofErrorKind::FromFuture,
        Rule::Iat,
        "set the client's clock; `iat` is in seconds, not in milliseconds",
    ),
    proof(
        ProofErrorKind::TooOld,
        Rule::Iat,
        "set the client's clock, and make the proof right before the request instead of keeping it",
    ),
    proof(
        ProofErrorKind::Expired,
        Rule::Dates,
        "leave `exp` out of proofs, or make a new proof for each request",
    ),
    proof(
        ProofErrorKind::NotYetValid,
        Rule::Dates,
        "leave `nbf` out of proofs, and set the client's clock",
    ),
    proof(
        ProofErrorKind::NonceMissing,
        Rule::Nonce,
        "put the value of the last `DPoP-Nonce` header of this server into `nonce` of a new proof",
    ),
    proof(
        ProofErrorKind::NonceUnknown,
        Rule::Nonce,
        "repeat the request with a new proof and the nonce of the newest `DPoP-Nonce` header; nonces of the \
         authorization server and of the API are different ones",
    ),
    proof(
        ProofErrorKind::Fenced,
        Rule::Nonce,
        "repeat the request with a new proof and the nonce of the response: the server was restarted",
    ),
    proof(
        ProofErrorKind::AthMismatch,
        Rule::Ath,
        "make `ath` the base64url SHA-256 of the token that is sent, as it is sent; after a refresh, make a new proof",
    ),
    proof(
        ProofErrorKind::SignatureInvalid,
        Rule::Signature,
        "sign with the private key of `jwk`; ECDSA signatures are R and S one after the other, not DER",
    ),
    proof(
        ProofErrorKind::Replayed,
        Rule::Replay,
        "make a new proof with a new `jti` for every request, also for every retry",
    ),
    token(
        TokenErrorKind::SchemeNotAccepted,
        Rule::Scheme,
        "send the token as `Authorization: DPoP <token>`, with a proof",
    ),
    token(
        TokenErrorKind::BoundAsBearer,
        Rule::Scheme,
        "send the token as `Authorization: DPoP <token>`, with a proof: it is bound to a key",
    ),
    token(
        TokenErrorKind::Malformed,
        Rule::TokenForm,
        "send the access token itself, unchanged; this server does not know opaque tokens",
    ),
    token(
        TokenErrorKind::TooLong,
        Rule::TokenForm,
        "ask the authorization server for a token with fewer claims: it may have 16 KiB",
    ),
    token(
        TokenErrorKind::TypInvalid,
        Rule::TokenTyp,
        "send an access token, not an ID token or a refresh token; if the issuer writes another `typ`, the service \
         has to accept that",
    ),
    token(
        TokenErrorKind::CritNotSupported,
        Rule::TokenCrit,
        "have the authorization server leave `crit` out of its tokens",
    ),
    token(
        TokenErrorKind::AlgNotAllowed,
        Rule::TokenAlg,
        "have the authorization server sign with an asymmetric algorithm that the service accepts",
    ),
    token(
        TokenErrorKind::MissingClaim,
        Rule::TokenClaims,
        "have the authorization server put `iss`, `aud` and `exp` into its access tokens",
    ),
    token(
        TokenErrorKind::InvalidClaim,
        Rule::TokenClaims,
        "have the authorization server write dates as numbers, and `iss` and `aud` as strings",
    ),
    token(
        TokenErrorKind::IssuerMismatch,
        Rule::TokenIssuer,
        "get the token from the issuer that the service trusts; the identifiers are compared byte by byte",
    ),
    token(
        TokenErrorKind::AudienceMismatch,
        Rule::TokenAudience,
        "ask for a token for this API, with `resource` (RFC 8707) or the parameter of your authorization server",
    ),
    token(
        TokenErrorKind::Expired,
        Rule::TokenExpiry,
        "get a new token, for example with the refresh token, and make a new proof with its `ath`",
    ),
    token(
        TokenErrorKind::NotYetValid,
        Rule::TokenStart,
        "set the clock of the authorization server or of the service",
    ),
    token(
        TokenErrorKind::KeyUnknown,
        Rule::TokenSignature,
        "check that the token comes from this issuer, and that the key of its `kid` is in the JWK Set",
    ),
    token(
        TokenErrorKind::SignatureInvalid,
        Rule::TokenSignature,
        "send the token unchanged; if it is unchanged, it is not from this issuer",
    ),
    token(
        TokenErrorKind::ConfirmationInvalid,
        Rule::TokenBound,
        "have the authorization server write the thumbprint of the key as `cnf.jkt`, 43 characters of base64url",
    ),
    token(
        TokenErrorKind::ConfirmationNotSupported,
        Rule::TokenBound,
        "ask for a token that is bound to a DPoP key: send a proof to the token endpoint",
    ),
    token(
        TokenErrorKind::NotBound,
        Rule::TokenBound,
        "ask for a bound token: send a proof to the token endpoint, and look for `token_type` DPoP in its response",
    ),
    token(
        TokenErrorKind::BindingMismatch,
        Rule::Binding,
        "sign the proof with the key that the token was requested with, or get a new token with this key",
    ),
    token(
        TokenErrorKind::DecryptionFailed,
        Rule::TokenEncryption,
        "have the authorization server encrypt for the current key of this service",
    ),
    token(
        TokenErrorKind::EncryptionNeeded,
        Rule::TokenEncryption,
        "have the authorization server encrypt the tokens for this service",
    ),
    token(
        TokenErrorKind::Inactive,
        Rule::TokenState,
        "get a new token: the authorization server no longer knows this one",
    ),
    token(
        TokenErrorKind::Revoked,
        Rule::TokenState,
        "have the user log in again: the token was revoked",
    ),
    policy(
        PolicyErrorKind::AcrInsufficient,
        Rule::AnswerStepUp,
        "send the user to the authorization server again, with the challenge's `acr_values`",
    ),
    policy(
        PolicyErrorKind::AuthTooOld,
        Rule::AnswerStepUp,
        "send the user to the authorization server again, with the challenge's `max_age`",
    ),
    policy(
        PolicyErrorKind::ClaimInsufficient,
        Rule::Scope,
        "ask for a token whose claims allow this",
    ),
    policy(
        PolicyErrorKind::IssuerNotAccepted,
        Rule::TokenIssuer,
        "get the token from an issuer that this route accepts",
    ),
    policy(
        PolicyErrorKind::ScopeMissing,
        Rule::Scope,
        "ask the authorization server for a token with the scopes that the challenge names",
    ),
    request(
        "use_dpop_nonce",
        Rule::AnswerNonce,
        "repeat the request with a new proof that has the value of `DPoP-Nonce` as its `nonce`",
    ),
    request(
        "invalid_dpop_proof",
        Rule::Answer,
        "inspect the request itself: give `dpop inspect` its start line and headers",
    ),
    request(
        "invalid_token",
        Rule::Answer,
        "get a new token; if it is rejected too, inspect the request: issuer, audience, expiry and binding",
    ),
    request(
        "invalid_request",
        Rule::Answer,
        "send one Authorization header with a scheme and a token, and one DPoP header",
    ),
    request(
        "insufficient_scope",
        Rule::Scope,
        "ask the authorization server for a token with the scopes that the challenge names",
    ),
    request(
        "insufficient_user_authentication",
        Rule::AnswerStepUp,
        "send the user to the authorization server again, with the challenge's `acr_values` and `max_age`",
    ),
    request(
        "invalid_dpop_key_binding",
        Rule::Answer,
        "use the key that the token or the authorization code is bound to",
    ),
    request(
        "challenge",
        Rule::Answer,
        "send a token as `Authorization: DPoP <token>`, and a proof in the DPoP header",
    ),
    request(
        "server_unavailable",
        Rule::Answer,
        "try again after the time in `Retry-After`, with a new proof: other credentials do not help",
    ),
];

fn find(code: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|reason| reason.code == code)
}

/// Returns the check that fails for this reason.
pub(super) fn rule(code: &str) -> Option<Rule> {
    find(code).map(|reason| reason.rule)
}

/// Returns what to change.
pub(super) fn fix(code: &str) -> Option<&'static str> {
    find(code).map(|reason| reason.fix)
}

/// Returns the constant for a known code.
pub(super) fn known(code: &str) -> Option<&'static str> {
    find(code).map(|reason| reason.code)
}

/// Returns the reason whose description is this `error_description`, as servers with this library write it.
pub(super) fn by_description(text: &str) -> Option<&'static str> {
    (REASONS.iter())
        .find(|reason| !reason.description.is_empty() && reason.description == text)
        .map(|reason| reason.code)
}
