use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::warn;

use crate::{
    client::oauth::{
        OAuthError, OAuthErrorKind, RefreshToken, TokenClient, TokenRequest, TokenSet, TokenStore,
    },
    clock::{SystemClock, TimeSource as _},
};

/// The least lifetime of a token in the store that is used without asking the server.
const WORTH_USING: Duration = Duration::from_secs(30);

/// How new tokens are obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grant {
    ClientCredentials,
    Refresh,
}

/// Obtains new tokens, one after the other.
pub(super) struct Renewal {
    client: TokenClient,
    grant: Grant,
    request: TokenRequest,
    store: Option<Arc<dyn TokenStore>>,
    newest: Mutex<Newest>,
}

/// What the last renewal left behind.
#[derive(Default)]
struct Newest {
    tokens: Option<TokenSet>,
    /// Whether the store does not have them.
    is_unsaved: bool,
    /// The refresh token that the server rejected, which is not sent again.
    rejected: Option<RefreshToken>,
}

impl Renewal {
    pub(super) fn new(client: TokenClient, grant: Grant, request: TokenRequest) -> Self {
        Self {
            client,
            grant,
            request,
            store: None,
            newest: Mutex::default(),
        }
    }

    pub(super) fn set_store(&mut self, store: Arc<dyn TokenStore>) {
        self.store = Some(store);
    }

    /// Takes the tokens of a login, which are saved with the first renewal at the latest.
    pub(super) fn start_with(&self, tokens: &TokenSet) {
        let mut newest = self.newest();
        newest.tokens = Some(tokens.clone());
        newest.is_unsaved = true;
    }

    /// Obtains new tokens and saves them.
    pub(super) async fn run(&self) -> Result<TokenSet, OAuthError> {
        match self.grant {
            Grant::ClientCredentials => self.client.client_credentials(&self.request).await,
            Grant::Refresh => self.refresh().await,
        }
    }

    async fn refresh(&self) -> Result<TokenSet, OAuthError> {
        self.save_again().await;
        let tokens = self.newest_tokens().await?;
        if !self.was_used(&tokens) && is_worth_using(&tokens) {
            self.newest().tokens = Some(tokens.clone());
            return Ok(tokens);
        }
        match self.refresh_with(&tokens).await {
            Err(error) if error.requires_login() => {
                // Another program may have rotated the refresh token between the load and the request.
                let others = self
                    .load()
                    .await?
                    .filter(|others| secret(others).is_some() && secret(others) != secret(&tokens));
                match others {
                    Some(others) => self.refresh_with(&others).await,
                    None => Err(error),
                }
            }
            refreshed => refreshed,
        }
    }

    async fn refresh_with(&self, tokens: &TokenSet) -> Result<TokenSet, OAuthError> {
        let Some(token) = tokens.refresh_token() else {
            return Err(login("there is no refresh token"));
        };
        let is_rejected = (self.newest().rejected.as_ref())
            .is_some_and(|rejected| rejected.as_str() == token.as_str());
        if is_rejected {
            return Err(login("the server has rejected the refresh token before"));
        }
        let refreshed = self.client.refresh(token, &self.request).await;
        let refreshed = match refreshed {
            Ok(refreshed) => refreshed.after(token, tokens.scope()),
            Err(error) => {
                if error.requires_login() {
                    self.newest().rejected = Some(token.clone());
                }
                return Err(error);
            }
        };
        {
            let mut newest = self.newest();
            newest.tokens = Some(refreshed.clone());
            newest.is_unsaved = true;
        }
        // The old refresh token may be dead from now on, so the new one is made safe before it is used.
        self.save_again().await;
        Ok(refreshed)
    }

    /// Returns the tokens of the store, which another program may have renewed, or else those of the last renewal.
    async fn newest_tokens(&self) -> Result<TokenSet, OAuthError> {
        let own = {
            let newest = self.newest();
            newest
                .tokens
                .clone()
                .map(|tokens| (tokens, newest.is_unsaved))
        };
        match own {
            // What is not in the store is newer than what is.
            Some((tokens, true)) => Ok(tokens),
            own => match (self.load().await, own) {
                (Ok(Some(stored)), _) => Ok(stored),
                (Err(error), None) => Err(error),
                (_, Some((tokens, _))) => Ok(tokens),
                (Ok(None), None) => Err(login("there are no stored tokens")),
            },
        }
    }

    async fn load(&self) -> Result<Option<TokenSet>, OAuthError> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let Some(tokens) = store.load().await? else {
            return Ok(None);
        };
        if tokens
            .thumbprint()
            .is_some_and(|of| of != self.client.thumbprint())
        {
            return Err(login("the stored tokens are bound to another key"));
        }
        Ok(Some(tokens))
    }

    /// Saves the newest tokens, if the store does not have them.
    async fn save_again(&self) {
        let Some(store) = &self.store else {
            return;
        };
        let unsaved = {
            let newest = self.newest();
            newest.tokens.clone().filter(|_| newest.is_unsaved)
        };
        let Some(tokens) = unsaved else {
            return;
        };
        match store.save(&tokens).await {
            Ok(()) => self.newest().is_unsaved = false,
            Err(error) => warn!("the new tokens are in memory only: {error}"),
        }
    }

    /// Whether these are the tokens of the last renewal, which are due.
    fn was_used(&self, tokens: &TokenSet) -> bool {
        let newest = self.newest();
        let newest = newest
            .tokens
            .as_ref()
            .map(|newest| newest.access_token().as_str());
        newest == Some(tokens.access_token().as_str())
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn secret(tokens: &TokenSet) -> Option<&str> {
    tokens.refresh_token().map(RefreshToken::as_str)
}

fn is_worth_using(tokens: &TokenSet) -> bool {
    let least = SystemClock.now().saturating_add(WORTH_USING);
    tokens.expires_at().is_none_or(|at| at > least)
}

/// The error if only the user can help.
fn login(why: &'static str) -> OAuthError {
    OAuthError::new(
        OAuthErrorKind::Rejected,
        format!("the user has to log in again: {why}"),
    )
    .with_code("invalid_grant")
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal")
            .field("client", &self.client)
            .field("grant", &self.grant)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}
