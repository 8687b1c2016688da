//! The claims that issuers name differently.

use super::Issuer;
use crate::error::{ConfigError, ConfigErrorKind};

/// Claims whose meaning is defined (RFC 7519 section 4.1, RFC 7800, RFC 8693, RFC 9068), apart from those that
/// name the client or contain the scopes.
const DEFINED: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "cnf",
    "acr",
    "amr",
    "auth_time",
    "act",
];

/// Claims that name the client.
const CLIENTS: [&str; 2] = ["azp", "client_id"];

impl Issuer {
    /// Sets the claim that contains the scopes of a token, such as `scp`, `permissions` or `roles`.
    ///
    /// The claim is a string of scopes separated by spaces, or an array of strings.
    /// [`ClaimSet::scopes`](crate::token::ClaimSet::scopes) and policies use it in place of `scope`, which is
    /// the default.
    #[must_use]
    pub fn scope_claim(mut self, name: impl Into<String>) -> Self {
        self.checks.scope_claim = Some(name.into().into());
        self
    }

    /// Sets the claim that names the client of a token, such as `azp`, `cid` or `appid`.
    ///
    /// [`ClaimSet::client_id`](crate::token::ClaimSet::client_id) uses it in place of `client_id`, which is
    /// the default (RFC 9068 section 2.2). So does the replay store, which counts the proofs of a client
    /// together if its tokens have no `sub`. Tokens that lack the claim have no client: no other claim takes
    /// its place.
    ///
    /// ```
    /// use dpop_tower::Issuer;
    ///
    /// let tokens = Issuer::new("https://idp.example.com/realms/shop")
    ///     .jwks_file("/etc/orders/idp-keys.json")
    ///     .audience("https://api.example.com")
    ///     .client_id_claim("azp");
    /// ```
    #[must_use]
    pub fn client_id_claim(mut self, name: impl Into<String>) -> Self {
        self.checks.client_id_claim = Some(name.into().into());
        self
    }
}

/// Returns whether ID tokens have this claim, too.
pub(super) fn is_in_other_tokens(name: &str) -> bool {
    DEFINED.contains(&name)
        || CLIENTS.contains(&name)
        || ["at_hash", "c_hash", "nonce", "sid"].contains(&name)
}

pub(super) fn check_scope_claim(name: &str) -> Result<(), ConfigError> {
    check(name, &CLIENTS, |why| {
        let message = format!(
            "the claim {name:?} {why}: give `Issuer::scope_claim` the one that has the scopes, such as \
             \"scp\", or leave it out for \"scope\""
        );
        ConfigError::new(ConfigErrorKind::ScopeClaim, message)
    })
}

pub(super) fn check_client_id_claim(name: &str) -> Result<(), ConfigError> {
    check(name, &["scope", "scp"], |why| {
        let message = format!(
            "the claim {name:?} {why}: give `Issuer::client_id_claim` the one that names the client, such as \
             \"azp\", or leave it out for \"client_id\""
        );
        ConfigError::new(ConfigErrorKind::ClientIdClaim, message)
    })
}

fn check(
    name: &str,
    others: &[&str],
    error: impl FnOnce(&str) -> ConfigError,
) -> Result<(), ConfigError> {
    if name.is_empty() {
        return Err(error("is empty"));
    }
    if DEFINED.contains(&name) || others.contains(&name) {
        return Err(error("means something else in every token"));
    }
    Ok(())
}
