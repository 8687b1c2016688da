//! The caller's identity, as the upstream sees it: claims of the verified token in headers that only the
//! gateway can write.

use std::{collections::BTreeSet, fmt};

use dpop_tower::{
    BoundToken, Report,
    rejection::Rejection,
    token::{BearerToken, CertificateBoundToken, ClaimSet},
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;

use crate::gateway::names::{is_of_proxies, is_override};

const THUMBPRINT: &str = "x-dpop-thumbprint";
/// The issuer, a space, and the subject.
const PRINCIPAL: &str = "x-dpop-principal";
const CLAIMS: [(&str, &str); 4] = [
    ("sub", "x-dpop-subject"),
    ("client_id", "x-dpop-client-id"),
    ("scope", "x-dpop-scope"),
    ("iss", "x-dpop-issuer"),
];

/// The verdict that a report-only policy would have given: `admitted`, or a reason in snake case.
static REPORT: HeaderName = HeaderName::from_static("x-dpop-report");

/// Every header with this prefix is reserved, even if the file configures other names: an upstream may
/// still read the default ones.
const PREFIX: &str = "x-dpop-";

/// Bytes that must not appear in a header value, and the percent sign, so that decoding is unambiguous.
/// Bytes beyond ASCII are always encoded.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Within [`PRINCIPAL`], a space ends the issuer.
const ENCODED_ISSUER: &AsciiSet = &ENCODED.add(b' ');

/// The header for the thumbprint, and for each claim.
#[derive(Clone, Debug)]
pub struct Identity {
    thumbprint: HeaderName,
    principal: Option<HeaderName>,
    claims: Vec<(String, HeaderName)>,
    /// The names of all these headers, [`folded`].
    reserved: BTreeSet<String>,
}

/// Why a header cannot be used for the identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityError(String);

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for IdentityError {}

impl Default for Identity {
    fn default() -> Self {
        let mut identity = Self::of(HeaderName::from_static(THUMBPRINT));
        identity.principal = Some(HeaderName::from_static(PRINCIPAL));
        identity.reserved.insert(folded(PRINCIPAL));
        for (claim, name) in CLAIMS {
            identity
                .claims
                .push((claim.to_owned(), HeaderName::from_static(name)));
            identity.reserved.insert(folded(name));
        }
        identity
    }
}

impl Identity {
    /// Writes the key's thumbprint to this header, and nothing else.
    ///
    /// # Errors
    ///
    /// Returns an [`IdentityError`] if HTTP or the gateway uses the name for something else.
    pub fn thumbprint_in(name: &str) -> Result<Self, IdentityError> {
        Ok(Self::of(usable(name)?))
    }

    fn of(thumbprint: HeaderName) -> Self {
        Self {
            reserved: BTreeSet::from([folded(thumbprint.as_str())]),
            thumbprint,
            principal: None,
            claims: Vec::new(),
        }
    }

    /// Also writes the issuer and the subject into this header, with a space between them.
    ///
    /// # Errors
    ///
    /// Returns [`IdentityError`] as [`claim_in`](Self::claim_in) does.
    pub fn principal_in(&mut self, name: &str) -> Result<(), IdentityError> {
        self.principal = Some(self.reserve(name)?);
        Ok(())
    }

    fn reserve(&mut self, name: &str) -> Result<HeaderName, IdentityError> {
        let header = usable(name)?;
        if !self.reserved.insert(folded(header.as_str())) {
            return Err(IdentityError(format!(
                "the header {name:?} is already in use; names that differ only in case or punctuation count as the same"
            )));
        }
        Ok(header)
    }

    /// Writes a claim to this header.
    ///
    /// # Errors
    ///
    /// Returns an [`IdentityError`] if the name cannot be used, or differs from the name of another
    /// header of this identity only in case and punctuation.
    pub fn claim_in(&mut self, claim: &str, name: &str) -> Result<(), IdentityError> {
        let header = self.reserve(name)?;
        self.claims.push((claim.to_owned(), header));
        Ok(())
    }

    /// The claims that are written by default, and their headers.
    pub(crate) fn usual_claims() -> impl Iterator<Item = (&'static str, &'static str)> {
        CLAIMS.into_iter()
    }

    pub(crate) const fn usual_thumbprint() -> &'static str {
        THUMBPRINT
    }

    pub(crate) const fn usual_principal() -> &'static str {
        PRINCIPAL
    }

    /// Returns whether two issuers can give the same value of this claim to different callers.
    pub(crate) fn is_unique_per_issuer(claim: &str) -> bool {
        matches!(claim, "sub" | "client_id")
    }

    /// Every header that this identity may write.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        let claims = self.claims.iter().map(|(_, name)| name);
        [&self.thumbprint, &REPORT]
            .into_iter()
            .chain(&self.principal)
            .chain(claims)
    }

    /// Whether only the gateway may write this header, or a service could mistake it for such a header:
    /// CGI and its successors read `X_Dpop_Subject` as `X-Dpop-Subject`.
    pub fn is_reserved(&self, name: &HeaderName) -> bool {
        let name = folded(name.as_str());
        name.starts_with(PREFIX) || self.reserved.contains(&name)
    }

    /// Returns the headers for a request that a layer has admitted. Without a token there are no claims.
    /// Without a binding to a key there is no thumbprint. A report-only policy adds its report.
    pub fn headers(&self, extensions: &Extensions) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Some(report) = extensions.get::<Report>() {
            let reason = report.rejection().map_or("admitted", Rejection::reason);
            headers.insert(&REPORT, HeaderValue::from_static(reason));
        }
        let claims = if let Some(token) = extensions.get::<BoundToken>() {
            if let Some(value) = header_value(&token.thumbprint().to_string()) {
                headers.insert(self.thumbprint.clone(), value);
            }
            token.claims()
        } else if let Some(token) = extensions.get::<BearerToken>() {
            token.claims()
        } else if let Some(token) = extensions.get::<CertificateBoundToken>() {
            token.claims()
        } else {
            return headers;
        };
        if let (Some(name), Some(principal)) = (&self.principal, claims.principal()) {
            let issuer = utf8_percent_encode(principal.issuer(), ENCODED_ISSUER);
            if let Some(subject) = header_value(principal.subject()) {
                let mut value = format!("{issuer} ").into_bytes();
                value.extend_from_slice(subject.as_bytes());
                // An empty subject would leave a space at the end, which recipients trim.
                if let (false, Ok(value)) = (subject.is_empty(), HeaderValue::try_from(value)) {
                    headers.insert(name.clone(), value);
                }
            }
        }
        for (claim, name) in &self.claims {
            if let Some(value) = claim_value(claims, claim) {
                headers.insert(name.clone(), value);
            }
        }
        headers
    }
}

/// Writes text unchanged, and anything else as JSON.
///
/// `scope` contains the scopes that policies check, separated by spaces, whichever claim the issuer
/// uses, and `client_id` the client, whichever claim names it. A subject or a client ID that is not text
/// is left out: a number must not be mistaken for a name that looks like it.
fn claim_value(claims: &ClaimSet, claim: &str) -> Option<HeaderValue> {
    if claim == "scope" {
        let scopes: Vec<&str> = claims.scopes().collect();
        return header_value(&scopes.join(" ")).filter(|_| !scopes.is_empty());
    }
    if claim == "client_id" {
        return header_value(claims.client_id()?);
    }
    match claims.get(claim)? {
        Value::Null => None,
        Value::String(text) => header_value(text),
        _ if claim == "sub" => None,
        other => header_value(&other.to_string()),
    }
}

/// Percent-encodes the text where necessary. Recipients strip spaces from the ends of a value, so
/// leading and trailing spaces are encoded as well. The result is always a valid header value.
fn header_value(text: &str) -> Option<HeaderValue> {
    let start = text.len() - text.trim_start_matches(' ').len();
    let inner = text.trim_matches(' ');
    let end = text.len() - start - inner.len();
    let value = format!(
        "{}{}{}",
        "%20".repeat(start),
        utf8_percent_encode(inner, ENCODED),
        "%20".repeat(end)
    );
    HeaderValue::try_from(value).ok()
}

/// Normalises the case and punctuation of a name, since services may ignore both.
pub(crate) fn folded(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect()
}

/// Headers that cannot carry the identity because they have another meaning.
const TAKEN: [&str; 22] = [
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "dpop",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Whether HTTP gives this header another meaning.
pub(crate) fn is_taken(name: &HeaderName) -> bool {
    TAKEN.contains(&folded(name.as_str()).as_str())
}

fn usable(name: &str) -> Result<HeaderName, IdentityError> {
    let header = HeaderName::try_from(name)
        .map_err(|_| IdentityError(format!("{name:?} is not a valid header name")))?;
    if is_taken(&header) || is_of_proxies(&header) || is_override(&header) {
        return Err(IdentityError(format!(
            "the header {name:?} has another meaning"
        )));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_a_header_is_percent_encoded() {
        for (text, value) in [
            ("alice", "alice"),
            ("a b", "a b"),
            ("", ""),
            ("50%", "50%25"),
            ("a\r\nx: y", "a%0D%0Ax: y"),
            ("\0\t\x7f", "%00%09%7F"),
            ("J\u{fc}rgen", "J%C3%BCrgen"),
            (" a ", "%20a%20"),
            ("  ", "%20%20"),
        ] {
            assert_eq!(header_value(text).unwrap(), value, "{text:?}");
        }
    }

    #[test]
    fn a_percent_encoded_value_decodes_to_what_it_was() {
        for text in ["%41", "a%", " %20 ", "\u{1f600}%0a"] {
            let value = header_value(text).unwrap();
            let decoded = percent_encoding::percent_decode(value.as_bytes());
            assert_eq!(decoded.decode_utf8().unwrap(), text);
        }
    }

    #[test]
    fn two_claims_do_not_share_a_header() {
        let mut identity = Identity::thumbprint_in("X-Key").unwrap();
        identity.claim_in("sub", "X-User").unwrap();
        for same in ["X-User", "x_user", "X.USER", "x_key"] {
            assert!(identity.claim_in("iss", same).is_err(), "{same}");
        }
    }

    #[test]
    fn headers_with_another_meaning_are_not_taken() {
        let other = [
            "Host",
            "Content-Length",
            "authorization",
            "DPoP",
            "X-Forwarded-For",
            "X_Real_IP",
            "X-Original-URL",
            "x_host",
        ];
        for name in other.into_iter().chain(["a b", "", "a:"]) {
            assert!(Identity::thumbprint_in(name).is_err(), "{name}");
        }
    }
}
