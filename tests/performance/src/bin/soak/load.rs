//! Good requests, requests that must be rejected, and requests that come again.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_tower_performance::load::Error;
use tokio::time::sleep;

use crate::{
    client::{Connection, Reply, request, request_with},
    people::Credentials,
    state::{State, Target},
};

/// What a restarted store makes of a proof from before.
const FENCED: &str = "the proof may have been used before a restart";

/// Sends good requests of a client, of which every fifth has a body.
pub async fn good(state: Rc<State>, target: Target, http2: bool, client: usize, every: Duration) {
    let mut connection = Connection::new(state.address(target), http2);
    let mut number = client;
    while state.runs() {
        number += 1;
        let body = number.is_multiple_of(5).then_some(2000);
        let begun = Instant::now();
        match good_once(&state, target, &mut connection, client, body).await {
            Ok(true) => {
                let api = target == Target::Api;
                let mut record = state.record.borrow_mut();
                record.latency(api, begun.elapsed());
                record.count(if api { "admitted_api" } else { "admitted" });
            }
            Ok(false) => {}
            Err(error) => state.fail(format!("a good request ({target:?}): {error}")),
        }
        sleep(every.saturating_sub(begun.elapsed())).await;
    }
}

/// Sends a good request, with a nonce if it is asked for one. Returns whether it was admitted.
async fn good_once(
    state: &State,
    target: Target,
    connection: &mut Connection,
    client: usize,
    body: Option<usize>,
) -> Result<bool, Error> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let mut nonce: Option<String> = None;
    loop {
        let begun = Instant::now();
        let credentials =
            state
                .people
                .borrow_mut()
                .good(client, method, "/orders/42", nonce.as_deref());
        let reply = connection
            .send(request("/orders/42", &credentials, body)?)
            .await?;
        state.record.borrow_mut().status(reply.status);
        state.record.borrow_mut().reason("good", reply.reason());
        let store_fails = target != Target::Api && state.windows.borrow().unavailable(begun);
        let fenced = target != Target::Api && state.windows.borrow().fenced(begun);
        return match (reply.status, &reply.nonce) {
            (200, _) => {
                if let Some(length) = body
                    && reply.body != length.to_string()
                {
                    return Err("the body is incomplete".into());
                }
                if body.is_none() {
                    state
                        .people
                        .borrow_mut()
                        .admitted(target == Target::Api, credentials);
                }
                Ok(true)
            }
            (401, Some(fresh)) if fenced && reply.description == FENCED && nonce.is_none() => {
                state.record.borrow_mut().count("challenged");
                nonce = Some(fresh.clone());
                continue;
            }
            // The store was killed again between the two, or it is not clear yet which incarnation it has.
            (401, _) if store_fails && reply.description.contains("nonce") => Ok(false),
            (503, _) if store_fails => {
                state.record.borrow_mut().count("unavailable_in_fault");
                Ok(false)
            }
            _ => Err(described(&reply).into()),
        };
    }
}

fn described(reply: &Reply) -> String {
    let body = String::from_utf8_lossy(&reply.body);
    let body: String = body.chars().take(80).collect();
    format!("{} {body:?}", reply.reason())
}

/// Sends one bad request after another.
pub async fn bad(state: Rc<State>, target: Target, every: Duration) {
    let mut connection = Connection::new(state.address(target), false);
    let mut number = 0;
    while state.runs() {
        sleep(every).await;
        number += 1;
        let bad = state
            .people
            .borrow_mut()
            .bad(number, state.settings.max_age);
        // The axum service has all keys from its beginning.
        if bad.kind == "withdrawn key" && target == Target::Api {
            continue;
        }
        // The gateway rejects a request without a store, if its proof may have been used before a restart, or if
        // nothing else is wrong so far.
        let begun = Instant::now();
        let sent = async {
            let request = request_with(bad.path, &bad.authorization, &bad.proofs, None)?;
            connection.send(request).await
        };
        let reply = match sent.await {
            Ok(reply) => reply,
            Err(error) => {
                state.fail(format!("a bad request, {} ({target:?}): {error}", bad.kind));
                continue;
            }
        };
        let in_fault = target != Target::Api
            && (reply.status == 503 && state.windows.borrow().unavailable(begun)
                || reply.description == FENCED && state.windows.borrow().fenced(begun));
        let mut record = state.record.borrow_mut();
        record.status(reply.status);
        record.reason(bad.kind, reply.reason());
        if (reply.status, reply.description.as_str()) == (bad.status, bad.description) {
            record.count("rejected");
        } else if in_fault {
            record.count("unavailable_in_fault");
        } else {
            let described = described(&reply);
            record.fail(format!(
                "{} ({target:?}) was answered with {described}",
                bad.kind
            ));
        }
    }
}

/// Sends proofs again that were admitted before.
pub async fn replays(state: Rc<State>, target: Target, every: Duration) {
    let mut connection = Connection::new(state.address(target), false);
    while state.runs() {
        sleep(every).await;
        // A proof that is too old by now is rejected anyway.
        let Some(used) = state.used(target) else {
            continue;
        };
        let begun = Instant::now();
        let reply = match replay(&mut connection, &used).await {
            Ok(reply) => reply,
            Err(error) => {
                state.fail(format!("a replay ({target:?}): {error}"));
                continue;
            }
        };
        state.replayed(target, begun, &reply);
    }
}

async fn replay(connection: &mut Connection, used: &Credentials) -> Result<Reply, Error> {
    connection.send(request("/orders/42", used, None)?).await
}

impl State {
    /// Judges the response to a proof that was sent again.
    pub(super) fn replayed(&self, target: Target, begun: Instant, reply: &Reply) {
        let store_fails = target != Target::Api && self.windows.borrow().unavailable(begun);
        // It was made so long ago at most.
        let made = begun.checked_sub(Duration::from_secs(self.settings.max_age));
        let fenced =
            target != Target::Api && made.is_none_or(|made| self.windows.borrow().fenced(made));
        let mut record = self.record.borrow_mut();
        record.status(reply.status);
        record.reason("replay", reply.reason());
        match (reply.status, reply.description.as_str()) {
            (401, "the proof was used before" | "the proof is too old") => {
                record.count("replays_rejected")
            }
            // Its nonce is of the incarnation before.
            (401, FENCED | "the proof's nonce is no longer valid") if fenced => {
                record.count("replays_rejected")
            }
            (503, _) if store_fails => record.count("unavailable_in_fault"),
            _ => record.fail(format!(
                "a replay ({target:?}) was answered with {}",
                reply.reason()
            )),
        }
    }
}

/// Sends proofs of one bound client, each with a `jti` of its own, as fast as a hostile client might.
pub async fn flood(state: Rc<State>, target: Target, client: usize, every: Duration) {
    let mut connection = Connection::new(state.address(target), false);
    while state.runs() {
        sleep(every).await;
        let begun = Instant::now();
        let credentials = state
            .people
            .borrow_mut()
            .good(client, "GET", "/orders/42", None);
        let sent = async {
            connection
                .send(request("/orders/42", &credentials, None)?)
                .await
        };
        let reply = match sent.await {
            Ok(reply) => reply,
            Err(error) => {
                state.fail(format!("the flood of jti ({target:?}): {error}"));
                continue;
            }
        };
        let windows = state.windows.borrow();
        let mut record = state.record.borrow_mut();
        record.status(reply.status);
        record.reason("flood of jti", reply.reason());
        match (reply.status, target) {
            (200, _) => record.count("flood_admitted"),
            // Its share of the store in memory is full.
            (503, Target::Api) => record.count("flood_limited"),
            (503, _) if windows.unavailable(begun) => record.count("unavailable_in_fault"),
            (401, _) if windows.fenced(begun) && reply.description == FENCED => {
                record.count("challenged")
            }
            _ => record.fail(format!("the flood of jti ({target:?}): {}", reply.reason())),
        }
    }
}

/// Sends tokens that name keys which the issuer does not have.
pub async fn unknown_keys(state: Rc<State>, target: Target, client: usize, every: Duration) {
    let mut connection = Connection::new(state.address(target), false);
    while state.runs() {
        sleep(every).await;
        let begun = Instant::now();
        let credentials = state.people.borrow_mut().unknown_kid(client);
        let sent = async {
            connection
                .send(request("/orders/42", &credentials, None)?)
                .await
        };
        let reply = match sent.await {
            Ok(reply) => reply,
            Err(error) => {
                state.fail(format!("unknown kid ({target:?}): {error}"));
                continue;
            }
        };
        let fenced = target != Target::Api && state.windows.borrow().fenced(begun);
        let mut record = state.record.borrow_mut();
        record.status(reply.status);
        record.reason("unknown kid", reply.reason());
        match reply.description.as_str() {
            "the token is signed with an unknown key" => record.count("rejected"),
            FENCED if fenced => record.count("unavailable_in_fault"),
            _ => record.fail(format!(
                "unknown kid ({target:?}) was answered with {}",
                reply.reason()
            )),
        }
    }
}
