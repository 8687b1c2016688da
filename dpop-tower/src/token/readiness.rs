use std::{error::Error, fmt};

use crate::{keys::KeyState, replay::StoreErrorKind};

/// What is at hand of the keys of each issuer, and whether the replay store can be used, from
/// [`DpopConfig::readiness`](crate::DpopConfig::readiness).
///
/// A verifier that needs no keys has no issuers here, and is always ready.
///
/// ```
/// use dpop_tower::{replay::StoreErrorKind, token::{KeyState, Readiness}};
///
/// let readiness = Readiness::default()
///     .with("https://a.example.com", KeyState::Stale)
///     .with_replay_store(Err(StoreErrorKind::Unavailable));
/// assert!(!readiness.is_ready());
/// assert_eq!(
///     readiness.to_string(),
///     "https://a.example.com: stale, replay store is unavailable"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    issuers: Vec<(String, KeyState)>,
    /// `None` if the store can be used.
    replay_store: Option<StoreErrorKind>,
}

impl Readiness {
    /// Adds an issuer.
    #[must_use]
    pub fn with(mut self, issuer: impl Into<String>, keys: KeyState) -> Self {
        self.issuers.push((issuer.into(), keys));
        self
    }

    /// Sets whether the replay store can be used, and if not, why. It can unless this is called.
    #[must_use]
    pub fn with_replay_store(mut self, usable: Result<(), StoreErrorKind>) -> Self {
        self.replay_store = usable.err();
        self
    }

    /// Adds the issuers of another verifier. The replay store is unusable if it is in one of the two.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.issuers.extend(other.issuers);
        self.replay_store = self.replay_store.or(other.replay_store);
        self
    }

    /// Returns whether there are usable keys of every issuer, and the replay store can be used.
    pub fn is_ready(&self) -> bool {
        self.replay_store.is_none()
            && (self.issuers.iter()).all(|(_, keys)| *keys != KeyState::Missing)
    }

    /// Returns the issuers, and what is at hand of their keys.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, KeyState)> {
        (self.issuers.iter()).map(|(issuer, keys)| (&**issuer, *keys))
    }

    /// Returns whether the replay store can be used.
    ///
    /// # Errors
    ///
    /// Returns what requests are rejected with as long as it cannot.
    pub fn replay_store(&self) -> Result<(), StoreErrorKind> {
        self.replay_store.map_or(Ok(()), Err)
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (issuer, keys) in &self.issuers {
            let keys = match keys {
                KeyState::Fresh => "fresh",
                KeyState::Stale => "stale",
                KeyState::Missing => "missing",
            };
            write!(f, "{comma}{issuer}: {keys}")?;
            comma = ", ";
        }
        match self.replay_store {
            Some(why) => write!(f, "{comma}{why}"),
            None => Ok(()),
        }
    }
}

/// The reason why the keys of an issuer could not be fetched ahead of need, or the replay store cannot be used, from
/// [`DpopConfig::warm_up`](crate::DpopConfig::warm_up).
///
/// ```
/// use dpop_tower::token::WarmUpError;
///
/// let error = WarmUpError::new("https://idp.example.com", "the connection timed out")
///     .and(WarmUpError::of_replay_store("connection reset"));
/// assert_eq!(
///     error.to_string(),
///     "the keys of the issuer https://idp.example.com are not available: the connection timed out; \
///      the replay store cannot be used: connection reset"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUpError {
    issuers: Vec<(String, String)>,
    replay_store: Option<String>,
}

impl WarmUpError {
    /// Names an issuer and the reason, which must not contain secrets.
    pub fn new(issuer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            issuers: vec![(issuer.into(), reason.into())],
            replay_store: None,
        }
    }

    /// Makes the error of a replay store that cannot be used for this reason, which must not contain secrets.
    pub fn of_replay_store(reason: impl Into<String>) -> Self {
        Self {
            issuers: Vec::new(),
            replay_store: Some(reason.into()),
        }
    }

    /// Adds the failures of another verifier, or of the replay store.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.issuers.extend(other.issuers);
        self.replay_store = self.replay_store.or(other.replay_store);
        self
    }

    /// Returns the issuers whose keys are not available, each with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.issuers.iter()).map(|(issuer, reason)| (&**issuer, &**reason))
    }

    /// Returns the reason why the replay store cannot be used, unless it can.
    pub fn replay_store(&self) -> Option<&str> {
        self.replay_store.as_deref()
    }
}

impl fmt::Display for WarmUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (issuer, reason) in &self.issuers {
            write!(
                f,
                "{separator}the keys of the issuer {issuer} are not available: {reason}"
            )?;
            separator = "; ";
        }
        match &self.replay_store {
            Some(reason) => write!(f, "{separator}the replay store cannot be used: {reason}"),
            None => Ok(()),
        }
    }
}

impl Error for WarmUpError {}
