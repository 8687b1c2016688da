use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::client::{AccessToken, oauth::OAuthError};

/// The longest time between attempts while they fail.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// A resource server that rejects a token of less than this age would reject the next one too.
const SETTLING: Duration = Duration::from_secs(10);

/// A token is not used in its last seconds, in which it may expire on the way.
const ON_THE_WAY: Duration = Duration::from_secs(5);

/// A token and its times on the monotonic clock.
#[derive(Debug)]
pub(super) struct Held {
    token: AccessToken,
    since: Instant,
    /// `None` if the server did not say when it expires.
    good_until: Option<Instant>,
    renew_at: Option<Instant>,
}

impl Held {
    pub(super) fn new(
        token: AccessToken,
        now: Instant,
        lifetime: Option<Duration>,
        margin: Duration,
    ) -> Self {
        let after = |lifetime: Duration, before: Duration| now + lifetime.saturating_sub(before);
        Self {
            token,
            since: now,
            good_until: lifetime.map(|lifetime| after(lifetime, ON_THE_WAY.min(lifetime / 10))),
            renew_at: lifetime.map(|lifetime| after(lifetime, margin.min(lifetime / 2))),
        }
    }
}

/// A renewal that others can wait for.
pub(super) trait InFlight: Clone {
    fn is_running(&self) -> bool;
}

/// What becomes of a request for a token.
#[derive(Debug)]
pub(super) enum Next<R> {
    Use(AccessToken),
    UseAndRenew(AccessToken),
    /// For the renewal that is running.
    Wait(R),
    /// And wait for it.
    Renew,
    Fail(Arc<OAuthError>),
}

#[derive(Debug)]
pub(super) struct State<R> {
    held: Option<Held>,
    renewal: Option<R>,
    /// The error of the last attempt, how many failed, and when the next may begin.
    failed: Option<(Arc<OAuthError>, u32, Instant)>,
}

impl<R> Default for State<R> {
    fn default() -> Self {
        Self {
            held: None,
            renewal: None,
            failed: None,
        }
    }
}

impl<R: InFlight> State<R> {
    pub(super) fn next(&self, now: Instant) -> Next<R> {
        let running = self.renewal.as_ref().filter(|renewal| renewal.is_running());
        let pause = (self.failed.as_ref()).filter(|(_, _, not_before)| now < *not_before);
        let good = self
            .held
            .as_ref()
            .filter(|held| held.good_until.is_none_or(|until| now < until));
        if let Some(held) = good {
            let is_due = held.renew_at.is_some_and(|at| now >= at);
            let token = held.token.clone();
            return if is_due && running.is_none() && pause.is_none() {
                Next::UseAndRenew(token)
            } else {
                Next::Use(token)
            };
        }
        match (running, pause) {
            (Some(renewal), _) => Next::Wait(renewal.clone()),
            (None, Some((error, ..))) => Next::Fail(Arc::clone(error)),
            (None, None) => Next::Renew,
        }
    }

    pub(super) fn begin(&mut self, renewal: R) {
        self.renewal = Some(renewal);
    }

    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(held);
        self.renewal = None;
        self.failed = None;
    }

    pub(super) fn fail(&mut self, error: Arc<OAuthError>, now: Instant) {
        let failures = self.failed.as_ref().map_or(0, |(_, failures, _)| *failures);
        let pause = Duration::from_secs(1 << failures.min(6)).min(MAX_PAUSE);
        self.failed = Some((error, failures.saturating_add(1), now + pause));
        self.renewal = None;
    }

    /// Drops a token that a resource server rejected. A report of another token is old.
    pub(super) fn reject(&mut self, token: &AccessToken, now: Instant) {
        let Some(held) = self.held.take_if(|held| held.token.is_clone_of(token)) else {
            return;
        };
        // Otherwise a resource server that rejects every token would have one request to the authorization server for
        // each request to it.
        let settled = held.since + SETTLING;
        if now < settled {
            let error = OAuthError::new(
                crate::client::oauth::OAuthErrorKind::Rejected,
                "the resource server rejects a token that has just been issued: check its audience and its issuer",
            );
            self.failed = Some((Arc::new(error), 0, settled));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::oauth::OAuthErrorKind;

    #[derive(Clone, Debug, PartialEq)]
    struct Running(bool);

    impl InFlight for Running {
        fn is_running(&self) -> bool {
            self.0
        }
    }

    const MARGIN: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn token() -> AccessToken {
        AccessToken::new("token").unwrap()
    }

    fn error() -> Arc<OAuthError> {
        Arc::new(OAuthError::new(OAuthErrorKind::Unreachable, "no answer"))
    }

    fn holding(start: Instant, lifetime: Option<Duration>) -> State<Running> {
        let mut state = State::default();
        state.hold(Held::new(token(), start, lifetime, MARGIN));
        state
    }

    fn word(state: &State<Running>, now: Instant) -> &'static str {
        match state.next(now) {
            Next::Use(_) => "use",
            Next::UseAndRenew(_) => "use and renew",
            Next::Wait(_) => "wait",
            Next::Renew => "renew",
            Next::Fail(_) => "fail",
        }
    }

    #[test]
    fn a_token_is_used_renewed_ahead_of_its_expiry_and_never_used_after_it() {
        let start = Instant::now();
        for (lifetime, cases) in [
            (
                Some(seconds(600)),
                vec![
                    (0, "use"),
                    (539, "use"),
                    (540, "use and renew"),
                    (594, "use and renew"),
                    (595, "renew"),
                ],
            ),
            // Half the lifetime, if that is less than the margin.
            (
                Some(seconds(20)),
                vec![
                    (9, "use"),
                    (10, "use and renew"),
                    (17, "use and renew"),
                    (18, "renew"),
                ],
            ),
            (Some(seconds(0)), vec![(0, "renew")]),
            (None, vec![(0, "use"), (1_000_000, "use")]),
        ] {
            let state = holding(start, lifetime);
            for (after, expected) in cases {
                assert_eq!(
                    word(&state, start + seconds(after)),
                    expected,
                    "{lifetime:?} {after}"
                );
            }
        }
        assert_eq!(word(&State::default(), start), "renew");
    }

    #[test]
    fn there_is_one_renewal_at_a_time() {
        let start = Instant::now();
        let mut state = holding(start, Some(seconds(600)));
        state.begin(Running(true));
        assert_eq!(word(&state, start + seconds(550)), "use");
        assert_eq!(word(&state, start + seconds(600)), "wait");
        // The runtime that it ran on has ended.
        state.begin(Running(false));
        assert_eq!(word(&state, start + seconds(550)), "use and renew");
        assert_eq!(word(&state, start + seconds(600)), "renew");
    }

    #[test]
    fn attempts_that_fail_become_rarer_and_the_old_token_is_used_meanwhile() {
        let start = Instant::now();
        let mut state = holding(start, Some(seconds(600)));
        let mut now = start + seconds(540);
        for pause in [1, 2, 4, 8] {
            state.fail(error(), now);
            assert_eq!(
                word(&state, now + seconds(pause) - Duration::from_millis(1)),
                "use"
            );
            now += seconds(pause);
            assert_eq!(word(&state, now), "use and renew");
        }
        now = start + seconds(600);
        for pause in [16, 32, 60, 60, 60] {
            state.fail(error(), now);
            assert_eq!(
                word(&state, now + seconds(pause) - Duration::from_millis(1)),
                "fail"
            );
            now += seconds(pause);
            assert_eq!(word(&state, now), "renew");
        }
        state.hold(Held::new(token(), now, None, MARGIN));
        state.fail(error(), now);
        assert!(
            state
                .failed
                .as_ref()
                .is_some_and(|(_, _, until)| *until == now + seconds(1))
        );
    }

    #[test]
    fn a_rejected_token_is_not_used_again_and_a_fresh_one_does_not_cause_a_loop() {
        let start = Instant::now();
        let rejected = token();
        let hold = |state: &mut State<Running>, now| {
            state.hold(Held::new(rejected.clone(), now, Some(seconds(600)), MARGIN));
        };
        let mut state = State::default();
        hold(&mut state, start);
        state.reject(&token(), start + seconds(20));
        assert_eq!(
            word(&state, start + seconds(20)),
            "use",
            "a report of another token"
        );
        state.reject(&rejected, start + seconds(20));
        assert_eq!(word(&state, start + seconds(20)), "renew");

        hold(&mut state, start);
        state.reject(&rejected, start + seconds(3));
        assert_eq!(word(&state, start + seconds(9)), "fail");
        assert_eq!(word(&state, start + seconds(10)), "renew");
    }
}
