//! The configuration: everything a layer needs, checked once and shared.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    crypto::{Algorithm, KeyCache, SignatureVerifier, check_algorithms},
    error::{ConfigError, ConfigErrorKind},
    nonce::{NonceSecret, NonceSource, StatelessNonces},
    policy::{Mode, Policy},
    proof::ProofPolicy,
    replay::{MemoryReplayStore, ReplayStore, SeenProofs},
    target::{Target, TargetUri},
    time::{SystemClock, TimeSource},
    token::{TokenVerifier, Tokens},
};

const PROOF_KEYS: usize = 10_000;

const SEEN_PROOFS: usize = 100_000;

/// What [`DpopLayer`](crate::DpopLayer)s enforce. It is immutable; layers share one in an [`Arc`],
/// and with it the replay store and the caches.
///
/// ```
/// use dpop_tower::{DpopConfig, JwtTokens, PublicOrigin};
///
/// # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "jwks"))] {
/// let config = DpopConfig::builder(
///     PublicOrigin::new("https://api.example.com")?,
///     JwtTokens::discover("https://idp.example.com").audience("https://api.example.com"),
/// )
/// .build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
pub struct DpopConfig {
    pub(crate) target: Arc<dyn TargetUri>,
    pub(crate) tokens: Arc<dyn TokenVerifier>,
    pub(crate) proof: ProofPolicy,
    pub(crate) crypto: Arc<dyn SignatureVerifier>,
    pub(crate) proof_keys: KeyCache,
    pub(crate) replay: Arc<dyn ReplayStore>,
    /// Where a proof may be used again, those whose signature need not be checked again.
    pub(crate) seen_proofs: Option<SeenProofs>,
    pub(crate) nonces: Arc<dyn NonceSource>,
    /// Whether every proof needs a nonce, and not only where a policy says so.
    pub(crate) nonces_everywhere: bool,
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) policy: Policy,
}

impl DpopConfig {
    /// Begins with the two things that have no safe default: what clients call this service, and
    /// whose tokens it accepts.
    pub fn builder(target: impl Into<Target>, tokens: impl Into<Tokens>) -> DpopConfigBuilder {
        DpopConfigBuilder {
            target: target.into(),
            tokens: tokens.into(),
            proof: ProofPolicy::default(),
            crypto: default_crypto(),
            replay: None,
            allows_reuse: false,
            nonces: None,
            nonces_everywhere: false,
            clock: Arc::new(SystemClock),
            policy: Policy::strict(),
        }
    }
}

impl DpopConfig {
    /// Whether a proof needs a nonce. Who only reports never hands one out, so does not ask for one.
    pub(crate) fn needs_nonce(&self, policy: &Policy) -> bool {
        policy.mode() != Mode::ReportOnly && (self.nonces_everywhere || policy.demands().nonce())
    }

    /// The nonce to hand out now, where this policy needs one.
    pub(crate) fn current_nonce(&self, policy: &Policy) -> Option<String> {
        self.needs_nonce(policy)
            .then(|| self.nonces.current(self.clock.now()))
    }
}

impl fmt::Debug for DpopConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopConfig")
            .field("target", &self.target)
            .field("tokens", &self.tokens)
            .field("proof", &self.proof)
            .field("crypto", &self.crypto)
            .field("proof_keys", &self.proof_keys)
            .field("replay", &self.replay)
            .field("seen_proofs", &self.seen_proofs)
            .field("nonces", &self.nonces)
            .field("nonces_everywhere", &self.nonces_everywhere)
            .field("clock", &self.clock)
            .field("policy", &self.policy)
            .finish()
    }
}

#[cfg(feature = "josekit")]
fn default_crypto() -> Option<Arc<dyn SignatureVerifier>> {
    Some(Arc::new(crate::crypto::Josekit))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
fn default_crypto() -> Option<Arc<dyn SignatureVerifier>> {
    Some(Arc::new(crate::crypto::AwsLcRs))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
fn default_crypto() -> Option<Arc<dyn SignatureVerifier>> {
    None
}

/// Builds a [`DpopConfig`]. Every setting has a safe default.
#[must_use]
pub struct DpopConfigBuilder {
    target: Target,
    tokens: Tokens,
    proof: ProofPolicy,
    crypto: Option<Arc<dyn SignatureVerifier>>,
    replay: Option<Arc<dyn ReplayStore>>,
    allows_reuse: bool,
    nonces: Option<Arc<dyn NonceSource>>,
    nonces_everywhere: bool,
    clock: Arc<dyn TimeSource>,
    policy: Policy,
}

impl DpopConfigBuilder {
    /// The algorithms that proofs may be signed with, the preferred first; [`Algorithm::DEFAULT`]
    /// unless set. They are advertised in challenges.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.proof = self.proof.algorithms(algorithms);
        self
    }

    /// How old a proof may be (`iat`, RFC 9449 section 4.3 item 11): whole seconds, at least one; 60
    /// unless set. The replay store remembers every proof for as long.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.proof = self.proof.max_age(max_age);
        self
    }

    /// How far a client's clock may be off in either direction: whole seconds; 10 unless set.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.proof = self.proof.leeway(leeway);
        self
    }

    /// Turns nonces on: every proof needs one that `nonces` has made (RFC 9449 section 9). Clients
    /// get them with challenges, and with responses before the one they have expires.
    pub fn nonces(mut self, nonces: impl NonceSource) -> Self {
        self.nonces_everywhere = true;
        self.nonces_where_required(nonces)
    }

    /// Where the nonces come from that [`Policy::require_nonce`] asks for. Unless it is set, they are
    /// [`StatelessNonces`] with a secret of this process: clients of several nodes would go from one
    /// challenge to the next.
    pub fn nonces_where_required(mut self, nonces: impl NonceSource) -> Self {
        self.nonces = Some(Arc::new(nonces));
        self
    }

    /// Where used proofs are remembered; a [`MemoryReplayStore`] with its default bounds unless set.
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.replay = Some(Arc::new(store));
        self
    }

    /// Lets a proof be used any number of times as long as it is acceptable, for clients that send one
    /// with several requests for the same method and URL. The replay store is not asked, and a proof
    /// that was seen before costs no second signature check.
    ///
    /// # Security
    ///
    /// Whoever gets hold of a request can repeat it, until its proof is too old (RFC 9449 section
    /// 11.1). That is at most [`max_age`](Self::max_age) and twice the [`leeway`](Self::leeway), which
    /// should be as short as the clients bear.
    pub fn danger_allow_reuse_within_lifetime(mut self) -> Self {
        self.allows_reuse = true;
        self
    }

    /// The crypto backend. Unless set, it is `Josekit` if its feature is on, and otherwise `AwsLcRs`.
    pub fn crypto(mut self, backend: impl SignatureVerifier) -> Self {
        self.crypto = Some(Arc::new(backend));
        self
    }

    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The policy of layers that are given none of their own; [`Policy::strict`] unless set.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Checks the settings, each and together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting.
    pub fn build(self) -> Result<DpopConfig, ConfigError> {
        let crypto = self.crypto.ok_or_else(|| {
            ConfigError::new(
                ConfigErrorKind::Crypto,
                "no crypto backend: enable the feature `josekit` or `aws-lc-rs`, or give one with `crypto`",
            )
        })?;
        check_algorithms(self.proof.allowed_algorithms(), &*crypto)?;
        if let Some(why) = self.policy.demands().contradiction() {
            let message = format!("the policy cannot be used: {why}");
            return Err(ConfigError::new(ConfigErrorKind::Policy, message));
        }
        let (max_age, leeway) = self.proof.window();
        let window_error = |message| Err(ConfigError::new(ConfigErrorKind::Window, message));
        if max_age < Duration::from_secs(1) {
            return window_error("the maximum age of a proof is less than a second");
        }
        // Whatever is accepted has to be remembered; longer than this is a slip of units.
        if max_age > Duration::from_secs(24 * 60 * 60) || leeway > Duration::from_secs(60 * 60) {
            return window_error(
                "the maximum age of a proof is more than a day, or the leeway more than an hour",
            );
        }
        let nonces = match self.nonces {
            Some(nonces) => nonces,
            None => Arc::new(StatelessNonces::new(NonceSecret::random()?)),
        };
        Ok(DpopConfig {
            target: self.target.0,
            tokens: self.tokens.build(&crypto, &self.clock)?,
            proof: self.proof,
            crypto,
            proof_keys: KeyCache::new(PROOF_KEYS),
            replay: self
                .replay
                .unwrap_or_else(|| Arc::new(MemoryReplayStore::new())),
            seen_proofs: self.allows_reuse.then(|| SeenProofs::new(SEEN_PROOFS)),
            nonces,
            nonces_everywhere: self.nonces_everywhere,
            clock: self.clock,
            policy: self.policy,
        })
    }
}

impl fmt::Debug for DpopConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopConfigBuilder")
            .field("target", &self.target)
            .field("tokens", &self.tokens)
            .field("proof", &self.proof)
            .field("crypto", &self.crypto)
            .field("replay", &self.replay)
            .field("allows_reuse", &self.allows_reuse)
            .field("nonces", &self.nonces)
            .field("nonces_everywhere", &self.nonces_everywhere)
            .field("clock", &self.clock)
            .field("policy", &self.policy)
            .finish()
    }
}
