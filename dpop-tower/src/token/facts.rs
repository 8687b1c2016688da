//! What the text of a configuration says about access tokens. None of it is a secret.

#[cfg(feature = "introspection")]
use std::fmt::Display;
use std::time::Duration;

use super::{Source, Tokens};
#[cfg(feature = "introspection")]
use crate::proof::DANGER;
use crate::{crypto::Algorithm, error::shown};

/// Where access tokens come from.
#[derive(Debug)]
pub(crate) enum TokensFacts {
    Issuers(Vec<IssuerFacts>),
    #[cfg(feature = "jwks")]
    Dynamic,
    Custom,
    None,
}

/// One issuer: what is shown of it, and what profiles have an opinion on.
#[derive(Debug)]
pub(crate) struct IssuerFacts {
    pub(crate) issuer: String,
    /// A name and a value each.
    pub(crate) lines: Vec<(&'static str, String)>,
    /// How far ahead the dates of its tokens may be.
    pub(crate) leeways: Vec<Duration>,
    /// Is `true` if no algorithm is left for its tokens or signed answers.
    pub(crate) has_no_algorithm: bool,
    /// Is `true` if the issuer itself says which tokens are revoked.
    pub(crate) reports_revocation: bool,
    pub(crate) uses_plain_http: bool,
    pub(crate) accepts_missing_audience: bool,
}

impl IssuerFacts {
    /// Describes an issuer that has no tokens yet.
    pub(super) fn new(issuer: &str) -> Self {
        Self {
            issuer: url(issuer),
            lines: Vec::new(),
            leeways: Vec::new(),
            has_no_algorithm: false,
            reports_revocation: true,
            uses_plain_http: false,
            accepts_missing_audience: false,
        }
    }
}

impl Tokens {
    pub(crate) fn facts(&self) -> TokensFacts {
        match &self.0 {
            Source::Issuers(issuers) => {
                TokensFacts::Issuers(issuers.iter().map(super::Issuer::facts).collect())
            }
            #[cfg(feature = "jwks")]
            Source::Dynamic(_) => TokensFacts::Dynamic,
            #[cfg(feature = "introspection")]
            Source::Introspection(tokens) => TokensFacts::Issuers(vec![tokens.facts()]),
            Source::Custom(_) => TokensFacts::Custom,
            Source::None => TokensFacts::None,
        }
    }

    /// Removes the algorithms that are not in `only`, from tokens and from signed answers about them.
    pub(crate) fn allow_only(&mut self, only: &'static [Algorithm]) {
        match &mut self.0 {
            Source::Issuers(issuers) => {
                for issuer in issuers {
                    issuer.allow_only(only);
                }
            }
            #[cfg(feature = "jwks")]
            Source::Dynamic(issuers) => issuers.allow_only(only),
            #[cfg(feature = "introspection")]
            Source::Introspection(tokens) => tokens.allow_only(only),
            // It verifies tokens in its own way.
            Source::Custom(_) => {}
            Source::None => {}
        }
    }
}

pub(super) fn names(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|alg| alg.as_str()).collect();
    names.join(" ")
}

/// Returns a URL without what may be a credential: its user information, query and fragment.
pub(super) fn url(text: &str) -> String {
    let place = text.split(['?', '#']).next().unwrap_or_default();
    let more = if place.len() < text.len() { "?…" } else { "" };
    match place.contains('@') {
        true => format!("{}{more}", shown(place)),
        false => format!("{}{more}", place.escape_debug()),
    }
}

/// Writes `value` behind a mark.
#[cfg(feature = "introspection")]
pub(super) fn danger(value: impl Display) -> String {
    format!("{DANGER} {value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_a_credential() {
        for (text, told) in [
            (
                "https://idp.example.com/keys",
                "https://idp.example.com/keys",
            ),
            (
                "https://u:secret@idp.example.com/",
                "\"...@idp.example.com/\"",
            ),
            (
                "https://idp.example.com/?k=secret",
                "https://idp.example.com/?…",
            ),
            (
                "https://idp.example.com/#secret",
                "https://idp.example.com/?…",
            ),
            (
                "https://idp.example.com/\nsecond line",
                "https://idp.example.com/\\nsecond line",
            ),
        ] {
            assert_eq!(url(text), told);
        }
    }
}
