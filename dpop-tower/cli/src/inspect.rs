//! `dpop inspect`: explains why a token, a proof or a request is rejected, check by check.
//!
//! [`inspect`] is a function of its arguments: it does no I/O and reads no clock. Every verdict is that of the
//! library. To show more than the first reason, an inspection adapts the request or the settings so that the
//! failed check passes, and asks the library again.
//!
//! | module | what it does |
//! |---|---|
//! | `command` | the command line, files and exit codes |
//! | `keys` | fetches the keys of an issuer |
//! | `input` | tells the kinds of input apart |
//! | `raw`, `har`, `curl`, `message` | read HTTP messages |
//! | `challenge`, `response` | explain what a server says |
//! | `request`, `target`, `audit`, `proof`, `token` | make the checks |
//! | `rules`, `reasons` | the checks, their clauses, and what to change |
//! | `report`, `text` | the result, and how it is printed |

mod audit;
mod challenge;
mod command;
mod crypto;
mod curl;
mod dates;
mod har;
mod input;
mod jws;
mod keys;
mod message;
mod proof;
mod raw;
mod reasons;
mod report;
mod request;
mod response;
mod rules;
mod target;
mod text;
mod token;

use std::{
    fmt,
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use dpop_tower::{clock::UnixTime, proof::Htu};

use self::{
    audit::Audit, dates::Clock, input::Subject, jws::Jws, message::Exchange, request::Seen,
    rules::Rule,
};
pub use self::{
    command::{Arguments, run},
    report::{Check, Item, Outcome, Report},
};

/// A longer input is not read.
pub const MAX_INPUT_LEN: usize = 16 * 1024 * 1024;

/// What an inspection compares with. What is not given is taken from the input, or not checked.
#[derive(Clone)]
pub struct Options {
    /// The URL that the proof should be for.
    pub url: Option<String>,
    /// The scheme, host and port by which clients call the service.
    pub origin: Option<String>,
    /// The method that the proof should be for.
    pub method: Option<String>,
    /// The access token that the proof should be for.
    pub token: Option<String>,
    /// The keys that the token's signature is verified with.
    pub keys: Option<IssuerKeys>,
    /// The audience that the token should have.
    pub audience: Option<String>,
    /// The nonce that the proof should have.
    pub nonce: Option<String>,
    /// The maximum age of proofs.
    pub max_age: Duration,
    /// Whether access tokens may have the `typ` `JWT`, or none.
    pub accept_typ_jwt: bool,
    /// Whether all claims are shown. Otherwise those that may be personal are left out.
    pub all_claims: bool,
    /// Whether the given time counts even if the capture says when a request was sent.
    pub time_is_fixed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: None,
            origin: None,
            method: None,
            token: None,
            keys: None,
            audience: None,
            nonce: None,
            max_age: Duration::from_secs(60),
            accept_typ_jwt: false,
            all_claims: false,
            time_is_fixed: false,
        }
    }
}

/// Hides the token.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").finish_non_exhaustive()
    }
}

/// The keys of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerKeys {
    /// The issuer, or `None` for the one that the token names.
    pub issuer: Option<String>,
    /// A JWK Set (RFC 7517 section 5).
    pub jwks: String,
}

/// The reason why an input cannot be inspected. It contains nothing of the input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    message: String,
    next_step: Option<&'static str>,
}

impl Unreadable {
    fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            next_step: None,
        }
    }

    fn next_step(mut self, next_step: &'static str) -> Self {
        self.next_step = Some(next_step);
        self
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unreadable {}

/// Inspects a token, a proof, a challenge, an HTTP message, a HAR or a curl command at the time `now`.
///
/// # Errors
///
/// Returns [`Unreadable`] if the input is none of these, or if the options contradict it.
pub fn inspect(input: &[u8], options: &Options, now: UnixTime) -> Result<Report, Unreadable> {
    if input.len() > MAX_INPUT_LEN {
        return Err(Unreadable::new("the input has more than 16 MiB"));
    }
    let whose = if options.time_is_fixed {
        "the given time"
    } else {
        "now"
    };
    let clock = Clock { now, whose };
    match Subject::detect(input)? {
        Subject::Proof(proof) => alone(
            "proof",
            Some(&proof),
            options.token.as_deref(),
            options,
            clock,
        ),
        Subject::Token(token) => alone("access token", None, Some(&token), options, clock),
        Subject::Challenge(challenges) => {
            let mut item = Item::new("challenge");
            response::explain(&challenges, None, &mut item);
            Ok(report("challenge", vec![item], Vec::new()))
        }
        Subject::Exchanges {
            input,
            exchanges,
            notes,
        } => {
            let (mut seen, mut items) = (Seen::new(), Vec::new());
            for exchange in &exchanges {
                let found = inspect_exchange(exchange, options, clock, &mut seen)?;
                settle_challenges(&mut items, &found);
                items.extend(found);
            }
            Ok(report(input, items, notes))
        }
    }
}

const fn report(input: &'static str, items: Vec<Item>, notes: Vec<String>) -> Report {
    Report {
        input,
        items,
        notes,
    }
}

/// Inspects a proof, with a token if one is given, or a token.
fn alone(
    input: &'static str,
    proof: Option<&str>,
    token: Option<&str>,
    options: &Options,
    clock: Clock,
) -> Result<Report, Unreadable> {
    let is_readable = token.is_none_or(|token| Jws::read(token).is_some());
    if proof.is_none() && !is_readable && options.keys.is_none() {
        return Err(
            Unreadable::new("the token is opaque or encrypted, so it says nothing here")
                .next_step("inspect a request with it, or ask its issuer (RFC 7662)"),
        );
    }
    let method = options.method.as_deref().map(message::method).transpose()?;
    let htu = options.url.as_deref().map(Htu::parse).transpose();
    let htu = htu.map_err(|error| Unreadable::new(format!("--url: {error}")))?;
    let audit = Audit {
        proof,
        token,
        method: method.as_ref(),
        htu: htu.as_ref(),
        options,
        clock,
    };
    let audited = audit.run()?;
    let mut item = Item::new(input);
    item.reason = audit::first_failed(&audited.checks);
    item.checks = audited.checks;
    item.decoded = audited.decoded;
    if proof.is_some() {
        let why = "only the server knows the earlier requests";
        item.checks.push(Check::skipped(Rule::Replay, why));
    }
    hint_at_old_captures(&mut item, options);
    Ok(report(input, vec![item], Vec::new()))
}

fn inspect_exchange(
    exchange: &Exchange,
    options: &Options,
    clock: Clock,
    seen: &mut Seen,
) -> Result<Vec<Item>, Unreadable> {
    let date = exchange.response.as_ref().and_then(response::date);
    let at = match (options.time_is_fixed, date, exchange.started) {
        (false, Some(now), _) if exchange.request.is_some() => Clock {
            now,
            whose: "the server's Date",
        },
        (false, None, Some(now)) => Clock {
            now,
            whose: "the time of the capture",
        },
        _ => clock,
    };
    let mut items = Vec::new();
    if let Some(request) = &exchange.request {
        let place = exchange.place.as_deref().unwrap_or("an earlier request");
        let mut item = request::inspect(request, options, at, seen, place)?;
        item.notes.extend(exchange.notes.iter().cloned());
        if let (Some(date), Some(started)) = (date, exchange.started) {
            let skew = skew(date.seconds_since(started), exchange.seconds);
            item.notes.extend(skew);
        }
        if at.whose == clock.whose {
            hint_at_old_captures(&mut item, options);
        }
        items.push(item);
    }
    if let Some(message) = &exchange.response {
        // The computer's clock says something only about a response that is fresh.
        let compared_with = exchange.request.is_none().then_some(clock);
        items.extend(response::inspect(message, compared_with));
    }
    if let Some(place) = &exchange.place {
        for item in &mut items {
            item.title = format!("{place}: {}", item.title);
        }
    }
    if items.is_empty() {
        items.push(Item::new("response that rejects nothing"));
    }
    Ok(items)
}

/// Clears the challenges for a nonce that the client has answered with that nonce, as it should.
fn settle_challenges(challenged: &mut [Item], answer: &[Item]) {
    let proofs = answer.iter().flat_map(|item| &item.decoded);
    for nonce in proofs.filter_map(|jwt| jwt.claims.get("nonce")?.as_str()) {
        for item in challenged.iter_mut() {
            if item.reason == Some("use_dpop_nonce") && item.nonce.as_deref() == Some(nonce) {
                item.reason = None;
                item.notes
                    .push("a later request has this nonce, as it should".to_owned());
            }
        }
    }
}

/// Compares the clock of the client with that of the server.
fn skew(offset: i64, took: u64) -> Option<String> {
    let allowed = took.saturating_add(10);
    let apart = dates::duration(offset.unsigned_abs());
    (offset.unsigned_abs() > allowed).then(|| match offset {
        ..0 => format!("the client's clock is {apart} ahead of the server's"),
        _ => format!("the client's clock is {apart} behind the server's"),
    })
}

fn hint_at_old_captures(item: &mut Item, options: &Options) {
    let is_old = (item.checks.iter())
        .any(|check| matches!(check.reason, Some("proof_too_old" | "token_expired")));
    if is_old && !options.time_is_fixed {
        item.notes.push(
            "if this is an old capture, give --now with the time at which it was made".to_owned(),
        );
    }
}

/// Returns the output of a future that does not wait for anything.
fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
