//! The configuration: everything a layer needs, checked once and shared.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    clock::{SystemClock, TimeSource, UnixTime},
    crypto::{Algorithm, CryptoProvider, PreparedKey, check_algorithms, check_hashes},
    error::{ConfigError, ConfigErrorKind},
    jwk::Thumbprint,
    nonce::{NonceSecret, NonceSource, StatelessNonces},
    policy::{Draft, Mode, Policy},
    proof::{ProofVerifier, Setting},
    replay::{MemoryReplayStore, ReplayStore, UsedProofs},
    target::{Target, TargetUri},
    token::{TokenVerifier, Tokens},
};

const PROOF_KEYS: usize = 10_000;

const SEEN_PROOFS: usize = 100_000;

/// A proof, by the SHA-256 hash of its text: header, claims and signature.
pub(crate) type ProofDigest = [u8; 32];

/// Proofs whose signature is valid. Everything else about them has to be checked again.
pub(crate) type SeenProofs = Cache<ProofDigest, ()>;

/// As old as a proof can be without a setter that has `danger` in its name.
const LONGEST_LIFE_OF_A_NONCE: Duration = Duration::from_secs(600);

/// What [`DpopLayer`](crate::DpopLayer)s enforce. It is immutable; layers share one in an [`Arc`],
/// and with it the replay store and the caches.
///
/// ```
/// use dpop_tower::{DpopConfig, Issuer, PublicOrigin};
///
/// # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "jwks"))] {
/// let config = DpopConfig::builder(
///     PublicOrigin::new("https://api.example.com")?,
///     Issuer::discover("https://idp.example.com").audience("https://api.example.com"),
/// )
/// .build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
pub struct DpopConfig {
    pub(crate) target: Arc<dyn TargetUri>,
    pub(crate) tokens: Arc<dyn TokenVerifier>,
    pub(crate) proof: ProofVerifier,
    pub(crate) crypto: Arc<dyn CryptoProvider>,
    /// Parsed keys that have proved a bound token, which a stranger has not got. Parsing one costs
    /// OpenSSL as much as two signatures.
    pub(crate) proof_keys: Cache<(Thumbprint, Algorithm), PreparedKey>,
    pub(crate) replay: UsedProofs,
    /// Where a proof may be used again, those whose signature need not be checked again. Each has
    /// proved a bound token.
    pub(crate) seen_proofs: Option<SeenProofs>,
    pub(crate) nonces: Arc<dyn NonceSource>,
    /// Whether every proof needs a nonce, and not only where a policy says so.
    pub(crate) nonces_everywhere: bool,
    /// Whether the time in a nonce stands in for the client's clock.
    pub(crate) nonce_for_iat: bool,
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
            proof: ProofVerifier::default(),
            max_age: None,
            leeway: None,
            crypto: default_crypto(),
            replay: None,
            allows_reuse: false,
            nonces: None,
            nonces_everywhere: false,
            nonce_for_iat: false,
            clock: Arc::new(SystemClock),
            policy: Policy::strict().into_draft(),
        }
    }
}

impl DpopConfig {
    /// Whether a proof needs a nonce. Who only reports never hands one out, so does not ask for one.
    pub(crate) fn needs_nonce(&self, policy: &Policy) -> bool {
        policy.mode() != Mode::ReportOnly
            && (self.nonces_everywhere || policy.requirements().nonce())
    }

    /// The nonce to hand out now, where this policy needs or offers one.
    pub(crate) fn current_nonce(&self, policy: &Policy) -> Option<String> {
        (self.needs_nonce(policy) || policy.requirements().offers_nonce())
            .then(|| self.nonces.current(self.clock.now(), &*self.crypto))
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
            .field("nonce_for_iat", &self.nonce_for_iat)
            .field("clock", &self.clock)
            .field("policy", &self.policy)
            .finish()
    }
}

#[cfg(feature = "josekit")]
fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(crate::crypto::Josekit))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(crate::crypto::AwsLcRs))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    None
}

/// Builds a [`DpopConfig`]. Every setting has a safe default.
#[must_use]
pub struct DpopConfigBuilder {
    target: Target,
    tokens: Tokens,
    proof: ProofVerifier,
    max_age: Option<Setting>,
    leeway: Option<Setting>,
    crypto: Option<Arc<dyn CryptoProvider>>,
    replay: Option<Arc<dyn ReplayStore>>,
    allows_reuse: bool,
    nonces: Option<Arc<dyn NonceSource>>,
    nonces_everywhere: bool,
    nonce_for_iat: bool,
    clock: Arc<dyn TimeSource>,
    policy: Policy<Draft>,
}

impl DpopConfigBuilder {
    /// The algorithms that proofs may be signed with, the preferred first; [`Algorithm::DEFAULT`]
    /// unless set. They are advertised in challenges.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.proof = self.proof.algorithms(algorithms);
        self
    }

    /// How old a proof may be (`iat`, RFC 9449 section 4.3 item 11): whole seconds, from one to 10
    /// minutes; 60 seconds unless set. The replay store remembers every proof for as long.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(Setting::Plain(max_age));
        self
    }

    /// As [`max_age`](Self::max_age), up to a day.
    ///
    /// # Security
    ///
    /// A proof that was copied on its way is good for as long, unless it was used; and for as long every
    /// used one takes a place in the replay store (RFC 9449 section 11.1).
    pub fn danger_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(Setting::Danger(max_age));
        self
    }

    /// How far a client's clock may be off in either direction: whole seconds, up to 60; 10 unless set.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(Setting::Plain(leeway));
        self
    }

    /// As [`leeway`](Self::leeway), up to an hour.
    ///
    /// # Security
    ///
    /// Whoever has a client's key for a moment can make proofs that are good this much later. The FAPI
    /// 2.0 Security Profile has servers reject an `iat` that is more than 60 seconds ahead.
    pub fn danger_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(Setting::Danger(leeway));
        self
    }

    /// Requires a nonce of every proof (RFC 9449 section 9). Clients get one with a challenge, and the next
    /// one with a response before the one they have expires. [`Policy::require_nonce`] does the same for
    /// some routes.
    pub fn require_nonces(mut self) -> Self {
        self.nonces_everywhere = true;
        self
    }

    /// Sets the source of the nonces that [`require_nonces`](Self::require_nonces) and
    /// [`Policy::require_nonce`] ask for. Defaults to [`StatelessNonces`] with a random per-process secret.
    /// Set a shared secret when you run more than one node, or clients are challenged in a loop.
    pub fn nonce_source(mut self, nonces: impl NonceSource) -> Self {
        self.nonces = Some(Arc::new(nonces));
        self
    }

    /// Has the time in a nonce stand in for the client's clock: where a proof has a nonce of this server
    /// that is accepted, its `iat`, `nbf` and `exp` are not compared with the time (RFC 9449 section 11.1).
    /// It is for clients whose clocks are off by more than the [`leeway`](Self::leeway). Other proofs are
    /// checked as ever, so it makes sense with [`require_nonces`](Self::require_nonces) or [`Policy::require_nonce`].
    ///
    /// Such a proof is acceptable for as long as its nonce, which is up to two periods of
    /// [`StatelessNonces`], and is remembered for as long. The age that a [policy](Policy::max_proof_age) asks
    /// for is counted from the nonce.
    pub fn accept_nonce_for_iat(mut self) -> Self {
        self.nonce_for_iat = true;
        self
    }

    /// Where used proofs are remembered; a [`MemoryReplayStore`] with its default bounds unless set.
    /// Configurations may share one, in an [`Arc`]: it then remembers every proof for the longest of
    /// their windows.
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
    pub fn crypto(mut self, backend: impl CryptoProvider) -> Self {
        self.crypto = Some(Arc::new(backend));
        self
    }

    /// The clock; the operating system's unless set.
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The policy of layers that are given none of their own, and of what a
    /// [`PolicyTable`](crate::PolicyTable) does not list; [`Policy::strict`] unless set.
    pub fn policy<S>(mut self, policy: Policy<S>) -> Self {
        self.policy = policy.into_draft();
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
        check_hashes(&*crypto)?;
        check_algorithms(self.proof.allowed_algorithms(), &*crypto)?;
        let policy = self.policy.build()?;
        let algorithms = self.proof.allowed_algorithms();
        if policy
            .requirements()
            .allowed_algorithms(algorithms)
            .is_empty()
        {
            let message = format!(
                "the policy ({policy}) allows none of the algorithms that the configuration allows"
            );
            return Err(ConfigError::new(ConfigErrorKind::Policy, message));
        }
        let mut proof = self.proof;
        if let Some(max_age) = self.max_age {
            proof = proof.with_max_age(max_age)?;
        }
        if let Some(leeway) = self.leeway {
            proof = proof.with_leeway(leeway)?;
        }
        let nonces = match self.nonces {
            Some(nonces) => match nonces.unusable() {
                None => nonces,
                Some(why) => return Err(ConfigError::new(ConfigErrorKind::Nonces, why)),
            },
            None => Arc::new(StatelessNonces::new(NonceSecret::random()?)),
        };
        let life = match (self.nonce_for_iat, nonces.longest_life()) {
            (false, _) => None,
            (true, Some(life)) if life <= LONGEST_LIFE_OF_A_NONCE => Some(life),
            (true, Some(life)) => {
                let message = format!(
                    "nonces that live for up to {life:?} cannot stand in for `iat`: 10 minutes at most, so \
                     give `StatelessNonces::period` 5 minutes at most"
                );
                return Err(ConfigError::new(ConfigErrorKind::Nonces, message));
            }
            (true, None) => {
                let message = "nonces without a time in them cannot stand in for `iat`: see \
                               `NonceSource::life`";
                return Err(ConfigError::new(ConfigErrorKind::Nonces, message));
            }
        };
        let tokens = self.tokens.build(&crypto, &self.clock)?;
        let store = self
            .replay
            .unwrap_or_else(|| Arc::new(MemoryReplayStore::new()));
        let replay = if self.allows_reuse {
            UsedProofs::not_remembered(store)
        } else {
            let (max_age, leeway) = proof.window();
            let by_nonce = life.unwrap_or_default();
            // A proof may be used here by its nonce, and elsewhere by an `iat` that is this much older.
            UsedProofs::new(
                store,
                max_age.saturating_add(leeway).saturating_add(by_nonce),
            )
        };
        if self.clock.now() == UnixTime::END {
            tracing::warn!(
                "the clock shows the end of time, as `SystemClock` does if that of the system cannot be \
                 right: every token and every proof counts as expired until it is set"
            );
        }
        Ok(DpopConfig {
            target: self.target.0,
            tokens,
            proof,
            crypto,
            proof_keys: Cache::new(PROOF_KEYS),
            replay,
            seen_proofs: self.allows_reuse.then(|| SeenProofs::new(SEEN_PROOFS)),
            nonces,
            nonces_everywhere: self.nonces_everywhere,
            nonce_for_iat: self.nonce_for_iat,
            clock: self.clock,
            policy,
        })
    }
}

impl fmt::Debug for DpopConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopConfigBuilder")
            .field("target", &self.target)
            .field("tokens", &self.tokens)
            .field("proof", &self.proof)
            .field("max_age", &self.max_age)
            .field("leeway", &self.leeway)
            .field("crypto", &self.crypto)
            .field("replay", &self.replay)
            .field("allows_reuse", &self.allows_reuse)
            .field("nonces", &self.nonces)
            .field("nonces_everywhere", &self.nonces_everywhere)
            .field("nonce_for_iat", &self.nonce_for_iat)
            .field("clock", &self.clock)
            .field("policy", &self.policy)
            .finish()
    }
}
