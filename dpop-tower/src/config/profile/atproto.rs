use std::time::Duration;

use serde_json::Value;

use super::Profile;
use crate::{
    config::{DpopConfig, DpopConfigBuilder, Settings},
    crypto::Algorithm,
    policy::Policy,
    target::IntoTarget,
    token::IntoTokens,
};

/// How long a nonce may live.
const NONCE_LIFE: Duration = Duration::from_secs(5 * 60);

/// The maximum length of a DID in atproto.
const MAX_DID_LEN: usize = 2048;

impl DpopConfig {
    /// Returns a builder with the settings that the OAuth profile of the AT Protocol asks of a resource server,
    /// which is a personal data server.
    ///
    /// The specification has no numbers, so the clauses have the names of its sections.
    ///
    /// | clause | what it asks | here |
    /// |---|---|---|
    /// | Identity Authentication | an account is identified by its DID, in `sub` | set: every policy requires a `sub` that is a DID, or the response is 403 |
    /// | Authorization Scopes | no access without the scope `atproto` | set: every policy requires it |
    /// | Tokens: binding | tokens are bound to a key of the session | set: a token without `cnf.jkt` is rejected by every policy, also if it is bound to a certificate |
    /// | Tokens: lifetime | tokens of less than 30 minutes | yours: the issuer decides |
    /// | DPoP: required | DPoP in all requests with authorization | set: `Policy::strict`; a policy that admits unbound tokens is not met |
    /// | DPoP: nonces | nonces of the server are mandatory | set: `require_nonces` |
    /// | DPoP: nonce lifetime | nonces live for 5 minutes at most | set: those of the default `nonce_source` live for up to 4 minutes; a longer or unknown lifetime is not met |
    /// | DPoP: stale nonces | SHOULD: recently replaced nonces are accepted | always: those of the previous period |
    /// | DPoP: nonce in responses | clients reject a response without `DPoP-Nonce` | set: `offer_nonces` |
    /// | DPoP: jti | each `jti` once | always; proofs that may be reused are not met |
    /// | DPoP: ES256 | `ES256` is supported, and others may be | set: `ES256` first in `algorithms`; without it is not met |
    /// | Server Metadata | metadata of the resource server | shown: `resource_metadata`; without it not met; serving the document is yours |
    ///
    /// The two requirements of every policy also apply to the rows of a [`PolicyTable`](crate::PolicyTable) and
    /// to nested layers. A policy that is [`off`](Policy::off) or [`deny`](Policy::deny) stays as it is.
    ///
    /// Several nodes need a shared secret: see
    /// [`nonce_source`](DpopConfigBuilder::nonce_source).
    ///
    /// All other settings can be changed afterwards. What then is not met is in the text of the configuration
    /// ([`Display`](std::fmt::Display)), and is logged at `warn`:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin, metadata::ResourceMetadata};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://pds.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::atproto(origin, issuer)
    ///     .resource_metadata(ResourceMetadata::new())
    ///     .policy(Policy::strict().require_scope("transition:generic"))
    ///     .build()?;
    /// let text = config.to_string();
    /// assert!(text.contains("strict, scope transition:generic, scope atproto, claim sub"), "{text}");
    /// assert!(!text.contains("not met"));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn atproto(target: impl IntoTarget, tokens: impl IntoTokens) -> DpopConfigBuilder {
        let mut builder = Self::builder(target, tokens)
            .algorithms(Algorithm::DEFAULT)
            .require_nonces()
            .offer_nonces();
        let session = Policy::strict().require_scope("atproto");
        builder.everywhere = Some(session.require_claim("sub", is_did));
        builder.profile = Some(Profile::Atproto);
        builder
    }
}

pub(super) fn not_met(config: &Settings) -> Vec<String> {
    let mut not_met = Vec::new();
    match config.nonces.longest_life() {
        Some(life) if life <= NONCE_LIFE => {}
        Some(life) => not_met.push(format!(
            "nonces live for up to {} s (DPoP: nonce lifetime)",
            life.as_secs()
        )),
        None => not_met.push("nonces have no known lifetime (DPoP: nonce lifetime)".to_owned()),
    }
    if config.remembered_for.is_none() {
        not_met.push("proofs may be used again (DPoP: jti)".to_owned());
    }
    if config.resources.is_none() {
        not_met.push("the resource has no metadata (Server Metadata)".to_owned());
    }
    if !config
        .proof
        .allowed_algorithms()
        .contains(&Algorithm::Es256)
    {
        not_met.push("ES256 of proofs is not allowed (DPoP: ES256)".to_owned());
    }
    not_met
}

/// The syntax of the AT Protocol's DID specification.
fn is_did(subject: &Value) -> bool {
    let parts = (subject.as_str())
        .filter(|did| did.len() <= MAX_DID_LEN)
        .and_then(|did| did.strip_prefix("did:")?.split_once(':'));
    parts.is_some_and(|(method, id)| {
        let of_an_id = |c: char| c.is_ascii_alphanumeric() || "._:%-".contains(c);
        !method.is_empty()
            && method.chars().all(|c| c.is_ascii_lowercase())
            && id.chars().all(of_an_id)
            && !id.is_empty()
            && !id.ends_with([':', '%'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_did_or_is_none() {
        for did in [
            "did:plc:ewvi7nxzyoun6zhxrhs64oiz",
            "did:web:blueskyweb.xyz",
            "did:method:val:two",
            "did:m:v",
            "did:method::::val",
            "did:method:-:_:.",
        ] {
            assert!(is_did(&did.into()), "{did}");
        }
        let long = format!("did:plc:{}", "a".repeat(MAX_DID_LEN));
        for other in [
            "",
            "alice",
            "did:",
            "did:plc",
            "did:plc:",
            "did:METHOD:val",
            "did:m123:val",
            "DID:method:val",
            "did:method:val:",
            "did:method:val/two",
            "did:method:val?two",
            "did:method:val#two",
            "did:method:val%",
            " did:plc:a",
            &long,
        ] {
            assert!(!is_did(&other.into()), "{other}");
        }
        assert!(!is_did(&7.into()));
        assert!(!is_did(&Value::Null));
    }
}
