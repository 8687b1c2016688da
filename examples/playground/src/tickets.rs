//! Tickets for web sockets. A browser cannot send `Authorization` or `DPoP` with the request that opens one, so a page
//! asks for a ticket with a proof, and opens the socket with it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use axum::http::StatusCode;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::{BoundToken, jwk::Thumbprint, lifetime::TokenLifetime};

/// What a ticket is good for.
pub(crate) struct Entry {
    pub(crate) thumbprint: Thumbprint,
    /// Of the token with which the ticket was obtained.
    pub(crate) lifetime: TokenLifetime,
    good_until: Instant,
}

impl Entry {
    fn is_good(&self, now: Instant) -> bool {
        now < self.good_until && !self.lifetime.is_over()
    }
}

/// The tickets that have not been used.
#[derive(Default)]
pub(crate) struct Tickets {
    unused: Mutex<HashMap<String, Entry>>,
}

impl Tickets {
    /// A page uses its ticket at once.
    pub(crate) const LIFETIME: Duration = Duration::from_secs(10);

    /// Limits the memory. The layer admits only holders of a token, but each may ask often.
    const CAPACITY: usize = 1_000;
    const CAPACITY_PER_KEY: usize = 10;

    /// Issues a ticket to the holder of this token.
    pub(crate) fn issue(
        &self,
        token: &BoundToken,
        lifetime: TokenLifetime,
    ) -> Result<String, StatusCode> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let ticket = URL_SAFE_NO_PAD.encode(random);
        let now = Instant::now();
        let thumbprint = *token.thumbprint();
        let mut unused = self.unused();
        unused.retain(|_, entry| entry.is_good(now));
        let of_key = unused.values();
        let of_key = of_key.filter(|entry| entry.thumbprint == thumbprint);
        if of_key.count() >= Self::CAPACITY_PER_KEY {
            return Err(StatusCode::TOO_MANY_REQUESTS);
        }
        if unused.len() >= Self::CAPACITY {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        let entry = Entry {
            thumbprint,
            lifetime,
            good_until: now + Self::LIFETIME,
        };
        unused.insert(ticket.clone(), entry);
        Ok(ticket)
    }

    /// Uses a ticket up. Of two sockets with one ticket, only one gets something.
    pub(crate) fn redeem(&self, ticket: &str) -> Option<Entry> {
        let entry = self.unused().remove(ticket)?;
        entry.is_good(Instant::now()).then_some(entry)
    }

    fn unused(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.unused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
