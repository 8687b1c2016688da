//! The lifetime of a store's records, which ends when they are lost.

use std::fmt;

use crate::{
    clock::UnixTime,
    error::{ConfigError, ConfigErrorKind},
};

/// One lifetime of the records of a [`ReplayStore`](super::ReplayStore).
///
/// A store that loses its records begins a new incarnation: a store in memory with each start of the process, a
/// database when it was emptied, or when a replica that may lack the latest records took over. A proof that was
/// made before may have been used, and nobody knows any more.
/// [`ReplayStore::incarnation`](super::ReplayStore::incarnation) describes what the layer does with such proofs.
///
/// ```
/// use dpop_tower::{clock::UnixTime, replay::Incarnation};
///
/// // A database has its identifier in a row that is lost together with the others.
/// let since = UnixTime::from_secs(1_700_000_000);
/// let incarnation = Incarnation::new([7; 16], since);
/// assert_ne!(incarnation, Incarnation::new([8; 16], since));
/// assert_eq!(incarnation.since(), since);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    id: [u8; 16],
    since: UnixTime,
}

impl Incarnation {
    /// Describes an incarnation whose records contain every proof that was used after `since`.
    ///
    /// The identifier is random, so that no other incarnation of any store has the same, and so that nobody can
    /// make a nonce for an incarnation ahead of time. All processes that share the records of a store use the
    /// same identifier.
    pub const fn new(id: [u8; 16], since: UnixTime) -> Self {
        Self { id, since }
    }

    /// Makes an incarnation whose identifier comes from the operating system's generator.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the operating system provides no randomness.
    pub fn random(since: UnixTime) -> Result<Self, ConfigError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| {
            ConfigError::new(
                ConfigErrorKind::Replay,
                "no randomness for the incarnation of the replay store",
            )
            .with_source(error)
        })?;
        Ok(Self::new(id, since))
    }

    /// Returns the identifier.
    pub const fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Returns the instant after which every use of a proof is on record.
    pub const fn since(&self) -> UnixTime {
        self.since
    }
}

/// Shows the beginning of the identifier, which is not a secret.
impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.id;
        write!(
            f,
            "Incarnation({a:02x}{b:02x}{c:02x}{d:02x}.., since {})",
            self.since.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SINCE: UnixTime = UnixTime::from_secs(100);

    #[test]
    fn no_two_random_incarnations_are_equal() {
        let [one, other] = [(); 2].map(|()| Incarnation::random(SINCE).unwrap());
        assert_ne!(one, other);
        assert_ne!(one.id(), &[0; 16]);
        assert_eq!((one.since(), other.since()), (SINCE, SINCE));
    }

    #[test]
    fn debug_is_short() {
        let text = format!("{:?}", Incarnation::new([171; 16], SINCE));
        assert_eq!(text, "Incarnation(abababab.., since 100)");
    }
}
