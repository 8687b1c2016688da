use std::{error::Error, fmt};

use crate::keys::KeyState;

/// What is at hand of the keys of each issuer, from [`DpopConfig::readiness`](crate::DpopConfig::readiness).
///
/// A verifier that needs no keys has no issuers here, and is always ready.
///
/// ```
/// use dpop_tower::token::{KeyState, Readiness};
///
/// let readiness = Readiness::default()
///     .with("https://a.example.com", KeyState::Stale)
///     .with("https://b.example.com", KeyState::Missing);
/// assert!(!readiness.is_ready());
/// assert_eq!(
///     readiness.to_string(),
///     "https://a.example.com: stale, https://b.example.com: missing"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness(Vec<(String, KeyState)>);

impl Readiness {
    /// Adds an issuer.
    #[must_use]
    pub fn with(mut self, issuer: impl Into<String>, keys: KeyState) -> Self {
        self.0.push((issuer.into(), keys));
        self
    }

    /// Adds the issuers of another verifier.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns whether there are usable keys of every issuer.
    pub fn is_ready(&self) -> bool {
        self.0.iter().all(|(_, keys)| *keys != KeyState::Missing)
    }

    /// Returns the issuers, and what is at hand of their keys.
    pub fn issuers(&self) -> impl Iterator<Item = (&str, KeyState)> {
        self.0.iter().map(|(issuer, keys)| (&**issuer, *keys))
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (issuer, keys)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            let keys = match keys {
                KeyState::Fresh => "fresh",
                KeyState::Stale => "stale",
                KeyState::Missing => "missing",
            };
            write!(f, "{issuer}: {keys}")?;
        }
        Ok(())
    }
}

/// The reason why the keys of an issuer could not be fetched ahead of need, from
/// [`DpopConfig::warm_up`](crate::DpopConfig::warm_up).
///
/// ```
/// use dpop_tower::token::WarmUpError;
///
/// let error = WarmUpError::new("https://idp.example.com", "the connection timed out");
/// assert_eq!(
///     error.to_string(),
///     "the keys of the issuer https://idp.example.com are not available: the connection timed out"
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmUpError(Vec<(String, String)>);

impl WarmUpError {
    /// Names an issuer and the reason, which must not contain secrets.
    pub fn new(issuer: impl Into<String>, reason: impl Into<String>) -> Self {
        Self(vec![(issuer.into(), reason.into())])
    }

    /// Adds the failures of another verifier.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Returns the issuers whose keys are not available, each with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.0.iter()).map(|(issuer, reason)| (&**issuer, &**reason))
    }
}

impl fmt::Display for WarmUpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (issuer, reason)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(
                f,
                "the keys of the issuer {issuer} are not available: {reason}"
            )?;
        }
        Ok(())
    }
}

impl Error for WarmUpError {}
