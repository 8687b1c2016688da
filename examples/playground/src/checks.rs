//! The checks of the layer, in the order in which it makes them, with the codes of the reasons for which each fails.
//!
//! A rejection names its reason. The checks before it have passed, and those after it were not made.

use dpop_tower::{
    policy::PolicyErrorKind as Policy, proof::ProofErrorKind as Proof,
    rejection::RequestErrorKind as Request, token::TokenErrorKind as Token,
};
use serde_json::{Value, json};

/// The part of the page that shows what is checked.
#[derive(Clone, Copy)]
enum Part {
    Request,
    Proof,
    Token,
    Both,
}

/// One check: its identifier on the page, its part, what has to be true, the clause that requires it, and the reasons.
type Check = (
    &'static str,
    Part,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const CHECKS: &[Check] = &[
    (
        "authorization",
        Part::Request,
        "one Authorization header with a token",
        "RFC 9110 section 11.6.2",
        &[
            Request::CredentialsMissing.as_str(),
            Request::CredentialsMultiple.as_str(),
            Request::CredentialsMalformed.as_str(),
        ],
    ),
    (
        "scheme",
        Part::Request,
        "the scheme is DPoP",
        "RFC 9449 section 7.1",
        &[
            Token::SchemeNotAccepted.as_str(),
            Token::BoundAsBearer.as_str(),
        ],
    ),
    (
        "proof",
        Part::Request,
        "one DPoP header",
        "RFC 9449 section 4.3 item 1",
        &[Proof::Missing.as_str(), Proof::Multiple.as_str()],
    ),
    (
        "form",
        Part::Proof,
        "the proof is a well-formed JWT",
        "RFC 9449 section 4.3 item 2",
        &[Proof::Malformed.as_str(), Proof::TooLong.as_str()],
    ),
    (
        "typ",
        Part::Proof,
        "typ is dpop+jwt",
        "RFC 9449 section 4.3 item 4",
        &[Proof::TypInvalid.as_str()],
    ),
    (
        "crit",
        Part::Proof,
        "no critical extension",
        "RFC 7515 section 4.1.11",
        &[Proof::CritNotSupported.as_str()],
    ),
    (
        "alg",
        Part::Proof,
        "alg is an accepted asymmetric algorithm",
        "RFC 9449 section 4.3 item 5",
        &[Proof::AlgNotAllowed.as_str()],
    ),
    (
        "jwk",
        Part::Proof,
        "jwk is a good public key that fits alg",
        "RFC 9449 section 4.3 item 7",
        &[Proof::KeyInvalid.as_str(), Proof::KeyMismatch.as_str()],
    ),
    (
        "claims",
        Part::Proof,
        "the required claims are present",
        "RFC 9449 section 4.3 item 3",
        &[Proof::MissingClaim.as_str(), Proof::InvalidClaim.as_str()],
    ),
    (
        "htm",
        Part::Proof,
        "htm is the method of the request",
        "RFC 9449 section 4.3 item 8",
        &[Proof::HtmMismatch.as_str()],
    ),
    (
        "htu",
        Part::Proof,
        "htu is the URL of the request",
        "RFC 9449 section 4.3 item 9",
        &[Proof::HtuMismatch.as_str(), Proof::HtuInvalid.as_str()],
    ),
    (
        "iat",
        Part::Proof,
        "iat is recent",
        "RFC 9449 section 4.3 item 11",
        &[
            Proof::TooOld.as_str(),
            Proof::FromFuture.as_str(),
            Proof::NotYetValid.as_str(),
            Proof::Expired.as_str(),
        ],
    ),
    (
        "nonce",
        Part::Proof,
        "nonce is one of the server",
        "RFC 9449 section 4.3 item 10",
        &[
            Proof::NonceMissing.as_str(),
            Proof::NonceUnknown.as_str(),
            Proof::Fenced.as_str(),
        ],
    ),
    (
        "ath",
        Part::Proof,
        "ath is the hash of the token",
        "RFC 9449 section 4.3 item 12",
        &[Proof::AthMismatch.as_str()],
    ),
    (
        "token",
        Part::Token,
        "the token is a well-formed JWT",
        "RFC 9068 section 4",
        &[
            Token::Malformed.as_str(),
            Token::TooLong.as_str(),
            Token::TypInvalid.as_str(),
            Token::CritNotSupported.as_str(),
            Token::AlgNotAllowed.as_str(),
            Token::MissingClaim.as_str(),
            Token::InvalidClaim.as_str(),
            Token::ConfirmationInvalid.as_str(),
        ],
    ),
    (
        "issuer",
        Part::Token,
        "iss is the issuer, and aud names this API",
        "RFC 9068 section 4",
        &[
            Token::IssuerMismatch.as_str(),
            Token::AudienceMismatch.as_str(),
        ],
    ),
    (
        "expiry",
        Part::Token,
        "the token has not expired",
        "RFC 9068 section 4",
        &[Token::Expired.as_str(), Token::NotYetValid.as_str()],
    ),
    (
        "issued",
        Part::Token,
        "the token's signature is that of the issuer",
        "RFC 9068 section 4",
        &[Token::KeyUnknown.as_str(), Token::SignatureInvalid.as_str()],
    ),
    (
        "binding",
        Part::Both,
        "cnf.jkt of the token is the thumbprint of jwk",
        "RFC 9449 section 4.3 item 12",
        &[
            Token::NotBound.as_str(),
            Token::ConfirmationNotSupported.as_str(),
            Token::BindingMismatch.as_str(),
        ],
    ),
    (
        "signature",
        Part::Both,
        "the proof's signature is that of jwk",
        "RFC 9449 section 4.3 item 6",
        &[Proof::SignatureInvalid.as_str()],
    ),
    (
        "scope",
        Part::Both,
        "the token has the scope that the route requires",
        "RFC 6750 section 3.1",
        &[Policy::ScopeMissing.as_str()],
    ),
    (
        "replay",
        Part::Both,
        "the proof was not used before",
        "RFC 9449 section 11.1",
        &[Proof::Replayed.as_str()],
    ),
];

pub(crate) fn all() -> Vec<Value> {
    let to_json = |&(id, part, name, clause, reasons): &Check| {
        let part = match part {
            Part::Request => "request",
            Part::Proof => "proof",
            Part::Token => "token",
            Part::Both => "both",
        };
        json!({ "id": id, "part": part, "name": name, "clause": clause, "reasons": reasons })
    };
    CHECKS.iter().map(to_json).collect()
}
