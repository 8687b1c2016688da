use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Extensions;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use crate::{
    clock::{TimeSource as _, UnixTime},
    config::Settings,
    verifier::Admitted,
};

/// The clock may be set, or the machine may have slept.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// The clock shows whole seconds, so the last one is divided.
const LAST_SECOND: Duration = Duration::from_millis(100);

/// How long the token that a request was admitted with is good for: what a web socket, and whatever else
/// takes over the connection, has to watch by itself.
///
/// With the `axum` feature it is an extractor. With a web socket of axum:
///
/// ```
/// use dpop_tower::lifetime::TokenLifetime;
/// # trait Socket { async fn recv(&mut self) -> Option<String>; async fn close(self, code: u16); }
///
/// # #[allow(dead_code)]
/// async fn talk(mut socket: impl Socket, lifetime: TokenLifetime) {
///     // To be awaited again and again, so it is made once.
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
#[derive(Clone)]
pub struct TokenLifetime {
    /// `None` if nothing is ended.
    limit: Option<(Arc<Settings>, UnixTime)>,
}

impl TokenLifetime {
    /// That of a request which a [`DpopLayer`](crate::DpopLayer) has passed on; `None` if there was no
    /// layer.
    ///
    /// It never ends where the policy ends no streams.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions
            .get::<Admitted>()
            .map(|admitted| Self::new(admitted.limit()))
    }

    pub(crate) const fn new(limit: Option<(Arc<Settings>, UnixTime)>) -> Self {
        Self { limit }
    }

    /// Until when; `None` if it never ends.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.limit.as_ref().map(|(_, expires_at)| *expires_at)
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.remaining().is_some_and(|remaining| remaining <= 0)
    }

    /// Completes when it has ended.
    ///
    /// # Panics
    ///
    /// When it is polled outside of a tokio runtime, or if that has no timer.
    pub fn ended(&self) -> Ended {
        Ended {
            lifetime: self.clone(),
            sleep: None,
        }
    }

    /// In seconds.
    fn remaining(&self) -> Option<i64> {
        let (config, expires_at) = self.limit.as_ref()?;
        Some(expires_at.seconds_since(config.clock.now()))
    }

    /// For how long nobody has to look; `None` if it has ended.
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
    /// The future of [`TokenLifetime::ended`]. After it has completed it does so again.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any time, and another be made.
    pub struct Ended {
        lifetime: TokenLifetime,
        #[pin]
        sleep: Option<Sleep>,
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
            let Some(pause) = TokenLifetime::pause(remaining) else {
                return Poll::Ready(());
            };
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
            }
            this.sleep.set(Some(sleep(pause)));
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
