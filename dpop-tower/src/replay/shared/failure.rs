//! Why a database did not answer, and what follows for the session.

use std::{fmt, sync::Arc};

use crate::replay::StoreError;

/// A failed call to a database.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(super) consequence: Consequence,
    why: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Consequence {
    /// The database has no room. The session goes on.
    Full,
    /// The failure concerns one record only. The session goes on.
    Nothing,
    /// The session ends after several of these in a row.
    Count,
    /// The session ends.
    Reopen,
    /// The session ends, and records may have been lost: the next session begins a new incarnation.
    Renew,
}

impl Failure {
    /// The database has no room for another record.
    pub(crate) fn full() -> Self {
        Self::new(Consequence::Full, "the database has no room")
    }

    /// One record cannot be made now, which says nothing about the others.
    pub(crate) fn request(why: impl Into<Arc<str>>) -> Self {
        Self::new(Consequence::Nothing, why)
    }

    /// One call failed, which says little about the next.
    pub(crate) fn call(why: impl Into<Arc<str>>) -> Self {
        Self::new(Consequence::Count, why)
    }

    /// The session cannot be used any more, or cannot be opened.
    pub(crate) fn session(why: impl Into<Arc<str>>) -> Self {
        Self::new(Consequence::Reopen, why)
    }

    /// Records may have been lost without a trace in the database. Clocks that differ by too much and evicted
    /// entries are such losses.
    pub(crate) fn lost(why: impl Into<Arc<str>>) -> Self {
        Self::new(Consequence::Renew, why)
    }

    fn new(consequence: Consequence, why: impl Into<Arc<str>>) -> Self {
        Self {
            consequence,
            why: why.into(),
        }
    }

    pub(super) fn why(&self) -> Arc<str> {
        Arc::clone(&self.why)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match failure.consequence {
            Consequence::Full => Self::full(),
            Consequence::Nothing
            | Consequence::Count
            | Consequence::Reopen
            | Consequence::Renew => Self::unavailable(&*failure.why),
        }
    }
}
