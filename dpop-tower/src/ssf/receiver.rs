use std::{
    collections::HashSet,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::{answer::Answer, delivery::Shared, transmitter::Transmitter};
use crate::{
    cache::Cache,
    clock::{SystemClock, TimeSource},
    crypto::{CryptoProvider, check_hashes, default_provider},
    error::{ConfigError, ConfigErrorKind},
    revocation::RevocationSink,
};

/// How many SETs are known to have come.
const KNOWN_SETS: usize = 10_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The longest lifetime of tokens that can be set.
const LONGEST_LIFETIME: Duration = DAY.saturating_mul(366);

/// A service that receives security events; see the [module](crate::ssf).
///
/// Clones are the same receiver. The service is always ready.
#[derive(Clone)]
pub struct EventReceiver(Arc<Shared>);

/// Builds an [`EventReceiver`].
#[must_use]
pub struct EventReceiverBuilder {
    transmitters: Vec<Transmitter>,
    sink: Arc<dyn RevocationSink>,
    token_lifetime: Duration,
    crypto: Option<Arc<dyn CryptoProvider>>,
    clock: Arc<dyn TimeSource>,
}

impl EventReceiver {
    /// Receives the events of these transmitters, and adds what they revoke to `list`.
    ///
    /// The `iss` of a SET selects the transmitter by which everything is verified.
    pub fn builder(
        transmitters: impl IntoIterator<Item = Transmitter>,
        list: impl RevocationSink,
    ) -> EventReceiverBuilder {
        EventReceiverBuilder {
            transmitters: transmitters.into_iter().collect(),
            sink: Arc::new(list),
            token_lifetime: DAY,
            crypto: default_provider(),
            clock: Arc::new(SystemClock),
        }
    }
}

impl EventReceiverBuilder {
    /// Sets the longest lifetime of the access tokens: from one second to 366 days. Defaults to one day.
    ///
    /// An entry stays on the list for this long. If a token lives longer, **it works again afterwards**. An event that
    /// is older than this has no effect, because all tokens from before it have expired.
    pub const fn token_lifetime(mut self, lifetime: Duration) -> Self {
        self.token_lifetime = lifetime;
        self
    }

    /// Sets the crypto backend. Defaults to that of [`DpopConfig`](crate::DpopConfigBuilder::crypto).
    pub fn crypto(mut self, crypto: impl CryptoProvider) -> Self {
        self.crypto = Some(Arc::new(crypto));
        self
    }

    /// Sets the clock. Use that of the [configuration](crate::DpopConfigBuilder::clock). Defaults to [`SystemClock`].
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Checks the settings and makes the receiver. It fetches nothing.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] of the kind [`SecurityEvents`](ConfigErrorKind::SecurityEvents) if there is no
    /// transmitter, if two have the same issuer, or if a setting is missing or out of bounds. Other kinds are about keys,
    /// algorithms and the crypto backend. [`ConfigError::issuer`] names the transmitter.
    pub fn build(self) -> Result<EventReceiver, ConfigError> {
        let rejected =
            |message: &'static str| ConfigError::new(ConfigErrorKind::SecurityEvents, message);
        let Some(crypto) = self.crypto else {
            let message = "no crypto backend: enable the feature `josekit` or `aws-lc-rs`, or give one to \
                 `EventReceiverBuilder::crypto`";
            return Err(ConfigError::new(ConfigErrorKind::Crypto, message));
        };
        check_hashes(&*crypto)?;
        if self.transmitters.is_empty() {
            return Err(rejected("there is no transmitter of security events"));
        }
        if !(Duration::from_secs(1)..=LONGEST_LIFETIME).contains(&self.token_lifetime) {
            return Err(rejected(
                "`EventReceiverBuilder::token_lifetime` is not between one second and 366 days",
            ));
        }
        let senders = (self.transmitters.into_iter())
            .map(|transmitter| transmitter.build(&crypto, &self.clock))
            .collect::<Result<Vec<_>, _>>()?;
        let mut issuers = HashSet::new();
        for sender in &senders {
            if !issuers.insert(&*sender.issuer) {
                let error = rejected("the transmitter is given twice");
                return Err(error.with_issuer(&*sender.issuer));
            }
        }
        crate::telemetry::describe();
        Ok(EventReceiver(Arc::new(Shared {
            senders,
            sink: self.sink,
            known: Cache::new(KNOWN_SETS),
            token_lifetime: self.token_lifetime,
            crypto,
            clock: self.clock,
        })))
    }
}

impl<B> Service<Request<B>> for EventReceiver
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Send,
{
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Receiving;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Receiving {
        let Self(shared) = self;
        let shared = Arc::clone(shared);
        Receiving(Box::pin(async move {
            let answer = match shared.receive(request).await {
                Ok(outcome) => Answer::Accepted(outcome),
                Err(answer) => {
                    tracing::debug!(?answer, "a request with a security event was rejected");
                    answer
                }
            };
            answer.into_response()
        }))
    }
}

/// The future of an [`EventReceiver`].
///
/// It needs a tokio runtime with time enabled, and with I/O if keys are fetched.
///
/// # Cancel safety
///
/// If it is dropped, the SET is not acknowledged, and the transmitter sends it again.
#[must_use]
pub struct Receiving(Pin<Box<dyn Future<Output = Response<String>> + Send>>);

impl Future for Receiving {
    type Output = Result<Response<String>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").finish_non_exhaustive()
    }
}

impl fmt::Debug for EventReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers = self.0.senders.iter().map(|sender| &sender.issuer);
        f.debug_struct("EventReceiver")
            .field("transmitters", &issuers.collect::<Vec<_>>())
            .field("list", &self.0.sink)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for EventReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventReceiverBuilder")
            .field("transmitters", &self.transmitters)
            .field("list", &self.sink)
            .finish_non_exhaustive()
    }
}
