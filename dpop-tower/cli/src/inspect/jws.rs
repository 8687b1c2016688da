//! Reading the parts of a JWT for display. Nothing here decides whether it is valid.

use base64::{
    Engine as _,
    alphabet::URL_SAFE,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde_json::{Map, Value};

use super::report::Decoded;

/// Reads what others reject, so that its contents can be shown.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The claims of an access token that DPoP and the checks around it use. The others may be personal.
const TOKEN_CLAIMS: [&str; 9] = [
    "iss",
    "aud",
    "exp",
    "nbf",
    "iat",
    "cnf",
    "scope",
    "client_id",
    "token_type",
];

/// The claims of a proof (RFC 9449 section 4.2) and those that every JWT may have.
const PROOF_CLAIMS: [&str; 8] = ["jti", "htm", "htu", "iat", "ath", "nonce", "exp", "nbf"];

/// The members of a JWK that only private and symmetric keys have (RFC 7518 section 6). A proof with them is
/// rejected, and readers of the report must not learn the key.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The header and the claims of a JWT, as far as they can be read.
#[derive(Clone, Debug)]
pub(super) struct Jws {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
}

impl Jws {
    /// Reads a compact JWS. The payload may be unreadable.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let header = object(parts.next()?)?;
        let claims = object(parts.next()?).unwrap_or_default();
        // A third part is the signature. An encrypted token has five.
        parts.next()?;
        match parts.next() {
            Some(_) => None,
            None => Some(Self { header, claims }),
        }
    }

    /// Returns whether this is a proof, or was meant as one.
    pub(super) fn is_proof(&self) -> bool {
        self.header.get("typ").and_then(Value::as_str) == Some("dpop+jwt")
            || self.header.contains_key("jwk")
            || self.claims.contains_key("htu")
    }

    /// Returns a claim that is a string.
    pub(super) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }

    /// Returns a date in whole seconds.
    pub(super) fn seconds(&self, claim: &str) -> Option<i64> {
        let value = self.claims.get(claim)?;
        // A cast from a float saturates.
        value.as_i64().or_else(|| Some(value.as_f64()? as i64))
    }

    /// Returns what is shown of a proof.
    pub(super) fn shown_proof(self, all: bool) -> Decoded {
        self.shown("proof", all, &PROOF_CLAIMS)
    }

    /// Returns what is shown of an access token.
    pub(super) fn shown_token(self, all: bool) -> Decoded {
        self.shown("access token", all, &TOKEN_CLAIMS)
    }

    fn shown(mut self, what: &'static str, all: bool, relevant: &[&str]) -> Decoded {
        if let Some(Value::Object(jwk)) = self.header.get_mut("jwk") {
            for (_, value) in jwk
                .iter_mut()
                .filter(|(name, _)| PRIVATE.contains(&name.as_str()))
            {
                *value = Value::from("(hidden)");
            }
        }
        let count = self.claims.len();
        if !all {
            self.claims.retain(|name, _| relevant.contains(&&**name));
        }
        Decoded {
            what,
            header: self.header,
            omitted: count.saturating_sub(self.claims.len()),
            claims: self.claims,
        }
    }
}

/// Returns whether the text has the five parts of a compact JWE, whose header can be read.
pub(super) fn is_encrypted(text: &str) -> bool {
    let mut parts = text.split('.');
    let header = parts.next().and_then(object);
    header.is_some_and(|header| header.contains_key("enc")) && parts.count() == 4
}

fn object(part: &str) -> Option<Map<String, Value>> {
    let bytes = LENIENT.decode(part).ok()?;
    serde_json::from_slice(&bytes).ok()
}
