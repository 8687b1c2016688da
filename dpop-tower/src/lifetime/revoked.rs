//! Asks the revocation list again while a stream is open.

use std::{
    future::Future as _,
    pin::Pin,
    sync::{Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    future::MaybeReady,
    revocation::{RevocationError, RevocationStatus},
    token::TokenErrorKind,
    verifier::admitted::Limit,
};

/// How often the list is asked.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// The number of questions in a row after which a list that gives no answer ends the stream.
const MOST_FAILURES: u8 = 6;

type Answer = MaybeReady<Result<RevocationStatus, RevocationError>>;

/// The questions about the token of one stream.
#[derive(Default)]
pub(super) struct Inquiry {
    /// The version of the list at the last answer.
    seen: Option<u64>,
    /// The version of the list at the question under way, which does not know entries of later versions.
    asked: Option<u64>,
    /// The question under way. It is never locked: bodies have to be `Sync`, which the future is not.
    answer: Mutex<Option<Answer>>,
    failures: u8,
    /// Why the stream has to end, if it has to.
    outcome: Option<TokenErrorKind>,
}

impl Inquiry {
    pub(super) const fn outcome(&self) -> Option<TokenErrorKind> {
        self.outcome
    }

    /// Begins a question, unless the list is known not to have changed.
    pub(super) fn ask(&mut self, limit: &Limit) {
        let Some(list) = limit.revocations() else {
            return;
        };
        let version = list.version();
        let has_changed = version.is_none() || version != self.seen;
        let answer = self
            .answer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if answer.is_none() && has_changed {
            self.asked = version;
            *answer = Some(list.status(limit.query()));
        }
    }

    /// Completes if the token is revoked, or if the list has not answered for too long.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.outcome.is_some() {
            return Poll::Ready(());
        }
        let answer = self
            .answer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let polled = answer.as_mut().map(|answer| Pin::new(answer).poll(cx));
        let Some(Poll::Ready(status)) = polled else {
            return Poll::Pending;
        };
        *answer = None;
        match status {
            Ok(RevocationStatus::Active) => {
                self.seen = self.asked;
                self.failures = 0;
            }
            Ok(RevocationStatus::Revoked) => self.outcome = Some(TokenErrorKind::Revoked),
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "it cannot be told whether the token of a stream is revoked"
                );
                if self.failures >= MOST_FAILURES {
                    self.outcome = Some(TokenErrorKind::RevocationUnavailable);
                }
            }
        }
        match self.outcome {
            Some(_) => Poll::Ready(()),
            None => Poll::Pending,
        }
    }
}
