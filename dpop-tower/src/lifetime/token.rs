use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::revoked::{INTERVAL, Inquiry};
use crate::{
    clock::UnixTime,
    token::TokenErrorKind,
    verifier::{Admitted, admitted::Limit},
};

/// Limits a sleep, since the clock may be set or the machine may be suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The clock has whole seconds, so it is read more often in the last second.
const LAST_SECOND: Duration = Duration::from_millis(100);

/// The remaining time of the token that a request was admitted with.
///
/// Use it for a web socket, or for anything else that takes over the connection or runs in the background.
/// The layer cannot end these. With the feature `axum` it is an extractor. With tonic, use
/// `RequestExt::token_lifetime`.
///
/// The handler of a web socket waits for the next message and for the end of the token:
///
/// ```
/// use dpop_tower::lifetime::TokenLifetime;
/// # trait Socket { async fn recv(&mut self) -> Option<String>; async fn close(self, code: u16); }
///
/// # #[allow(dead_code)]
/// async fn talk(mut socket: impl Socket, lifetime: TokenLifetime) {
///     // Created once, since it is awaited in every iteration.
///     let mut ended = std::pin::pin!(lifetime.ended());
///     loop {
///         tokio::select! {
///             () = &mut ended => return socket.close(1008).await,
///             message = socket.recv() => match message {
///                 Some(message) => println!("{message}"),
///                 None => return,
///             },
///         }
///     }
/// }
/// ```
///
/// In any other service, read it from the extensions of the request:
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use dpop_tower::{
///     DpopConfig, DpopLayer, PublicOrigin,
///     clock::ManualClock,
///     lifetime::TokenLifetime,
///     test_util::{TestClient, TestIssuer},
/// };
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// let clock = ManualClock::starting_now();
/// let issuer = TestIssuer::new().clock(clock.clone());
/// let client = TestClient::new().clock(clock.clone());
/// let origin = PublicOrigin::new("https://api.example.com")?;
/// let config = DpopConfig::builder(origin, issuer.tokens()).clock(clock.clone()).build()?;
/// let service = ServiceBuilder::new()
///     .layer(DpopLayer::new(config).end_streams_at_expiry())
///     .service(service_fn(move |request: Request<()>| {
///         let (lifetime, clock) = (TokenLifetime::of(request.extensions()), clock.clone());
///         async move {
///             let lifetime = lifetime.expect("a DpopLayer is in front of the service");
///             assert!(!lifetime.is_over());
///             clock.advance(Duration::from_secs(60));
///             lifetime.ended().await;
///             Ok::<_, std::io::Error>(Response::new(()))
///         }
///     }));
///
/// let minute = Duration::from_secs(60);
/// let token = issuer.token().bound_to(&client).expires_in(minute).mint();
/// service.oneshot(client.get("https://api.example.com/events", &token)).await?;
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
#[derive(Clone)]
pub struct TokenLifetime {
    /// `None` if streams do not end.
    limit: Option<Limit>,
}

impl TokenLifetime {
    /// Returns the lifetime of a request that a [`DpopLayer`](crate::DpopLayer) has admitted.
    ///
    /// Returns `None` if there is no layer. The lifetime never ends if the layer or its policy does not
    /// end streams.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions
            .get::<Admitted>()
            .map(|admitted| Self::new(admitted.limit()))
    }

    pub(crate) const fn new(limit: Option<Limit>) -> Self {
        Self { limit }
    }

    /// Returns whether there is a revocation list, which may end the lifetime before the token expires.
    pub(super) fn can_be_revoked(&self) -> bool {
        (self.limit.as_ref()).is_some_and(|limit| limit.revocations().is_some())
    }

    /// Returns the `exp` of the token, and `None` if the lifetime never ends.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.limit.as_ref().map(Limit::expires_at)
    }

    /// Returns whether the token has expired. A revocation list is not asked.
    pub fn is_over(&self) -> bool {
        self.remaining().is_some_and(|remaining| remaining <= 0)
    }

    /// Returns a future that completes when the token has expired, or when it is revoked.
    ///
    /// It is at most 100 milliseconds late after the expiry, or 30 seconds if somebody sets the clock. If the
    /// configuration has a [revocation list](crate::DpopConfigBuilder::revocation_list), it is asked every five
    /// seconds. If it gives no answer six times in a row, the future completes as well.
    ///
    /// # Panics
    ///
    /// The future panics if it is polled outside a tokio runtime, or if the runtime has no timer.
    pub fn ended(&self) -> Ended {
        Ended {
            lifetime: self.clone(),
            inquiry: Inquiry::default(),
            sleep: None,
        }
    }

    /// Returns the remaining time in seconds.
    fn remaining(&self) -> Option<i64> {
        let limit = self.limit.as_ref()?;
        Some(limit.expires_at().seconds_since(limit.now()))
    }

    /// Returns how long to sleep before the clock is read again, and `None` if the token has expired.
    fn pause(remaining: i64) -> Option<Duration> {
        match u64::try_from(remaining) {
            Err(_) | Ok(0) => None,
            Ok(1) => Some(LAST_SECOND),
            Ok(secs) => Some(Duration::from_secs(secs - 1).min(LONGEST_SLEEP)),
        }
    }
}

impl fmt::Debug for TokenLifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenLifetime")
            .field("expires_at", &self.expires_at())
            .finish()
    }
}

pin_project! {
    /// The future of [`TokenLifetime::ended`].
    ///
    /// It can be polled again after it has completed, and then completes at once.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped at any time. A new one continues where it stopped.
    pub struct Ended {
        lifetime: TokenLifetime,
        inquiry: Inquiry,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Ended {
    /// Returns why the stream ends.
    pub(super) const fn why(&self) -> TokenErrorKind {
        match self.inquiry.outcome() {
            Some(outcome) => outcome,
            None => TokenErrorKind::Expired,
        }
    }
}

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ended")
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl Future for Ended {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let Some(remaining) = this.lifetime.remaining() else {
                return Poll::Pending;
            };
            let Some(mut pause) = TokenLifetime::pause(remaining) else {
                return Poll::Ready(());
            };
            if this.inquiry.poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
                if let Some(limit) = &this.lifetime.limit
                    && pause > LAST_SECOND
                {
                    this.inquiry.ask(limit);
                }
            }
            if this.lifetime.can_be_revoked() {
                pause = pause.min(INTERVAL);
            }
            this.sleep.set(Some(sleep(pause)));
        }
    }
}
