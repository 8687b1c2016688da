//! Profiles: presets for a specification that says how a resource server uses DPoP.
//!
//! Each profile has a file with the constructor of its preset, whose documentation has a table of all clauses
//! that concern a resource server, and with the checks of what the application has changed afterwards.

mod atproto;
mod fapi2;
mod mcp;

use std::fmt;

use super::Settings;
use crate::{
    crypto::Algorithm,
    error::{ConfigError, ConfigErrorKind},
    policy::{Mode, Policy},
    token::{IssuerFacts, TokensFacts},
};

/// The profile that a configuration began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    Atproto,
    Fapi2,
    Mcp,
}

impl Profile {
    /// Returns what the profile asks for and the configuration does not do, each with its clause.
    pub(super) fn not_met(self, config: &Settings) -> Vec<String> {
        match self {
            Self::Atproto => atproto::not_met(config),
            Self::Fapi2 => fapi2::not_met(config),
            Self::Mcp => mcp::not_met(config),
        }
    }

    /// Returns why a policy does not do what the profile asks for. A policy that is `off` is for what the
    /// profile does not protect.
    pub(super) fn policy_not_met(self, policy: &Policy) -> Option<String> {
        let clause = match (self, policy.mode()) {
            (Self::Atproto, Mode::Optional | Mode::ReportOnly) => "DPoP: required",
            (Self::Fapi2, Mode::Optional | Mode::ReportOnly) => "5.3.4 item 5",
            // The extension leaves open whether a server also admits unbound tokens.
            (Self::Mcp, Mode::ReportOnly) => "sep-1932-server-reject-401",
            _ => return None,
        };
        let what = match policy.mode() {
            Mode::Optional => "unbound tokens are admitted",
            _ => "nothing is rejected",
        };
        Some(format!("{what} ({clause})"))
    }

    /// Returns an error if an issuer has no algorithm that the profile allows.
    pub(super) fn check_issuers(self, tokens: &TokensFacts) -> Result<(), ConfigError> {
        for issuer in issuers(tokens) {
            if issuer.has_no_algorithm {
                let message =
                    format!("the profile ({self}) allows none of the algorithms of its tokens");
                let error = ConfigError::new(ConfigErrorKind::Algorithms, message);
                return Err(error.with_issuer(issuer.issuer.as_str()));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Atproto => "atproto OAuth profile",
            Self::Fapi2 => "FAPI 2.0 Security Profile",
            Self::Mcp => "MCP authorization 2026-07-28 with SEP-1932",
        })
    }
}

/// Returns the issuers that are part of the configuration.
fn issuers(tokens: &TokensFacts) -> &[IssuerFacts] {
    match tokens {
        TokensFacts::Issuers(issuers) => issuers,
        #[cfg(feature = "jwks")]
        TokensFacts::Dynamic => &[],
        TokensFacts::Custom | TokensFacts::None => &[],
    }
}

/// Says which issuers are reached without TLS.
fn plain_http<'c>(config: &'c Settings, clause: &'c str) -> impl Iterator<Item = String> + 'c {
    let issuers = issuers(&config.token_facts).iter();
    let plain = issuers.filter(|issuer| issuer.uses_plain_http);
    plain.map(move |issuer| {
        let issuer = &issuer.issuer;
        format!("{issuer} may be reached without TLS ({clause})")
    })
}

/// Returns the names of the algorithms that proofs may have beyond these.
fn further_algorithms(config: &Settings, allowed: &[Algorithm]) -> Vec<&'static str> {
    let algorithms = config.proof.allowed_algorithms().iter();
    let further = algorithms.filter(|algorithm| !allowed.contains(algorithm));
    further.map(|algorithm| algorithm.as_str()).collect()
}
