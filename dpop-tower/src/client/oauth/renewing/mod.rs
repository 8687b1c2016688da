//! A source of tokens that renews them.
//!
//! | module | responsibility |
//! |---|---|
//! | `state` | What is at hand, and whether it is used, renewed or waited for. A pure function of times. |
//! | `renewal` | One renewal: the requests to the server and to the store. |

mod renewal;
mod state;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::Instant};
use tracing::warn;

use self::{
    renewal::{Grant, Renewal},
    state::{Held, Next, State},
};
use super::{OAuthError, OAuthErrorKind, TokenClient, TokenRequest, TokenSet, TokenStore};
use crate::{
    client::{AccessToken, ClientError, TokenSource},
    clock::{SystemClock, TimeSource as _},
    future::MaybeReady,
};

const MARGIN: Duration = Duration::from_secs(60);

type Renewed = Result<AccessToken, Arc<OAuthError>>;

/// A [`TokenSource`] that obtains tokens and renews them before they expire.
///
/// A request that finds a good token is never delayed: the renewal runs in a task of its own, and requests use the
/// old token until then. Requests without a good token wait for one renewal together, and one that is dropped takes
/// only itself away. After a failure, the next attempt waits for 1 second, then 2, and at most 60.
///
/// Clones share the tokens.
///
/// # Refresh tokens
///
/// Many servers rotate refresh tokens: with each answer, the old one dies. New tokens are
/// [saved](RenewingTokensBuilder::store) before any request uses them. If the program ends between the
/// server's answer and the save, the store still has the old refresh token, and the next run tries it:
///
/// - A server that accepts a refresh token again for some time, as RFC 9700 section 4.14.2 allows in a similar way for
///   network failures, answers, and nothing is lost.
/// - Another server rejects it with `invalid_grant`, and the user has to log in again; see
///   [`OAuthError::requires_login`]. No client can prevent that.
///
/// If saving fails, requests use the new tokens, which stay in memory, and saving is tried again before each request to
/// the server. A failure is logged at `warn`.
///
/// Several programs can share a store: each loads it before it uses a refresh token, and once more if the server
/// rejects that one, since another program may have rotated it.
///
/// # Example
///
/// ```no_run
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
/// # async fn example(client: dpop_tower::client::oauth::TokenClient) -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::client::{TokenSource, oauth::{FileTokenStore, RenewingTokens, TokenRequest}};
///
/// // A service of its own:
/// let request = TokenRequest::new().scope("stock:read");
/// let tokens = RenewingTokens::client_credentials(client.clone(), request).build();
/// let token = tokens.token().await?;
///
/// // For a user, who has logged in with `dpop token --out tokens.json`:
/// let store = FileTokenStore::new("tokens.json");
/// let tokens = RenewingTokens::stored(client, store).build();
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RenewingTokens(Arc<Shared>);

struct Shared {
    renewal: Renewal,
    margin: Duration,
    state: Mutex<State<watch::Receiver<Option<Renewed>>>>,
}

impl RenewingTokens {
    /// Obtains tokens for the client itself, with the grant `client_credentials`.
    pub fn client_credentials(client: TokenClient, request: TokenRequest) -> RenewingTokensBuilder {
        RenewingTokensBuilder::of(
            Renewal::new(client, Grant::ClientCredentials, request),
            None,
        )
    }

    /// Starts with the tokens of a user who has just logged in. Give a [store](RenewingTokensBuilder::store) unless
    /// the login is for this run of the program only.
    pub fn refreshing(client: TokenClient, tokens: TokenSet) -> RenewingTokensBuilder {
        let renewal = Renewal::new(client, Grant::Refresh, TokenRequest::new());
        RenewingTokensBuilder::of(renewal, Some(tokens))
    }

    /// Starts with the tokens in a store, which are loaded for the first request.
    pub fn stored(client: TokenClient, store: impl TokenStore) -> RenewingTokensBuilder {
        let renewal = Renewal::new(client, Grant::Refresh, TokenRequest::new());
        RenewingTokensBuilder::of(renewal, None).store(store)
    }
}

/// [`RenewingTokens`] that are being set up.
#[must_use]
pub struct RenewingTokensBuilder {
    renewal: Renewal,
    tokens: Option<TokenSet>,
    margin: Duration,
}

impl RenewingTokensBuilder {
    fn of(renewal: Renewal, tokens: Option<TokenSet>) -> Self {
        Self {
            renewal,
            tokens,
            margin: MARGIN,
        }
    }

    /// Sets the store, into which new tokens are saved before they are used. By default, tokens are in memory only.
    pub fn store(mut self, store: impl TokenStore) -> Self {
        self.renewal.set_store(Arc::new(store));
        self
    }

    /// Sets how long before its expiry a token is renewed. Defaults to 60 seconds. A token with a lifetime of less than
    /// twice that is renewed after half its lifetime.
    pub const fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Finishes the source. Nothing is fetched yet.
    pub fn build(self) -> RenewingTokens {
        let mut state = State::default();
        if let Some(tokens) = self.tokens {
            self.renewal.start_with(&tokens);
            state.hold(held(&tokens, self.margin));
        }
        RenewingTokens(Arc::new(Shared {
            renewal: self.renewal,
            margin: self.margin,
            state: Mutex::new(state),
        }))
    }
}

impl fmt::Debug for RenewingTokensBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewingTokensBuilder")
            .field("renewal", &self.renewal)
            .field("margin", &self.margin)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for RenewingTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RenewingTokens")
            .field("renewal", &self.0.renewal)
            .field("margin", &self.0.margin)
            .finish_non_exhaustive()
    }
}

/// Converts the time of expiry to the monotonic clock.
fn held(tokens: &TokenSet, margin: Duration) -> Held {
    let (now, wall) = (Instant::now(), SystemClock.now());
    let lifetime = tokens.expires_at().map(|at| {
        let left = at.seconds_since(wall).clamp(0, i64::from(u32::MAX));
        Duration::from_secs(left.unsigned_abs())
    });
    Held::new(tokens.access_token().clone(), now, lifetime, margin)
}

impl TokenSource for RenewingTokens {
    fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>> {
        let mut state = self.0.state();
        match state.next(Instant::now()) {
            Next::Use(token) => MaybeReady::ready(Ok(token)),
            Next::UseAndRenew(token) => {
                if let Err(error) = self.renew(&mut state) {
                    warn!("a token is not renewed: {error}");
                }
                MaybeReady::ready(Ok(token))
            }
            Next::Wait(renewal) => wait(renewal),
            Next::Renew => match self.renew(&mut state) {
                Ok(renewal) => wait(renewal),
                Err(error) => MaybeReady::ready(Err(error)),
            },
            Next::Fail(error) => MaybeReady::ready(Err(ClientError::no_token(error))),
        }
    }

    fn rejected(&self, token: &AccessToken) {
        self.0.state().reject(token, Instant::now());
    }
}

impl RenewingTokens {
    /// Starts a renewal in a task of its own, which no caller can end.
    fn renew(
        &self,
        state: &mut State<watch::Receiver<Option<Renewed>>>,
    ) -> Result<watch::Receiver<Option<Renewed>>, ClientError> {
        let runtime = Handle::try_current().map_err(ClientError::no_token)?;
        let (done, renewal) = watch::channel(None);
        state.begin(renewal.clone());
        let shared = Arc::clone(&self.0);
        runtime.spawn(async move {
            let renewed = shared.renewal.run().await.map_err(Arc::new);
            let renewed = shared.finish(renewed);
            // Fails if nobody is waiting.
            let _ = done.send(Some(renewed));
        });
        Ok(renewal)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State<watch::Receiver<Option<Renewed>>>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, renewed: Result<TokenSet, Arc<OAuthError>>) -> Renewed {
        let now = Instant::now();
        let mut state = self.state();
        match renewed {
            Ok(tokens) => {
                state.hold(held(&tokens, self.margin));
                Ok(tokens.access_token().clone())
            }
            Err(error) => {
                warn!("the renewal of a token failed: {error}");
                state.fail(Arc::clone(&error), now);
                Err(error)
            }
        }
    }
}

impl state::InFlight for watch::Receiver<Option<Renewed>> {
    /// A task ends without a result if its runtime ends.
    fn is_running(&self) -> bool {
        self.borrow().is_none() && self.has_changed().is_ok()
    }
}

fn wait(
    mut renewal: watch::Receiver<Option<Renewed>>,
) -> MaybeReady<Result<AccessToken, ClientError>> {
    MaybeReady::pending(async move {
        let renewed = match renewal.wait_for(Option::is_some).await {
            Ok(renewed) => renewed.clone(),
            Err(_) => None,
        };
        renewed
            .unwrap_or_else(|| {
                let message = "the task that renews the token has ended";
                Err(Arc::new(OAuthError::new(
                    OAuthErrorKind::Unreachable,
                    message,
                )))
            })
            .map_err(ClientError::no_token)
    })
}
