//! What this program does to the replay store, the issuer and the gateways' files, and until when it may be noticed.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_test_servers::redis::Redis;
use dpop_tower_performance::load::Error;
use tokio::{sync::Mutex, task::spawn_local, time::sleep};

use crate::{
    programs::{CLOCK_MARGIN, GatewayFile, REFRESH_AFTER, STORE_TIME_OUT_MS},
    servers::{Behaviour, Issuer},
    state::State,
};

/// How long after the store is back requests may still be rejected: the longest pause between two attempts, one
/// time-out, and a second in which the gateways look at the store again.
const RECOVERY: Duration = Duration::from_millis(2000 + STORE_TIME_OUT_MS + 1000);

/// A time in which the replay store is out of reach, or has lost its records.
#[derive(Clone, Copy, Debug)]
struct Window {
    begun: Instant,
    /// Until when requests may get 503.
    unavailable: Option<Instant>,
    /// Until when proofs may have to have a nonce.
    fenced: Option<Instant>,
}

/// All such times so far.
#[derive(Debug, Default)]
pub struct Windows(Vec<Window>);

impl Windows {
    fn begin(&mut self) {
        self.0.push(Window {
            begun: Instant::now(),
            unavailable: None,
            fenced: None,
        });
    }

    fn end(&mut self, unavailable: Duration, fenced: Duration) {
        let now = Instant::now();
        if let Some(window) = self.0.last_mut() {
            window.unavailable = Some(now + unavailable);
            window.fenced = Some(now + fenced);
        }
    }

    /// Returns whether a request that began at `begun` and has just ended may have got 503.
    pub fn unavailable(&self, begun: Instant) -> bool {
        self.0
            .iter()
            .any(|window| window.unavailable.is_none_or(|end| begun <= end))
    }

    /// Returns whether a proof that was made at `made` may have been challenged.
    pub fn fenced(&self, made: Instant) -> bool {
        self.0
            .iter()
            .any(|window| window.fenced.is_none_or(|end| made <= end))
    }

    /// Returns how long these times took, with the time to recover.
    pub fn total(&self) -> Duration {
        self.0
            .iter()
            .filter_map(|window| Some(window.unavailable?.duration_since(window.begun)))
            .sum()
    }
}

/// The neighbours of the gateways.
#[derive(Debug)]
pub struct Neighbours {
    pub redis: Mutex<Redis>,
    pub issuer: Rc<Issuer>,
    pub files: Mutex<Vec<GatewayFile>>,
}

/// How long each fault takes.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    pub killed: Duration,
    pub paused: Duration,
    pub issuer_down: Duration,
    pub between: Duration,
}

/// Commits each fault once, one after another. Returns early if the run ends.
pub async fn cycle(
    state: &Rc<State>,
    neighbours: &Neighbours,
    lengths: Lengths,
) -> Result<(), Error> {
    let pause = lengths.between;
    sleep(pause).await;
    let token = rotate(state, neighbours).await;
    // The gateways fetch the keys meanwhile.
    let withdrawing = spawn_local(withdraw(Rc::clone(state), token));
    for fault in 0..5 {
        sleep(pause).await;
        if !state.runs() {
            break;
        }
        match fault {
            0 => kill_store(state, neighbours, lengths.killed).await?,
            1 => reload(state, neighbours).await?,
            2 => pause_store(state, neighbours, lengths.paused).await?,
            3 => {
                while !withdrawing.is_finished() {
                    sleep(Duration::from_millis(100)).await;
                }
                restart_issuer(state, neighbours, lengths.issuer_down).await?;
            }
            _ => misbehave(state, neighbours, lengths.issuer_down).await?,
        }
    }
    Ok(withdrawing.await?)
}

/// Kills Redis, which has nothing on the disk, and starts it again.
async fn kill_store(state: &State, neighbours: &Neighbours, length: Duration) -> Result<(), Error> {
    let mut redis = neighbours.redis.lock().await;
    state.windows.borrow_mut().begin();
    state.event("Redis killed");
    redis.kill();
    sleep(length).await;
    redis.restart().await;
    // A new incarnation begins when a gateway has found the store, plus the margin and a second. All is in whole seconds.
    let fence = Duration::from_secs(CLOCK_MARGIN + 1 + state.settings.leeway + 1);
    state.windows.borrow_mut().end(RECOVERY, RECOVERY + fence);
    state.event("Redis answers");
    Ok(())
}

/// Stops Redis, whose connections stay open, and continues it.
async fn pause_store(
    state: &State,
    neighbours: &Neighbours,
    length: Duration,
) -> Result<(), Error> {
    let redis = neighbours.redis.lock().await;
    state.windows.borrow_mut().begin();
    state.event("Redis stopped");
    redis.pause();
    sleep(length).await;
    redis.resume();
    state.windows.borrow_mut().end(RECOVERY, Duration::ZERO);
    state.event("Redis continued");
    Ok(())
}

/// Ends the issuer, and starts it again. Its keys stay in use meanwhile.
async fn restart_issuer(
    state: &State,
    neighbours: &Neighbours,
    length: Duration,
) -> Result<(), Error> {
    state.event("issuer down");
    neighbours.issuer.stop().await;
    sleep(length).await;
    neighbours.issuer.restart().await?;
    state.event("issuer up");
    Ok(())
}

/// Has the issuer respond with 500, and then not at all.
async fn misbehave(state: &State, neighbours: &Neighbours, length: Duration) -> Result<(), Error> {
    state.event("issuer fails");
    neighbours.issuer.behave(Behaviour::Fails);
    sleep(length / 2).await;
    neighbours.issuer.behave(Behaviour::Hangs);
    sleep(length / 2).await;
    // The requests that hang end with their connections.
    neighbours.issuer.stop().await;
    neighbours.issuer.behave(Behaviour::Good);
    neighbours.issuer.restart().await?;
    state.event("issuer works");
    Ok(())
}

/// Changes the gateways' files, makes a mistake in them, and changes them once more.
async fn reload(state: &State, neighbours: &Neighbours) -> Result<(), Error> {
    let mut files = neighbours.files.lock().await;
    state.event("files changed");
    for step in 0..3 {
        for file in files.iter_mut() {
            match step {
                1 => file.spoil()?,
                _ => file.change()?,
            }
        }
        sleep(Duration::from_millis(1500)).await;
    }
    Ok(())
}

/// Publishes a new key, signs with it, and withdraws the old one. Returns a token of the old one, and its client.
async fn rotate(state: &State, neighbours: &Neighbours) -> (usize, String) {
    let old = state.people.borrow().current;
    let publish = |keys: &[usize]| {
        let jwks = state.people.borrow().jwks(keys.iter().copied());
        neighbours.issuer.publish(jwks);
    };
    publish(&[old, old + 1]);
    state.event("new key published");
    // Tokens with unknown keys make the gateways fetch the keys, at most once a second, and after a pause if the last
    // attempt failed.
    sleep(Duration::from_secs(6)).await;
    let token = state.people.borrow_mut().next_key();
    state.event("new key in use");
    sleep(Duration::from_secs(1)).await;
    publish(&[old + 1]);
    state.people.borrow_mut().forget_used();
    state.event("old key withdrawn");
    token
}

/// Sends a token of the old key as soon as it must be rejected.
async fn withdraw(state: Rc<State>, token: (usize, String)) {
    sleep(Duration::from_secs(REFRESH_AFTER + 2)).await;
    state.people.borrow_mut().withdrawn = Some(token);
    state.event("old key must be unknown");
}
