use crate::{clock::UnixTime, crypto::CryptoProvider, jwk::Thumbprint, replay::Incarnation};

/// What a [`NonceSource`](super::NonceSource) makes and checks nonces with.
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use dpop_tower::{
///     clock::UnixTime,
///     crypto::Josekit,
///     nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces},
///     replay::Incarnation,
/// };
///
/// let nonces = StatelessNonces::new(NonceSecret::random()?);
/// let now = UnixTime::from_secs(1_700_000_000);
/// let before = NonceContext::new(now, &Josekit).incarnation(Some(Incarnation::random(now)?));
/// let after = NonceContext::new(now, &Josekit).incarnation(Some(Incarnation::random(now)?));
///
/// let nonce = nonces.current(&before);
/// assert_eq!(nonces.check(&nonce, &before), NonceStatus::Current);
/// assert_eq!(nonces.check(&nonce, &after), NonceStatus::Unknown);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NonceContext<'a> {
    /// The current time.
    pub now: UnixTime,
    /// The backend of the configuration.
    pub crypto: &'a dyn CryptoProvider,
    /// The incarnation of the replay store, if the store has a fence.
    pub incarnation: Option<Incarnation>,
    /// The thumbprint of the key in the proof, which may not have signed it, if there is one and the source
    /// [binds](super::NonceSource::binds_to_key) nonces to keys.
    pub thumbprint: Option<Thumbprint>,
}

impl<'a> NonceContext<'a> {
    /// Describes a check at `now`, without an incarnation.
    pub const fn new(now: UnixTime, crypto: &'a dyn CryptoProvider) -> Self {
        Self {
            now,
            crypto,
            incarnation: None,
            thumbprint: None,
        }
    }

    /// Sets the incarnation of the replay store.
    #[must_use]
    pub const fn incarnation(mut self, incarnation: Option<Incarnation>) -> Self {
        self.incarnation = incarnation;
        self
    }

    /// Sets the thumbprint of the key in the proof.
    #[must_use]
    pub const fn thumbprint(mut self, thumbprint: Option<Thumbprint>) -> Self {
        self.thumbprint = thumbprint;
        self
    }
}
