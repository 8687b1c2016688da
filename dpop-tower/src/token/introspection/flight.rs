//! The calls that are under way. There is at most one for each token.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};

use super::{answer::Verdict, error::Failure};
use crate::proof::Ath;

/// A call that has not ended this long after its limit will not end, because its runtime is no longer driven.
const GRACE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Flights {
    under_way: Mutex<UnderWay>,
    most: usize,
    /// The time limit of a call, with everything that it waits for.
    limit: Duration,
}

/// The calls under way, while they cannot change.
pub(super) struct Locked<'a> {
    flights: &'a Arc<Flights>,
    under_way: MutexGuard<'a, UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    count: u64,
    calls: HashMap<Ath, Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    waiting: Waiting,
}

impl Flights {
    pub(super) fn new(most: usize, limit: Duration) -> Self {
        Self {
            under_way: Mutex::default(),
            most,
            limit,
        }
    }

    pub(super) fn lock(self: &Arc<Self>) -> Locked<'_> {
        Locked {
            flights: self,
            under_way: self.under_way(),
        }
    }

    /// No code under the lock can leave the calls inconsistent, so poisoning is ignored.
    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Locked<'_> {
    /// Returns the end of the call for this token, if there is one.
    pub(super) fn get(&self, ath: Ath) -> Option<Waiting> {
        let waiting = &self.under_way.calls.get(&ath)?.waiting;
        (Instant::now() < waiting.until).then(|| waiting.clone())
    }

    /// Begins a call, unless there are too many.
    pub(super) fn begin(mut self, ath: Ath) -> Result<(Flight, Waiting), Failure> {
        let under_way = &mut *self.under_way;
        if under_way.calls.len() >= self.flights.most {
            let now = Instant::now();
            under_way.calls.retain(|_, call| now < call.waiting.until);
            if under_way.calls.len() >= self.flights.most {
                return Err(Failure::Busy);
            }
        }
        let (sender, ended) = watch::channel(None);
        let waiting = Waiting {
            until: Instant::now() + self.flights.limit + GRACE,
            ended,
        };
        under_way.count += 1;
        let number = under_way.count;
        let call = Call {
            number,
            waiting: waiting.clone(),
        };
        under_way.calls.insert(ath, call);
        let flight = Flight {
            flights: Arc::clone(self.flights),
            ath,
            number,
            sender,
        };
        Ok((flight, waiting))
    }
}

/// A call, which runs in a task of its own. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct Flight {
    flights: Arc<Flights>,
    ath: Ath,
    number: u64,
    sender: watch::Sender<Option<Verdict>>,
}

impl Flight {
    /// Passes the verdict to the requests that wait. A verdict that can be cached is in the cache before this.
    pub(super) fn end(self, verdict: Verdict) {
        self.sender.send_replace(Some(verdict));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let calls = &mut self.flights.under_way().calls;
        if calls
            .get(&self.ath)
            .is_some_and(|call| call.number == self.number)
        {
            calls.remove(&self.ath);
        }
    }
}

/// The end of a call, for the requests that wait for it.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    until: Instant,
    ended: watch::Receiver<Option<Verdict>>,
}

impl Waiting {
    /// Waits for the verdict, but not longer than a call can take.
    pub(super) async fn verdict(mut self) -> Verdict {
        if Handle::try_current().is_err() {
            return Err(Failure::NoRuntime.into());
        }
        let ended = self.ended.wait_for(Option::is_some);
        let failure = match timeout_at(self.until, ended).await {
            Ok(Ok(verdict)) => match &*verdict {
                Some(verdict) => return verdict.clone(),
                None => Failure::GivenUp,
            },
            Ok(Err(_)) => Failure::GivenUp,
            Err(_) => Failure::TimedOut,
        };
        Err(failure.into())
    }
}
