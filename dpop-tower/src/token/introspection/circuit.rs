//! Suspends calls to an endpoint that fails.
//!
//! A decision is a pure function of times and facts. All times are readings of one monotonic clock.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};

use super::error::{Blame, Failure};
use crate::clock::TimeSource;

/// The number of failures in a row that suspends calls.
const FAILURES: u32 = 5;
/// The first suspension, which the next ones double. Jitter makes each up to twice as long, so that the nodes
/// of a service do not return all at once.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest suspension before jitter.
const LONGEST: Duration = Duration::from_secs(30);
/// A probe that has not ended after this time will not end, because its runtime is no longer driven.
const PROBE: Duration = Duration::from_secs(60);
/// While a probe is under way, clients are told to come back after this time.
const DURING_PROBE: Duration = Duration::from_secs(1);

/// The input of a decision.
#[derive(Clone, Copy, Debug)]
struct Situation {
    now: Duration,
    /// The end of the suspension, if the endpoint has failed too often.
    suspended_until: Option<Duration>,
    /// The start of the probe that is under way.
    probe: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// Call the endpoint.
    Call,
    /// Call the endpoint, and let others wait for the result.
    Probe,
    /// Do not call the endpoint for this time.
    Reject(Duration),
}

impl Situation {
    fn decide(self) -> Decision {
        let Some(until) = self.suspended_until else {
            return Decision::Call;
        };
        let rest = until.saturating_sub(self.now);
        if !rest.is_zero() {
            return Decision::Reject(rest);
        }
        match self.probe {
            Some(began) if self.now.saturating_sub(began) < PROBE => Decision::Reject(DURING_PROBE),
            Some(_) | None => Decision::Probe,
        }
    }
}

/// The state of an endpoint.
#[derive(Debug)]
pub(super) struct Circuit {
    state: Mutex<State>,
    clock: Arc<dyn TimeSource>,
}

#[derive(Default)]
struct State {
    /// Failures in a row, while calls are not suspended.
    failures: u32,
    suspended_until: Option<Duration>,
    probe: Option<Duration>,
    /// The lengths of further suspensions, until the endpoint works again.
    delays: Option<ExponentialBackoff>,
}

impl Circuit {
    pub(super) fn new(clock: Arc<dyn TimeSource>) -> Self {
        Self {
            state: Mutex::default(),
            clock,
        }
    }

    /// Lets a call begin, or returns for how long calls are suspended.
    pub(super) fn enter(self: &Arc<Self>) -> Result<Ticket, Failure> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let situation = Situation {
            now,
            suspended_until: state.suspended_until,
            probe: state.probe,
        };
        let is_probe = match situation.decide() {
            Decision::Call => false,
            Decision::Probe => true,
            Decision::Reject(rest) => return Err(Failure::Suspended(rest)),
        };
        if is_probe {
            state.probe = Some(now);
        }
        Ok(Ticket {
            circuit: Arc::clone(self),
            probe: is_probe.then_some(now),
        })
    }

    fn works(&self) {
        let mut state = self.state();
        if state.suspended_until.is_some() {
            tracing::info!("the introspection endpoint works again");
        }
        *state = State::default();
    }

    fn fails(&self, is_probe: bool, why: &Failure) {
        let mut state = self.state();
        if state.suspended_until.is_some() && !is_probe {
            // The call began before calls were suspended.
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if !is_probe && state.failures < FAILURES {
            return;
        }
        state.probe = None;
        let delay = state.delays.get_or_insert_with(delays).next();
        let delay = delay.unwrap_or(LONGEST);
        state.suspended_until = Some(self.clock.monotonic().saturating_add(delay));
        tracing::warn!(error = %why, "introspection calls are suspended for {delay:.1?}");
    }

    fn gives_up_probe(&self, began: Duration) {
        let mut state = self.state();
        if state.probe == Some(began) {
            state.probe = None;
        }
    }

    /// Locks the state. No code under the lock can leave it inconsistent, so poisoning is ignored.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn delays() -> ExponentialBackoff {
    let mut seed = [0; 8];
    // Without randomness, the delays are the same in each process, which is no reason to reject requests.
    let _ = getrandom::fill(&mut seed);
    ExponentialBuilder::new()
        .with_min_delay(SHORTEST)
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter()
        .with_jitter_seed(u64::from_ne_bytes(seed))
        .build()
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("failures", &self.failures)
            .field("suspended_until", &self.suspended_until)
            .finish_non_exhaustive()
    }
}

/// A call that may begin. If it is dropped, the call says nothing about the endpoint.
#[derive(Debug)]
pub(super) struct Ticket {
    circuit: Arc<Circuit>,
    /// When the call began, if it is a probe.
    probe: Option<Duration>,
}

impl Ticket {
    /// Records the end of the call.
    pub(super) fn settle<T>(self, result: &Result<T, Failure>) {
        match result {
            Ok(_) => self.circuit.works(),
            Err(failure) => match failure.blame() {
                Blame::Token => self.circuit.works(),
                Blame::Endpoint => self.circuit.fails(self.probe.is_some(), failure),
                Blame::Nobody => {}
            },
        }
    }
}

impl Drop for Ticket {
    /// Does nothing if the call was settled.
    fn drop(&mut self) {
        if let Some(began) = self.probe {
            self.circuit.gives_up_probe(began);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision::*, *};
    use crate::clock::{ManualClock, UnixTime};

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn secs(secs: i64) -> Duration {
        let distance = Duration::from_secs(secs.unsigned_abs());
        if secs < 0 {
            NOW - distance
        } else {
            NOW + distance
        }
    }

    #[test]
    fn calls_are_suspended_for_a_time_and_then_one_probe_decides() {
        let rest = |secs| Reject(Duration::from_secs(secs));
        // The end of the suspension and the start of the probe, in seconds from now.
        for (until, probe, expected) in [
            (None, None, Call),
            // Nothing else matters if the endpoint works.
            (None, Some(0), Call),
            (Some(1), None, rest(1)),
            (Some(60), None, rest(60)),
            (Some(60), Some(-1), rest(60)),
            (Some(0), None, Probe),
            (Some(-1), None, Probe),
            (Some(-1_000), None, Probe),
            (Some(0), Some(0), rest(1)),
            (Some(-10), Some(-5), rest(1)),
            (Some(-100), Some(-59), rest(1)),
            // The runtime of the probe is gone.
            (Some(-100), Some(-60), Probe),
            // Another thread may have read the clock later.
            (Some(0), Some(1), rest(1)),
        ] {
            let situation = Situation {
                now: NOW,
                suspended_until: until.map(secs),
                probe: probe.map(secs),
            };
            assert_eq!(situation.decide(), expected, "{until:?} {probe:?}");
        }
    }

    fn circuit() -> (Arc<Circuit>, ManualClock) {
        let clock = ManualClock::new(UnixTime::from_secs(0));
        (Arc::new(Circuit::new(Arc::new(clock.clone()))), clock)
    }

    fn end(circuit: &Arc<Circuit>, result: &Result<(), Failure>) {
        circuit.enter().unwrap().settle(result);
    }

    fn suspended(circuit: &Arc<Circuit>) -> Duration {
        match circuit.enter() {
            Err(Failure::Suspended(rest)) => rest,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn failures_count_in_a_row_only() {
        let (circuit, _) = circuit();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                end(&circuit, &Err(Failure::TimedOut));
            }
            // An endpoint that answers at all works.
            end(&circuit, &Err(Failure::Status(400)));
        }
        for _ in 0..20 {
            end(&circuit, &Err(Failure::Busy));
        }
        for _ in 1..FAILURES {
            end(&circuit, &Err(Failure::TimedOut));
            end(&circuit, &Err(Failure::Busy));
        }
        end(&circuit, &Err(Failure::Status(503)));
        assert!(suspended(&circuit) >= SHORTEST);
    }

    #[test]
    fn suspensions_get_longer_up_to_a_bound_and_begin_anew_after_a_success() {
        let (circuit, clock) = circuit();
        for _ in 0..2 {
            for _ in 0..FAILURES {
                end(&circuit, &Err(Failure::TimedOut));
            }
            for length in [1, 2, 4, 8, 16, 30, 30] {
                let rest = suspended(&circuit);
                let length = Duration::from_secs(length);
                assert!(length <= rest && rest <= 2 * length, "{rest:?}, {length:?}");
                clock.advance(rest + Duration::from_secs(1));
                end(&circuit, &Err(Failure::TimedOut));
            }
            clock.advance(2 * LONGEST);
            end(&circuit, &Ok(()));
        }
    }

    #[test]
    fn while_a_probe_is_under_way_others_wait_and_what_began_before_does_not_count() {
        let (circuit, clock) = circuit();
        let early = circuit.enter().unwrap();
        for _ in 0..FAILURES {
            end(&circuit, &Err(Failure::TimedOut));
        }
        let rest = suspended(&circuit);
        early.settle(&Err::<(), _>(Failure::TimedOut));
        assert_eq!(suspended(&circuit), rest);
        clock.advance(2 * SHORTEST);
        let probe = circuit.enter().unwrap();
        assert_eq!(suspended(&circuit), DURING_PROBE);
        // After a probe that is given up, the next call is a probe again.
        drop(probe);
        let probe = circuit.enter().unwrap();
        assert_eq!(suspended(&circuit), DURING_PROBE);
        probe.settle(&Ok(()));
        assert!(circuit.enter().is_ok());
        assert!(circuit.enter().is_ok());
    }
}
