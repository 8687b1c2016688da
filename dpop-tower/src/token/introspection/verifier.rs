use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{runtime::Handle, sync::Semaphore, time::timeout};
use zeroize::Zeroizing;

use super::{
    answer::{self, Checks, Verdict},
    call::Endpoint,
    circuit::{Circuit, Ticket},
    error::{Blame, Failure},
    flight::{Flights, Waiting},
    signed::SignedAnswers,
    verdicts::Verdicts,
};
use crate::{
    clock::{TimeSource, UnixTime},
    future::MaybeReady,
    proof::Ath,
    telemetry::{self, CacheName},
    token::{PresentedToken, TokenVerifier},
};

/// How long a call waits until fewer than the allowed number are under way.
pub(super) const TURN: Duration = Duration::from_secs(1);

/// An endpoint that rejects this API's calls is logged once in this time.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// The verifier that an [`Introspection`](super::Introspection) becomes.
#[derive(Clone, Debug)]
pub(in crate::token) struct IntrospectionVerifier(Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) checks: Checks,
    pub(super) endpoint: Endpoint,
    /// `None` if answers are not signed.
    pub(super) signed: Option<SignedAnswers>,
    pub(super) verdicts: Verdicts,
    pub(super) flights: Arc<Flights>,
    pub(super) circuit: Arc<Circuit>,
    /// One permit for each call that may be under way.
    pub(super) turns: Semaphore,
    pub(super) clock: Arc<dyn TimeSource>,
    /// The time of the last log line about an endpoint that rejects this API's calls.
    pub(super) logged: Mutex<Option<Duration>>,
}

impl IntrospectionVerifier {
    pub(super) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl TokenVerifier for IntrospectionVerifier {
    fn verify(&self, token: PresentedToken<'_>, now: UnixTime) -> MaybeReady<Verdict> {
        let shared = &self.0;
        let cached = shared.cached(token.ath(), now);
        telemetry::cache_lookup(CacheName::Introspection, cached.is_some());
        if let Some(verdict) = cached {
            return MaybeReady::ready(verdict);
        }
        match shared.join(token, now) {
            Ok(waiting) => MaybeReady::pending(waiting.verdict()),
            Err(verdict) => MaybeReady::ready(verdict),
        }
    }
}

impl Shared {
    fn cached(&self, ath: Ath, now: UnixTime) -> Option<Verdict> {
        self.verdicts
            .get(ath, self.clock.monotonic(), now, &self.checks)
    }

    /// Joins the call for this token, or begins one. Returns a verdict if there is one already.
    fn join(
        self: &Arc<Self>,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> Result<Waiting, Verdict> {
        let failed = |failure: Failure| -> Verdict { Err(failure.into()) };
        let ath = token.ath();
        let flights = self.flights.lock();
        if let Some(waiting) = flights.get(ath) {
            return Ok(waiting);
        }
        // The call may have ended since the cache was read.
        if let Some(verdict) = self.cached(ath, now) {
            return Err(verdict);
        }
        let runtime = Handle::try_current().map_err(|_| failed(Failure::NoRuntime))?;
        let ticket = self.circuit.enter().map_err(failed)?;
        let (flight, waiting) = flights.begin(ath).map_err(failed)?;
        let (shared, token) = (Arc::clone(self), Zeroizing::new(token.expose().to_owned()));
        // If the runtime accepts no more tasks, the flight ends at once and takes the lock, which is free.
        runtime.spawn(async move {
            let verdict = shared.introspect(&token, ath, ticket).await;
            flight.end(verdict);
        });
        Ok(waiting)
    }

    /// Calls the endpoint, and caches the verdict.
    async fn introspect(&self, token: &str, ath: Ath, ticket: Ticket) -> Verdict {
        let Ok(Ok(_turn)) = timeout(TURN, self.turns.acquire()).await else {
            return Err(Failure::Busy.into());
        };
        let asked = self.clock.monotonic();
        let result = self.call(token).await;
        ticket.settle(&result);
        telemetry::introspection(result.is_ok());
        let failure = match result {
            Ok(verdict) => {
                self.verdicts.insert(ath, &verdict, asked);
                return verdict;
            }
            Err(failure) => failure,
        };
        if let Some(status) = failure.rejected_call() {
            self.log_rejected_call(status);
        }
        let blame = failure.blame();
        let verdict = Err(failure.into());
        if blame == Blame::Token {
            // Without this, one token could cause a call with each request.
            self.verdicts.insert(ath, &verdict, asked);
        }
        verdict
    }

    async fn call(&self, token: &str) -> Result<Verdict, Failure> {
        let body = self.endpoint.ask(token, self.clock.now()).await?;
        let now = self.clock.now();
        let answer = match &self.signed {
            None => answer::parse(&body)?,
            Some(signed) => signed.open(&body, now).await?,
        };
        self.checks.judge(answer, now)
    }

    fn log_rejected_call(&self, status: u16) {
        let now = self.clock.monotonic();
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.is_some_and(|at| now.saturating_sub(at) < LOG_PAUSE) {
            return;
        }
        *logged = Some(now);
        tracing::error!(
            status,
            "the introspection endpoint rejects the calls of this API: check its client id, its credentials \
             and its right to introspect"
        );
    }
}
