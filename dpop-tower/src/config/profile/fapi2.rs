use std::time::Duration;

use super::{Profile, further_algorithms, issuers, plain_http};
use crate::{
    config::{DpopConfig, DpopConfigBuilder, Settings},
    crypto::Algorithm,
    target::IntoTarget,
    token::IntoTokens,
};

/// `EdDSA` with Ed25519 has the name `Ed25519` since RFC 9864, which a note of section 5.4.1 allows for.
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Es256,
    Algorithm::Ed25519,
    Algorithm::EdDsa,
    Algorithm::Ps256,
];

/// How far ahead an `iat` or `nbf` has to be accepted.
const LEAST_LEEWAY: Duration = Duration::from_secs(10);

/// How far ahead an `iat` or `nbf` may be accepted.
const MOST_LEEWAY: Duration = Duration::from_secs(60);

impl DpopConfig {
    /// Returns a builder with the settings that the FAPI 2.0 Security Profile (final, February 2025) asks of a
    /// resource server.
    ///
    /// | clause | what it asks | here |
    /// |---|---|---|
    /// | 5.2.1 item 1 | endpoints and connections with TLS only | shown: an origin or an issuer without `https` is not met; the server that ends TLS is yours |
    /// | 5.2.1 items 2 to 5 | TLS 1.2 or later, BCP 195, DNSSEC, checks of certificates | yours: the server that ends TLS, and the name servers |
    /// | 5.2.2 item 1 | the recommended cipher suites of TLS 1.2 | yours: the server that ends TLS |
    /// | 5.3.2.1 item 13 | accept an `iat` or `nbf` up to 10 seconds ahead, and reject more than 60 seconds | set: a `leeway` of 10 seconds; one outside of that is not met |
    /// | 5.3.4 item 1 | access tokens in the `Authorization` header | always |
    /// | 5.3.4 item 2 | no access tokens in the query | always: the query is not read |
    /// | 5.3.4 item 3 | validity, integrity, expiration and revocation of tokens | always, but for revocation: it is not met without `revocation_list`, `Issuer::status_lists` or introspection |
    /// | 5.3.4 item 4 | sufficient authorization, or the errors of RFC 6750 section 3.1 | always; which scopes or `authorization_details` a route requires is yours |
    /// | 5.3.4 item 5 | tokens bound by DPoP, by MTLS, or by either | set: `Policy::strict`, to which you may add `accept_certificate_bound`; a policy that admits unbound tokens is not met |
    /// | 5.4.1 item 1.1 | JWTs by RFC 8725 | always |
    /// | 5.4.1 item 1.2 | `PS256`, `ES256`, and `EdDSA` with Ed25519 | set: `algorithms` of proofs, and those of tokens, of status lists and of signed introspection |
    /// | 5.4.1 item 1.3 | no `none` | always |
    /// | 5.4.1 item 2 | RSA keys of 2048 bits or more | always |
    /// | 5.4.1 item 3 | elliptic curve keys of 224 bits or more | always: no curve is smaller than P-256 |
    /// | 5.4.1 item 4 | credentials with 128 bits of entropy | yours: the issuer makes the tokens |
    /// | 5.4.3 | keys with the same `kid` told apart by other attributes | always |
    ///
    /// Tokens are limited to the algorithms of the profile. If an [`Issuer`](crate::Issuer) has none of them,
    /// [`build`](DpopConfigBuilder::build) returns a [`ConfigError`](crate::ConfigError). A
    /// [`TokenVerifier`](crate::token::TokenVerifier) of your own verifies tokens in its own way, so its
    /// algorithms, its leeway and revocation are yours. Issuers that are looked up at run time are limited to
    /// the algorithms, too, but the text cannot say what else they do not meet.
    ///
    /// All settings can be changed afterwards. What then is not met is in the text of the configuration
    /// ([`Display`](std::fmt::Display)), and is logged at `warn`:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{
    ///     DpopConfig, Policy, PublicOrigin, crypto::Algorithm, revocation::MemoryRevocationList,
    /// };
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// # let (other_origin, other_issuer) = (origin.clone(), TestIssuer::new().tokens());
    /// let config = DpopConfig::fapi2(origin, issuer)
    ///     .policy(Policy::strict().accept_certificate_bound())
    ///     .revocation_list(MemoryRevocationList::new())
    ///     .build()?;
    /// assert!(!config.to_string().contains("not met"));
    ///
    /// let config = DpopConfig::fapi2(other_origin, other_issuer).algorithms(Algorithm::DEFAULT).build()?;
    /// assert!(config.to_string().contains("RS256 of proofs is not allowed (5.4.1 item 1.2)"));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn fapi2(target: impl IntoTarget, tokens: impl IntoTokens) -> DpopConfigBuilder {
        let mut builder = Self::builder(target, tokens)
            .algorithms(ALGORITHMS)
            .leeway(LEAST_LEEWAY);
        builder.tokens.allow_only(&ALGORITHMS);
        builder.profile = Some(Profile::Fapi2);
        builder
    }
}

pub(super) fn not_met(config: &Settings) -> Vec<String> {
    let mut not_met = Vec::new();
    for origin in config.target.origins() {
        if origin.scheme() != "https" {
            let origin = origin.as_str();
            not_met.push(format!("{origin} is without TLS (5.2.1 item 1)"));
        }
    }
    not_met.extend(plain_http(config, "5.2.1 item 1"));
    let leeway_not_met = |of: &str, leeway: Duration| {
        let is_met = (LEAST_LEEWAY..=MOST_LEEWAY).contains(&leeway);
        let seconds = leeway.as_secs();
        (!is_met).then(|| format!("{of} may be {seconds} s ahead (5.3.2.1 item 13)"))
    };
    not_met.extend(leeway_not_met("the `iat` of proofs", config.proof.leeway));
    for issuer in issuers(&config.token_facts) {
        let name = &issuer.issuer;
        let of = format!("dates in tokens of {name}");
        not_met.extend((issuer.leeways.iter()).filter_map(|leeway| leeway_not_met(&of, *leeway)));
        if config.revocations.is_none() && !issuer.reports_revocation {
            not_met.push(format!(
                "tokens of {name} are not checked for revocation (5.3.4 item 3)"
            ));
        }
    }
    for algorithm in further_algorithms(config, &ALGORITHMS) {
        not_met.push(format!(
            "{algorithm} of proofs is not allowed (5.4.1 item 1.2)"
        ));
    }
    not_met
}
