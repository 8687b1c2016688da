//! The errors of replay stores.

use std::{error::Error, fmt};

use crate::reason::reasons;

/// The description for clients, which cannot do anything about these errors.
const NO_ANSWER: &str = "the request cannot be checked at the moment";

/// The error of a replay store that cannot tell whether a proof is fresh.
///
/// The layer rejects the request with 503 and not with 401, because the proof may be good.
/// [`kind`](Self::kind) returns the reason.
///
/// ```
/// use dpop_tower::replay::{StoreError, StoreErrorKind};
///
/// /// Whether an alert should wake somebody up.
/// fn is_urgent(error: &StoreError) -> bool {
///     match error.kind() {
///         // One client or user sends too many requests.
///         StoreErrorKind::KeyFull | StoreErrorKind::SubjectFull => false,
///         _ => true,
///     }
/// }
///
/// assert!(!is_urgent(&StoreError::key_full()));
/// assert!(is_urgent(&StoreError::unavailable("connection reset")));
/// ```
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// Makes the error of a store that holds as many live entries as it may.
    pub const fn full() -> Self {
        Self::without_source(StoreErrorKind::Full)
    }

    /// Makes the error for a client key that has as many live entries as one client key may have.
    pub const fn key_full() -> Self {
        Self::without_source(StoreErrorKind::KeyFull)
    }

    /// Makes the error for a subject that has as many live entries as one subject may have, with all its
    /// keys.
    pub const fn subject_full() -> Self {
        Self::without_source(StoreErrorKind::SubjectFull)
    }

    /// Makes the error of a store that is out of reach, or whose response makes no sense.
    ///
    /// `source` appears in logs, so it must contain neither the [`ReplayKey`](super::ReplayKey) nor a
    /// password of the store.
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            kind: StoreErrorKind::Unavailable,
            source: Some(source.into()),
        }
    }

    const fn without_source(kind: StoreErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// Returns the reason.
    pub const fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.kind, f)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

reasons! {
    /// The kinds of [`StoreError`], for metrics and for choosing a response.
    pub enum StoreErrorKind {
        /// One client key has used up its share. Other clients are not affected.
        KeyFull = "key_full", Unavailable,
            NO_ANSWER, logged as "replay store holds too many live proofs of this client key";
        /// The store is full of live entries, which it must not forget.
        Full = "store_full", Unavailable,
            NO_ANSWER, logged as "replay store is full of live proofs";
        /// One subject has used up its share, with all its keys. Other subjects are not affected.
        SubjectFull = "subject_full", Unavailable,
            NO_ANSWER, logged as "replay store holds too many live proofs of this subject";
        /// The store is out of reach.
        Unavailable = "store_unavailable", Unavailable,
            NO_ANSWER, logged as "replay store is unavailable";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_constructor_has_its_kind_and_code() {
        for (error, kind, code) in [
            (StoreError::full(), StoreErrorKind::Full, "store_full"),
            (StoreError::key_full(), StoreErrorKind::KeyFull, "key_full"),
            (
                StoreError::subject_full(),
                StoreErrorKind::SubjectFull,
                "subject_full",
            ),
            (
                StoreError::unavailable("connection rejected"),
                StoreErrorKind::Unavailable,
                "store_unavailable",
            ),
        ] {
            assert_eq!(error.kind(), kind);
            assert_eq!(kind.as_str(), code);
        }
    }

    #[test]
    fn the_source_is_in_the_chain_and_not_in_the_message() {
        let error = StoreError::unavailable("connection rejected");
        assert_eq!(error.to_string(), "replay store is unavailable");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("connection rejected")
        );
        assert!(StoreError::full().source().is_none());
    }

    #[test]
    fn errors_cross_threads() {
        fn is_error<T: Error + Send + Sync + 'static>() {}
        is_error::<StoreError>();
    }
}
