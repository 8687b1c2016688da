use std::{error::Error, fmt};

use crate::token::TokenError;

/// The error of a [`RevocationList`](super::RevocationList) that cannot tell whether a token is revoked.
///
/// The request is rejected with 503 and not with 401, because the token may be good.
#[derive(Debug)]
pub struct RevocationError {
    source: Box<dyn Error + Send + Sync>,
}

impl RevocationError {
    /// Makes the error of a list that is out of reach, or whose response makes no sense.
    ///
    /// `source` appears in logs, so it must contain neither a claim of the token nor a password of the list.
    ///
    /// ```
    /// use dpop_tower::{revocation::RevocationError, token::{TokenError, TokenErrorKind}};
    ///
    /// let error = RevocationError::unavailable("connection reset");
    /// assert_eq!(TokenError::from(error).kind(), TokenErrorKind::RevocationUnavailable);
    /// ```
    pub fn unavailable(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

impl fmt::Display for RevocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the revocation list is unavailable")
    }
}

impl Error for RevocationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<RevocationError> for TokenError {
    fn from(error: RevocationError) -> Self {
        Self::revocation_unavailable(error.source)
    }
}

/// The error of a [`MemoryRevocationList`](super::MemoryRevocationList) that has no room for an entry.
///
/// The entry is not on the list, and nothing else was removed. The token is still admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RevocationListFull;

impl fmt::Display for RevocationListFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the revocation list is full of live entries")
    }
}

impl Error for RevocationListFull {}
