use std::{sync::Arc, time::Duration};

use super::{
    DpopConfig, DpopConfigBuilder,
    settings::{SeenProofs, Settings},
    warnings,
};
use crate::{
    cache::Cache,
    crypto::{check_algorithms, check_hashes},
    error::{ConfigError, ConfigErrorKind},
    nonce::{NonceSecret, NonceSource, StatelessNonces},
    policy::Policy,
    proof::{ProofVerifier, Setting},
    replay::{MemoryReplayStore, ReplayStore, UsedProofs},
};

const PROOF_KEYS: usize = 10_000;

const SEEN_PROOFS: usize = 100_000;

/// The maximum age of a proof without a setter that has `danger` in its name.
const LONGEST_LIFE_OF_A_NONCE: Duration = Duration::from_secs(600);

impl DpopConfigBuilder {
    /// Checks the settings and builds the configuration.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the setting if a value is invalid, or if two settings
    /// contradict each other. It also fails if no crypto backend is enabled or set.
    ///
    /// # Warnings
    ///
    /// What is valid but often a mistake is logged at `warn`, once for each configuration, and has a line in its
    /// [text](DpopConfig#impl-Display-for-DpopConfig); see [`DpopConfig::warnings`].
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use std::time::Duration;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let hour = Duration::from_secs(3600);
    /// let error = DpopConfig::builder(origin, issuer).max_age(hour).build().unwrap_err();
    /// assert!(error.to_string().contains("max_age"), "{error}");
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn build(self) -> Result<DpopConfig, ConfigError> {
        let crypto = self.crypto.ok_or_else(|| {
            ConfigError::new(
                ConfigErrorKind::Crypto,
                "no crypto backend: enable the feature `josekit` or `aws-lc-rs`, or give one with `crypto`",
            )
        })?;
        check_hashes(&*crypto)?;
        check_algorithms(self.proof.allowed_algorithms(), &*crypto)?;
        let everywhere = self.everywhere.map(Policy::build).transpose()?;
        let policy = self.policy.build()?;
        let policy = match &everywhere {
            Some(everywhere) => policy.requiring(everywhere),
            None => policy,
        };
        let issuers = self.tokens.issuers();
        check_policy(&policy, &self.proof, issuers.as_deref())?;
        let mut proof = self.proof;
        if let Some(max_age) = self.max_age {
            proof = proof.with_max_age(max_age)?;
        }
        if let Some(leeway) = self.leeway {
            proof = proof.with_leeway(leeway)?;
        }
        let nonces = nonces(self.nonces)?;
        let nonce_life = match self.nonce_for_iat {
            true => Some(life_for_iat(&*nonces)?),
            false => None,
        };
        let resources = (self.metadata)
            .map(|metadata| metadata.build(&*self.target.0, issuers.as_deref()))
            .transpose()?;
        let token_facts = self.tokens.facts();
        if let Some(profile) = self.profile {
            profile.check_issuers(&token_facts)?;
        }
        let tokens = self.tokens.build(&crypto, &self.clock)?;
        let is_unused = self.allows_reuse && self.replay.is_some();
        let store = self
            .replay
            .unwrap_or_else(|| Arc::new(MemoryReplayStore::new()));
        // The fence compares `iat` with the change, and nothing bounds the `iat` of such a proof. A store over the
        // network may not know its incarnation yet.
        let may_have_fence = store.is_shared() || store.incarnation().is_some();
        if nonce_life.is_some() && may_have_fence && !nonces.covers_incarnation() {
            let message = "nonces that outlive the records of the replay store cannot stand in for `iat` if \
                           the store has a fence: see `NonceSource::covers_incarnation`";
            return Err(ConfigError::new(ConfigErrorKind::Nonces, message));
        }
        let (replay_limits, is_shared) = (store.limits(), store.is_shared());
        // A proof may be used here by its nonce, and elsewhere by an `iat` that is this much older.
        let window = (proof.max_age.saturating_add(proof.leeway))
            .saturating_add(nonce_life.unwrap_or_default());
        if !self.allows_reuse {
            check_horizon(&*store, UsedProofs::longest_life(window, proof.leeway))?;
        }
        let replay = match self.allows_reuse {
            true => UsedProofs::not_remembered(store),
            false => UsedProofs::new(store, window).with_leeway(proof.leeway),
        };
        let replay = match nonce_life {
            Some(_) => replay.with_nonce_for_iat(),
            None => replay,
        };
        let mut settings = Settings {
            target: self.target.0,
            client_certificates: self.client_certificates,
            tokens,
            issuers,
            max_age: (self.max_age).unwrap_or(Setting::Plain(proof.max_age)),
            leeway: self.leeway.unwrap_or(Setting::Plain(proof.leeway)),
            proof,
            crypto,
            proof_keys: Cache::new(PROOF_KEYS),
            replay,
            revocations: self.revocations,
            seen_proofs: self.allows_reuse.then(|| SeenProofs::new(SEEN_PROOFS)),
            nonces,
            nonces_everywhere: self.nonces_everywhere,
            offers_nonces: self.offers_nonces,
            nonce_for_iat: self.nonce_for_iat,
            clock: self.clock,
            policy,
            everywhere,
            resources: resources.map(Arc::new),
            profile: self.profile,
            token_facts,
            names: self.names,
            replay_limits,
            remembered_for: (!self.allows_reuse).then(|| UsedProofs::remembered_for(window)),
            is_shared,
            warnings: Vec::new(),
        };
        settings.warnings = warnings::of_settings(&settings, is_unused);
        let own_policy = [("policy".to_owned(), &settings.policy)];
        let of_policy = warnings::of_policies(&settings, &own_policy);
        for warning in settings.warnings.iter().chain(&of_policy) {
            tracing::warn!("{warning}");
        }
        if let Some(profile) = self.profile {
            for why in profile.not_met(&settings) {
                tracing::warn!("the configuration does not meet its profile ({profile}): {why}");
            }
        }
        Ok(DpopConfig(Arc::new(settings)))
    }
}

/// Rejects a policy that no request can satisfy.
fn check_policy(
    policy: &Policy,
    proof: &ProofVerifier,
    issuers: Option<&[String]>,
) -> Result<(), ConfigError> {
    let reject = |message| Err(ConfigError::new(ConfigErrorKind::Policy, message));
    let requirements = policy.requirements();
    let algorithms = requirements.allowed_algorithms(proof.allowed_algorithms());
    if algorithms.is_empty() {
        return reject(format!(
            "the policy ({policy}) allows none of the algorithms that the configuration allows"
        ));
    }
    if issuers.is_some_and(|issuers| !requirements.accepts_any_issuer(issuers)) {
        return reject(format!(
            "the policy ({policy}) accepts none of the configured issuers"
        ));
    }
    Ok(())
}

/// Rejects a store that forgets proofs while they are valid.
fn check_horizon(store: &dyn ReplayStore, needed: Duration) -> Result<(), ConfigError> {
    match store.longest_life() {
        Some(life) if life < needed => {
            let (life, needed) = (life.as_secs(), needed.as_secs());
            let message = format!(
                "the replay store keeps proofs for {life} seconds, and has to remember them for up to {needed}: make \
                 the store keep them for as long, or lower `max_age` or `leeway`"
            );
            Err(ConfigError::new(ConfigErrorKind::Replay, message))
        }
        _ => Ok(()),
    }
}

/// Returns the source of nonces that was given, or one with a secret of this process.
fn nonces(given: Option<Arc<dyn NonceSource>>) -> Result<Arc<dyn NonceSource>, ConfigError> {
    let Some(nonces) = given else {
        return Ok(Arc::new(StatelessNonces::new(NonceSecret::random()?)));
    };
    match nonces.unusable() {
        None => Ok(nonces),
        Some(why) => Err(ConfigError::new(ConfigErrorKind::Nonces, why)),
    }
}

/// Returns the longest lifetime of nonces that stand in for `iat`.
fn life_for_iat(nonces: &dyn NonceSource) -> Result<Duration, ConfigError> {
    let reject = |message| Err(ConfigError::new(ConfigErrorKind::Nonces, message));
    match nonces.longest_life() {
        Some(life) if life <= LONGEST_LIFE_OF_A_NONCE => Ok(life),
        Some(life) => reject(format!(
            "nonces that live for up to {life:?} cannot stand in for `iat`: 10 minutes at most, so give \
             `StatelessNonces::period` 5 minutes at most"
        )),
        None => reject(
            "nonces without a time in them cannot stand in for `iat`: see `NonceSource::life`"
                .to_owned(),
        ),
    }
}
