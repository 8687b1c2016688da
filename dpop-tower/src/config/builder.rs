use std::{
    any::{type_name, type_name_of_val},
    sync::Arc,
    time::Duration,
};

use super::{ResourceMetadata, profile::Profile, settings::Names};
use crate::{
    clock::{SystemClock, TimeSource},
    crypto::{Algorithm, CryptoProvider, default_provider},
    nonce::NonceSource,
    policy::{Draft, Policy},
    proof::{ProofVerifier, Setting},
    replay::{MemoryReplayStore, ReplayStore},
    revocation::RevocationList,
    target::{ClientCertificates, Target},
    token::Tokens,
};

/// Builds a [`DpopConfig`](super::DpopConfig). Every setting has a safe default.
///
/// | setting | default | limits |
/// |---|---|---|
/// | [`algorithms`](Self::algorithms) | [`Algorithm::DEFAULT`] | what the crypto backend supports |
/// | [`max_age`](Self::max_age) | 60 seconds | 1 second to 10 minutes |
/// | [`leeway`](Self::leeway) | 10 seconds | 0 to 60 seconds |
/// | [`require_nonces`](Self::require_nonces) | off | |
/// | [`offer_nonces`](Self::offer_nonces) | off | |
/// | [`nonce_source`](Self::nonce_source) | [`StatelessNonces`](crate::nonce::StatelessNonces) with a random secret | |
/// | [`accept_nonce_for_iat`](Self::accept_nonce_for_iat) | off | |
/// | [`replay_store`](Self::replay_store) | [`MemoryReplayStore`] | |
/// | [`revocation_list`](Self::revocation_list) | none | |
/// | [`crypto`](Self::crypto) | `Josekit`, or else `AwsLcRs` | |
/// | [`clock`](Self::clock) | [`SystemClock`] | |
/// | [`policy`](Self::policy) | [`Policy::strict`] | |
/// | [`client_certificates`](Self::client_certificates) | those of connections to this server | |
/// | [`resource_metadata`](Self::resource_metadata) | none | |
#[derive(Debug)]
#[must_use]
pub struct DpopConfigBuilder {
    pub(super) target: Target,
    pub(super) client_certificates: Option<ClientCertificates>,
    pub(super) tokens: Tokens,
    pub(super) proof: ProofVerifier,
    pub(super) max_age: Option<Setting>,
    pub(super) leeway: Option<Setting>,
    pub(super) crypto: Option<Arc<dyn CryptoProvider>>,
    pub(super) replay: Option<Arc<dyn ReplayStore>>,
    pub(super) names: Names,
    pub(super) revocations: Option<Arc<dyn RevocationList>>,
    pub(super) allows_reuse: bool,
    pub(super) nonces: Option<Arc<dyn NonceSource>>,
    pub(super) nonces_everywhere: bool,
    pub(super) offers_nonces: bool,
    pub(super) nonce_for_iat: bool,
    pub(super) clock: Arc<dyn TimeSource>,
    pub(super) policy: Policy<Draft>,
    pub(super) everywhere: Option<Policy<Draft>>,
    pub(super) profile: Option<Profile>,
    pub(super) metadata: Option<ResourceMetadata>,
}

impl DpopConfigBuilder {
    pub(super) fn new(target: Target, tokens: Tokens) -> Self {
        Self {
            target,
            client_certificates: None,
            tokens,
            proof: ProofVerifier::default(),
            max_age: None,
            leeway: None,
            crypto: default_provider(),
            replay: None,
            revocations: None,
            allows_reuse: false,
            nonces: None,
            nonces_everywhere: false,
            offers_nonces: false,
            nonce_for_iat: false,
            clock: Arc::new(SystemClock),
            policy: Policy::strict().into_draft(),
            everywhere: None,
            profile: None,
            metadata: None,
            names: Names {
                replay: type_name::<MemoryReplayStore>(),
                nonces: None,
                revocations: None,
                crypto: DEFAULT_CRYPTO,
                clock: type_name::<SystemClock>(),
            },
        }
    }

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

    /// Sends a nonce with every response, also of routes that need none.
    ///
    /// Use it for clients that expect one each time. Without it, clients that need a nonce get the next one
    /// before theirs expires. [`Policy::offer_nonce`] does the same for single routes.
    pub fn offer_nonces(mut self) -> Self {
        self.offers_nonces = true;
        self
    }

    /// Sets the source of the nonces that [`require_nonces`](Self::require_nonces) and
    /// [`Policy::require_nonce`] ask for. Defaults to
    /// [`StatelessNonces`](crate::nonce::StatelessNonces) with a random per-process secret.
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
        self.names.nonces = Some(type_name_of_val(&nonces));
        self.nonces = Some(Arc::new(nonces));
        self
    }

    /// Uses the time in a nonce in place of the client's clock (RFC 9449 section 11.1).
    ///
    /// If a proof has a valid nonce of this server, its `iat`, `nbf` and `exp` are not compared with the
    /// current time. Use it for clients whose clocks are off by more than the [`leeway`](Self::leeway),
    /// together with [`require_nonces`](Self::require_nonces) or [`Policy::require_nonce`]. Proofs without a
    /// nonce are checked as usual. A proof with any other nonce is rejected with `use_dpop_nonce`, also where no
    /// nonce is required, since it may have been used by its nonce when its `iat` was still ahead. This applies to
    /// every configuration in the process that shares the replay store. If several processes share it, set this in
    /// all of them.
    ///
    /// Such a proof is valid for as long as its nonce, which is up to two periods of
    /// [`StatelessNonces`](crate::nonce::StatelessNonces),
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
        self.names.replay = type_name_of_val(&store);
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
        self.names.revocations = Some(type_name_of_val(&list));
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
        self.names.crypto = type_name_of_val(&backend);
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
        self.names.clock = type_name_of_val(&clock);
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

    /// Sets the metadata of the protected resource (RFC 9728), which all challenges then name in
    /// `resource_metadata`.
    ///
    /// The document has to be served as well: see [`metadata`](crate::metadata). There is none by default.
    pub fn resource_metadata(mut self, metadata: ResourceMetadata) -> Self {
        self.metadata = Some(metadata);
        self
    }
}

#[cfg(feature = "josekit")]
const DEFAULT_CRYPTO: &str = "Josekit";
#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
const DEFAULT_CRYPTO: &str = "AwsLcRs";
#[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
const DEFAULT_CRYPTO: &str = "none";
