use std::time::Duration;

use super::{Profile, issuers, plain_http};
use crate::{
    config::{DpopConfig, DpopConfigBuilder, Settings},
    target::IntoTarget,
    token::IntoTokens,
};

/// How far the `iat` of a proof may be from the current time, in either direction.
const WINDOW: Duration = Duration::from_secs(5 * 60);

impl DpopConfig {
    /// Returns a builder with the settings that the authorization specification of the Model Context Protocol
    /// (revision 2026-07-28) asks of a server, with its DPoP profile (SEP-1932, a draft).
    ///
    /// The lines of SEP-1932 have the names of the checks in the conformance suite of the protocol.
    ///
    /// | clause | what it asks | here |
    /// |---|---|---|
    /// | Overview item 4 | protected resource metadata (RFC 9728) | shown: `resource_metadata`, which the challenges name; without it not met; serving the document is yours |
    /// | Scope Selection Strategy | SHOULD: `scope` in the challenge | always, for a policy that requires scopes |
    /// | Token Requirements item 1 | a token in the `Authorization` header of every request | always |
    /// | Token Requirements item 2 | no tokens in the query | always: the query is not read |
    /// | Token Handling | tokens that were issued for this server, and 401 for others | always: every issuer has an `audience`, which is the canonical URI of the server; introspection without one is not met |
    /// | Token Passthrough | no token of a client to another service | yours: get tokens of your own for other services |
    /// | Refresh Tokens | SHOULD NOT: `offline_access` in challenges | yours: do not require this scope |
    /// | Error Handling | 401, 403 and 400 | always |
    /// | Scope Challenge Handling | SHOULD: 403 with `insufficient_scope`, all scopes and `resource_metadata` | always; `resource_metadata` where metadata is configured |
    /// | Step-Up Authorization Flow | scopes that imply narrower ones | yours: `Policy::require_any_scope` |
    /// | Communication Security | authorization servers with TLS only | always; an issuer with plain `http` is not met |
    /// | sep-1932-server-advertises-dpop | a challenge `DPoP` with `algs` | always |
    /// | sep-1932-server-prm-dpop | `dpop_signing_alg_values_supported` and `dpop_bound_access_tokens_required` in the metadata | always: the document has the first, and the second if every policy requires DPoP |
    /// | sep-1932-server-validate-proof | the checks of RFC 9449 section 4.3 | always |
    /// | sep-1932-server-iat-window | an `iat` within 5 minutes of the server's time | set: a `max_age` of 60 seconds and a `leeway` of 10 seconds, which is stricter; more than 5 minutes, or `accept_nonce_for_iat`, is not met |
    /// | sep-1932-server-reject-401 | 401 and `WWW-Authenticate` for every invalid proof | set: `Policy::strict`; a policy that only reports is not met |
    /// | sep-1932-asymmetric-alg-only | asymmetric algorithms only | always |
    /// | sep-1932-server-nonce | SHOULD, in high-security environments: nonces | yours: `require_nonces` |
    /// | sep-1932-server-audience-validation | the audience is checked, also with DPoP | always; introspection without one is not met |
    /// | Replay Detection Without State | SHOULD, for the most protection: each `jti` once | set: the replay store; proofs that may be reused are not met |
    /// | sep-1932-client, sep-1932-as | clients and authorization servers | yours: they are other programs |
    ///
    /// The extension leaves open whether a server also admits unbound bearer tokens, so
    /// [`Policy::optional`](crate::Policy::optional) is within the profile.
    ///
    /// All settings can be changed afterwards. What then is not met is in the text of the configuration
    /// ([`Display`](std::fmt::Display)), and is logged at `warn`:
    ///
    /// ```
    /// # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "jwks"))] {
    /// use dpop_tower::{DpopConfig, Issuer, PublicOrigin, metadata::ResourceMetadata};
    ///
    /// let config = DpopConfig::mcp(
    ///     PublicOrigin::new("https://mcp.example.com")?,
    ///     Issuer::discover("https://idp.example.com").audience("https://mcp.example.com/mcp"),
    /// )
    /// .resource_metadata(ResourceMetadata::new().resource("https://mcp.example.com/mcp"))
    /// .require_nonces()
    /// .build()?;
    /// assert!(!config.to_string().contains("not met"));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn mcp(target: impl IntoTarget, tokens: impl IntoTokens) -> DpopConfigBuilder {
        let mut builder = Self::builder(target, tokens)
            .max_age(Duration::from_secs(60))
            .leeway(Duration::from_secs(10));
        builder.profile = Some(Profile::Mcp);
        builder
    }
}

pub(super) fn not_met(config: &Settings) -> Vec<String> {
    const IAT_WINDOW: &str = "sep-1932-server-iat-window";
    let mut not_met: Vec<String> = plain_http(config, "Communication Security").collect();
    if config.resources.is_none() {
        not_met.push("the resource has no metadata (Overview item 4)".to_owned());
    }
    for issuer in issuers(&config.token_facts) {
        if issuer.accepts_missing_audience {
            let name = &issuer.issuer;
            not_met.push(format!(
                "opaque tokens of {name} need no audience (sep-1932-server-audience-validation)"
            ));
        }
    }
    let proof = &config.proof;
    for (distance, what) in [
        (proof.max_age.saturating_add(proof.leeway), "old"),
        (proof.leeway, "ahead"),
    ] {
        if distance > WINDOW {
            let seconds = distance.as_secs();
            not_met.push(format!("an `iat` may be {seconds} s {what} ({IAT_WINDOW})"));
        }
    }
    if config.nonce_for_iat {
        let what = "with a nonce, `iat` is not compared with the time";
        not_met.push(format!("{what} ({IAT_WINDOW})"));
    }
    if config.remembered_for.is_none() {
        not_met.push("proofs may be used again (Replay Detection Without State)".to_owned());
    }
    not_met
}
