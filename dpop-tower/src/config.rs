//! The configuration: everything a layer needs, checked once and shared.

use std::{sync::Arc, time::Duration};

use crate::{
    cache::Cache,
    clock::{SystemClock, TimeSource, UnixTime},
    crypto::{Algorithm, CryptoProvider, check_algorithms, check_hashes},
    error::{ConfigError, ConfigErrorKind},
    nonce::{NonceSecret, NonceSource, StatelessNonces},
    policy::{Draft, Mode, Policy},
    proof::{KnownKey, ProofKey, ProofVerifier, Setting},
    replay::{MemoryReplayStore, ReplayStore, UsedProofs},
    revocation::RevocationList,
    target::{ClientCertificates, IntoTarget, Target, TargetUri},
    token::{IntoTokens, Readiness, TokenVerifier, Tokens, WarmUpError},
};

const PROOF_KEYS: usize = 10_000;

const SEEN_PROOFS: usize = 100_000;

/// The SHA-256 hash of a proof's text: header, claims and signature.
pub(crate) type ProofDigest = [u8; 32];

/// Proofs whose signature is valid. All other checks have to be repeated.
pub(crate) type SeenProofs = Cache<ProofDigest, ()>;

/// The maximum age of a proof without a setter that has `danger` in its name.
const LONGEST_LIFE_OF_A_NONCE: Duration = Duration::from_secs(600);

/// The configuration that [`DpopLayer`](crate::DpopLayer)s enforce.
///
/// It is immutable and cheap to clone. Clones are the same configuration, with the same replay store and
/// the same caches.
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
#[derive(Clone, Debug)]
pub struct DpopConfig(pub(crate) Arc<Settings>);

/// The settings of a [`DpopConfig`].
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
    pub(crate) clock: Arc<dyn TimeSource>,
    pub(crate) policy: Policy,
}

impl DpopConfig {
    /// Returns a builder with the two settings that have no safe default: the origin that clients call,
    /// and the issuer whose tokens are accepted, or [several issuers](crate::token#several-issuers).
    ///
    /// All other settings have a default:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use std::time::Duration;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer)
    ///     .max_age(Duration::from_secs(30))
    ///     .leeway(Duration::from_secs(5))
    ///     .require_nonces()
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn builder(target: impl IntoTarget, tokens: impl IntoTokens) -> DpopConfigBuilder {
        DpopConfigBuilder {
            target: target.into(),
            client_certificates: None,
            tokens: tokens.into(),
            proof: ProofVerifier::default(),
            max_age: None,
            leeway: None,
            crypto: default_crypto(),
            replay: None,
            revocations: None,
            allows_reuse: false,
            nonces: None,
            nonces_everywhere: false,
            nonce_for_iat: false,
            clock: Arc::new(SystemClock),
            policy: Policy::strict().into_draft(),
        }
    }

    /// Fetches the keys of the issuer now, so that the first request does not wait for them.
    ///
    /// Usable keys are not fetched again. If it is time to refresh them, that begins in the background. The
    /// rules of [`Issuer::discover`](crate::Issuer::discover) apply: there is one attempt at a time, and no new
    /// attempt soon after a failed one. Nothing is fetched for keys of a file or a string.
    ///
    /// # Errors
    ///
    /// Returns a [`WarmUpError`] that names the issuer and the reason. A program that starts anyway
    /// fetches the keys when the first token arrives.
    ///
    /// # Cancel safety
    ///
    /// If the returned future is dropped, the attempt continues.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer).build()?;
    /// config.warm_up().await?;
    /// assert!(config.readiness().is_ready());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn warm_up(&self) -> Result<(), WarmUpError> {
        self.0.tokens.warm_up().await
    }

    /// Returns what is at hand of the issuer's keys, without fetching anything.
    ///
    /// Keys are fetched when a request needs them, so a service that gets no requests has none. For the readiness
    /// probe of an orchestrator, call [`warm_up`](Self::warm_up) before it.
    pub fn readiness(&self) -> Readiness {
        self.0.tokens.readiness()
    }
}

/// Converts a shared configuration.
impl From<Arc<DpopConfig>> for DpopConfig {
    fn from(config: Arc<DpopConfig>) -> Self {
        Self::clone(&config)
    }
}

impl Settings {
    /// Returns whether a proof needs a nonce. A policy that only reports gives out no nonces.
    pub(crate) fn needs_nonce(&self, policy: &Policy) -> bool {
        policy.mode() != Mode::ReportOnly && (self.nonces_everywhere || policy.requirements().nonce)
    }

    /// Returns the current nonce if this policy requires or offers nonces.
    pub(crate) fn current_nonce(&self, policy: &Policy) -> Option<String> {
        (self.needs_nonce(policy) || policy.requirements().offers_nonce)
            .then(|| self.nonces.current(self.clock.now(), &*self.crypto))
    }
}

#[cfg(feature = "josekit")]
pub(crate) fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(crate::crypto::Josekit))
}

#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
pub(crate) fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    Some(Arc::new(crate::crypto::AwsLcRs))
}

#[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
pub(crate) fn default_crypto() -> Option<Arc<dyn CryptoProvider>> {
    None
}

/// Builds a [`DpopConfig`]. Every setting has a safe default.
///
/// | setting | default | limits |
/// |---|---|---|
/// | [`algorithms`](Self::algorithms) | [`Algorithm::DEFAULT`] | what the crypto backend supports |
/// | [`max_age`](Self::max_age) | 60 seconds | 1 second to 10 minutes |
/// | [`leeway`](Self::leeway) | 10 seconds | 0 to 60 seconds |
/// | [`require_nonces`](Self::require_nonces) | off | |
/// | [`nonce_source`](Self::nonce_source) | [`StatelessNonces`] with a random secret | |
/// | [`accept_nonce_for_iat`](Self::accept_nonce_for_iat) | off | |
/// | [`replay_store`](Self::replay_store) | [`MemoryReplayStore`] | |
/// | [`revocation_list`](Self::revocation_list) | none | |
/// | [`crypto`](Self::crypto) | `Josekit`, or else `AwsLcRs` | |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
/// | [`policy`](Self::policy) | [`Policy::strict`] | |
/// | [`client_certificates`](Self::client_certificates) | those of connections to this server | |
#[derive(Debug)]
#[must_use]
pub struct DpopConfigBuilder {
    target: Target,
    client_certificates: Option<ClientCertificates>,
    tokens: Tokens,
    proof: ProofVerifier,
    max_age: Option<Setting>,
    leeway: Option<Setting>,
    crypto: Option<Arc<dyn CryptoProvider>>,
    replay: Option<Arc<dyn ReplayStore>>,
    revocations: Option<Arc<dyn RevocationList>>,
    allows_reuse: bool,
    nonces: Option<Arc<dyn NonceSource>>,
    nonces_everywhere: bool,
    nonce_for_iat: bool,
    clock: Arc<dyn TimeSource>,
    policy: Policy<Draft>,
}

impl DpopConfigBuilder {
    /// Sets the algorithms that proofs may be signed with, in order of preference.
    ///
    /// Challenges advertise them. Defaults to [`Algorithm::DEFAULT`].
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin, crypto::Algorithm};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer)
    ///     .algorithms([Algorithm::Ed25519, Algorithm::Es256])
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.proof = self.proof.algorithms(algorithms);
        self
    }

    /// Sets the maximum age of a proof, counted from its `iat` (RFC 9449 section 4.3 item 11): whole
    /// seconds, from one second to 10 minutes.
    ///
    /// The replay store remembers each proof for at least as long. Defaults to 60 seconds.
    #[doc(alias = "ttl")]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(Setting::Plain(max_age));
        self
    }

    /// Sets the maximum age of a proof as [`max_age`](Self::max_age) does, up to one day.
    ///
    /// # Security
    ///
    /// A copied proof that was not used yet is valid for this long. Each used proof takes a place in the
    /// replay store for as long (RFC 9449 section 11.1).
    pub fn danger_max_age(mut self, max_age: Duration) -> Self {
        self.max_age = Some(Setting::Danger(max_age));
        self
    }

    /// Sets how far a client's clock may be off in either direction: whole seconds, up to 60.
    ///
    /// Defaults to 10 seconds.
    #[doc(alias = "clock_skew")]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(Setting::Plain(leeway));
        self
    }

    /// Sets the leeway as [`leeway`](Self::leeway) does, up to one hour.
    ///
    /// # Security
    ///
    /// An attacker who can use a client's key for a moment can make proofs that are valid this much later.
    /// The FAPI 2.0 Security Profile requires servers to reject an `iat` that is more than 60 seconds
    /// ahead.
    pub fn danger_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = Some(Setting::Danger(leeway));
        self
    }

    /// Requires a nonce in every proof (RFC 9449 section 9).
    ///
    /// Clients get a nonce with a challenge. They get the next one with a response, before theirs expires.
    /// [`Policy::require_nonce`] does the same for single routes.
    pub fn require_nonces(mut self) -> Self {
        self.nonces_everywhere = true;
        self
    }

    /// Sets the source of the nonces that [`require_nonces`](Self::require_nonces) and
    /// [`Policy::require_nonce`] ask for. Defaults to [`StatelessNonces`] with a random per-process secret.
    /// Set a shared secret when you run more than one node, or clients are challenged in a loop.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::nonce::{NonceSecret, StatelessNonces};
    /// use dpop_tower::{DpopConfig, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// # let secret_of_all_nodes = [7; 32];
    /// let nonces = StatelessNonces::new(NonceSecret::new(secret_of_all_nodes)?);
    /// let config = DpopConfig::builder(origin, issuer).require_nonces().nonce_source(nonces).build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[doc(alias = "nonces")]
    pub fn nonce_source(mut self, nonces: impl NonceSource) -> Self {
        self.nonces = Some(Arc::new(nonces));
        self
    }

    /// Uses the time in a nonce in place of the client's clock (RFC 9449 section 11.1).
    ///
    /// If a proof has a valid nonce of this server, its `iat`, `nbf` and `exp` are not compared with the
    /// current time. Use it for clients whose clocks are off by more than the [`leeway`](Self::leeway),
    /// together with [`require_nonces`](Self::require_nonces) or [`Policy::require_nonce`]. Proofs without a
    /// nonce are checked as usual.
    ///
    /// Such a proof is valid for as long as its nonce, which is up to two periods of [`StatelessNonces`],
    /// and is remembered for as long. The age that a [policy](Policy::max_proof_age) allows is counted from
    /// the nonce.
    pub fn accept_nonce_for_iat(mut self) -> Self {
        self.nonce_for_iat = true;
        self
    }

    /// Sets the store that remembers used proofs.
    ///
    /// Configurations can share a store in an [`Arc`]. It then remembers each proof for the longest of
    /// their windows. Defaults to a [`MemoryReplayStore`] with its default limits.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin, replay::MemoryReplayStore};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use std::{num::NonZeroUsize, sync::Arc};
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// # let (other_origin, other_issuer) = (origin.clone(), TestIssuer::new().tokens());
    /// let capacity = NonZeroUsize::new(1_000_000).unwrap();
    /// let store = Arc::new(MemoryReplayStore::with_capacity(capacity));
    /// let api = DpopConfig::builder(origin, issuer).replay_store(Arc::clone(&store)).build()?;
    /// let admin = DpopConfig::builder(other_origin, other_issuer).replay_store(store).build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn replay_store(mut self, store: impl ReplayStore) -> Self {
        self.replay = Some(Arc::new(store));
        self
    }

    /// Sets the list of revoked tokens, which is asked about every token that is otherwise good; see
    /// [`revocation`](crate::revocation).
    ///
    /// Configurations can share a list in an [`Arc`]. There is none by default, and a token is valid until it
    /// expires.
    #[doc(alias = "denylist")]
    #[doc(alias = "blocklist")]
    pub fn revocation_list(mut self, list: impl RevocationList) -> Self {
        self.revocations = Some(Arc::new(list));
        self
    }

    /// Admits a proof any number of times while it is valid.
    ///
    /// Use it for clients that send one proof with several requests for the same method and URL. The
    /// replay store is not used, and the signature of a proof is verified once.
    ///
    /// # Security
    ///
    /// An attacker who obtains a request can repeat it until its proof is too old (RFC 9449 section 11.1).
    /// This takes at most [`max_age`](Self::max_age) and twice the [`leeway`](Self::leeway). Set both as
    /// short as your clients allow.
    pub fn danger_allow_reuse_within_lifetime(mut self) -> Self {
        self.allows_reuse = true;
        self
    }

    /// Sets the crypto backend.
    ///
    /// Defaults to `Josekit` if the feature `josekit` is enabled, and otherwise to `AwsLcRs`.
    pub fn crypto(mut self, backend: impl CryptoProvider) -> Self {
        self.crypto = Some(Arc::new(backend));
        self
    }

    /// Sets the clock that proofs and tokens are checked by. Defaults to [`SystemClock`], the clock of the
    /// operating system.
    ///
    /// Tests use a `ManualClock`:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, PublicOrigin, clock::ManualClock};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let clock = ManualClock::starting_now();
    /// let config = DpopConfig::builder(origin, issuer).clock(clock.clone()).build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the policy of layers without a policy of their own, and of requests that match no pattern of a
    /// [`PolicyTable`](crate::PolicyTable).
    ///
    /// Defaults to [`Policy::strict`]. A draft is checked by [`build`](Self::build):
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
    /// let config = DpopConfig::builder(origin, issuer)
    ///     .policy(Policy::strict().require_scope("api"))
    ///     .build()?;
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn policy<S>(mut self, policy: Policy<S>) -> Self {
        self.policy = policy.into_draft();
        self
    }

    /// Sets the proxies that report the certificates of their clients, and the header they use.
    ///
    /// Defaults to no proxy: a client's certificate is the
    /// [`ClientCertificate`](crate::certificate::ClientCertificate) in the request's extensions, and headers
    /// are ignored.
    pub fn client_certificates(mut self, certificates: ClientCertificates) -> Self {
        self.client_certificates = Some(certificates);
        self
    }

    /// Checks the settings and builds the configuration.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the setting if a value is invalid, or if two settings
    /// contradict each other. It also fails if no crypto backend is enabled or set.
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
        let issuers = self.tokens.issuers();
        if let Some(issuers) = &issuers
            && !policy.requirements().accepts_any_issuer(issuers)
        {
            let message = format!("the policy ({policy}) accepts none of the configured issuers");
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
            let window = proof.max_age.saturating_add(proof.leeway);
            // A proof may be used here by its nonce, and elsewhere by an `iat` that is this much older.
            UsedProofs::new(store, window.saturating_add(life.unwrap_or_default()))
        };
        if self.clock.now() == UnixTime::END {
            tracing::warn!(
                "the clock shows the end of time, as `SystemClock` does if that of the system cannot be \
                 right: every token and every proof counts as expired until it is set"
            );
        }
        Ok(DpopConfig(Arc::new(Settings {
            target: self.target.0,
            client_certificates: self.client_certificates,
            tokens,
            issuers,
            proof,
            crypto,
            proof_keys: Cache::new(PROOF_KEYS),
            replay,
            revocations: self.revocations,
            seen_proofs: self.allows_reuse.then(|| SeenProofs::new(SEEN_PROOFS)),
            nonces,
            nonces_everywhere: self.nonces_everywhere,
            nonce_for_iat: self.nonce_for_iat,
            clock: self.clock,
            policy,
        })))
    }
}
