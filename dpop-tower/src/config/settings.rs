use std::{sync::Arc, time::Duration};

use super::{Resources, profile::Profile};
use crate::{
    cache::Cache,
    clock::{TimeSource, UnixTime},
    crypto::CryptoProvider,
    jwk::Thumbprint,
    nonce::{NonceContext, NonceSource},
    policy::{Mode, Policy},
    proof::{KnownKey, ProofKey, ProofVerifier, Setting},
    replay::{Fence, ReplayLimits, UsedProofs},
    revocation::RevocationList,
    target::{ClientCertificates, TargetRequest, TargetUri},
    token::{TokenVerifier, TokensFacts},
};

/// The SHA-256 hash of a proof's text: header, claims and signature.
pub(crate) type ProofDigest = [u8; 32];

/// Proofs whose signature is valid. All other checks have to be repeated.
pub(crate) type SeenProofs = Cache<ProofDigest, ()>;

/// The settings of a [`DpopConfig`](super::DpopConfig).
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) target: Arc<dyn TargetUri>,
    /// The certificates that proxies report, if any are trusted.
    pub(crate) client_certificates: Option<ClientCertificates>,
    pub(crate) tokens: Arc<dyn TokenVerifier>,
    /// `None` if they are not part of the configuration.
    pub(crate) issuers: Option<Vec<String>>,
    pub(crate) proof: ProofVerifier,
    pub(crate) crypto: Arc<dyn CryptoProvider>,
    /// Thumbprints and parsed keys of valid bound tokens, so strangers cannot fill the cache. With OpenSSL,
    /// parsing a key costs as much as two signature checks.
    pub(crate) proof_keys: Cache<ProofKey, KnownKey>,
    pub(crate) replay: UsedProofs,
    /// `None` if tokens cannot be revoked here.
    pub(crate) revocations: Option<Arc<dyn RevocationList>>,
    /// Proofs whose signature has been verified, if proofs may be reused. Each belongs to a bound token.
    pub(crate) seen_proofs: Option<SeenProofs>,
    pub(crate) nonces: Arc<dyn NonceSource>,
    /// Is `true` if every proof needs a nonce, whatever the policy.
    pub(crate) nonces_everywhere: bool,
    /// Is `true` if the time in a nonce replaces the client's clock.
    pub(crate) nonce_for_iat: bool,
    /// Is `true` if every response has a nonce, whatever the policy.
    pub(crate) offers_nonces: bool,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) policy: Policy,
    /// The requirements that every policy gets.
    pub(super) everywhere: Option<Policy>,
    /// `None` if there is no metadata of the protected resource.
    pub(crate) resources: Option<Arc<Resources>>,
    // All that follows is for the text of the configuration alone.
    pub(super) profile: Option<Profile>,
    pub(super) token_facts: TokensFacts,
    pub(super) names: Names,
    pub(super) max_age: Setting,
    pub(super) leeway: Setting,
    pub(super) replay_limits: Option<ReplayLimits>,
    /// `None` if proofs may be used again.
    pub(super) remembered_for: Option<Duration>,
    /// Is `true` if other processes share the records of used proofs.
    pub(super) is_shared: bool,
    /// What is valid but often a mistake, whatever the policies.
    pub(super) warnings: Vec<String>,
}

/// The types that were given for the seams of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) replay: &'static str,
    /// `None` for nonces with a secret of this process.
    pub(super) nonces: Option<&'static str>,
    pub(super) revocations: Option<&'static str>,
    pub(super) crypto: &'static str,
    pub(super) clock: &'static str,
}

impl Settings {
    /// Returns whether a proof needs a nonce. A policy that only reports gives out no nonces.
    pub(crate) fn needs_nonce(&self, policy: &Policy) -> bool {
        policy.mode() != Mode::ReportOnly && (self.nonces_everywhere || policy.requirements().nonce)
    }

    /// Returns the current nonce if this policy requires or offers nonces.
    pub(crate) fn current_nonce(
        &self,
        policy: &Policy,
        thumbprint: Option<Thumbprint>,
    ) -> Option<String> {
        if !(self.needs_nonce(policy) || self.offers_nonce(policy)) {
            return None;
        }
        self.next_nonce(thumbprint)
    }

    /// Returns the current nonce for a client with this key, if nonces are bound to keys. There is none for a client
    /// that has not shown its key.
    pub(crate) fn next_nonce(&self, thumbprint: Option<Thumbprint>) -> Option<String> {
        if self.nonces.binds_to_key() && thumbprint.is_none() {
            return None;
        }
        let context = self.nonce_context(self.clock.now(), self.replay.fence());
        Some(self.nonces.current(&context.thumbprint(thumbprint)))
    }

    /// Returns what a nonce is made from and checked with.
    pub(crate) fn nonce_context(&self, now: UnixTime, fence: Fence) -> NonceContext<'_> {
        NonceContext::new(now, &*self.crypto).incarnation(fence.incarnation())
    }

    /// Returns the number of the resource that is called, of those that have metadata.
    pub(crate) fn called_resource(&self, request: TargetRequest<'_>) -> usize {
        match &self.resources {
            Some(several) if several.resources.len() > 1 => {
                let uri = self.target.expected(request);
                uri.map_or(0, |uri| several.called(&uri))
            }
            _ => 0,
        }
    }

    /// Returns the URL of the metadata of a resource, if there is any.
    pub(crate) fn metadata_url(&self, resource: usize) -> Option<Arc<str>> {
        let resources = &self.resources.as_ref()?.resources;
        Some(Arc::clone(&resources.get(resource)?.url))
    }

    /// Returns whether every response of this policy has a nonce.
    pub(crate) fn offers_nonce(&self, policy: &Policy) -> bool {
        self.offers_nonces || policy.requirements().offers_nonce
    }

    /// Returns why a policy does not meet the profile of the configuration, if it has one.
    pub(crate) fn policy_not_met(&self, policy: &Policy) -> Option<String> {
        let profile = self.profile?;
        let why = profile.policy_not_met(policy)?;
        Some(format!(
            "the policy ({policy}) does not meet the profile of its configuration ({profile}): {why}"
        ))
    }

    /// Returns the policy with the requirements that all policies of this configuration have.
    pub(crate) fn in_force(&self, policy: Policy) -> Policy {
        match &self.everywhere {
            Some(everywhere) => policy.requiring(everywhere),
            None => policy,
        }
    }
}
