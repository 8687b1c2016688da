//! What a server says about a request: challenges, errors of a token endpoint, and its clock.

use http::{HeaderMap, header};
use serde_json::Value;

use super::{
    challenge::{self, Challenge},
    dates::{self, Clock},
    message::Response,
    reasons,
    report::{Check, Item, Outcome},
    rules::Rule,
};

/// Explains a response, or returns `None` if it neither rejects anything nor has a nonce.
pub(super) fn inspect(response: &Response, clock: Option<Clock>) -> Option<Item> {
    let challenges: Vec<Challenge> = texts(&response.headers, header::WWW_AUTHENTICATE)
        .flat_map(challenge::parse)
        .collect();
    let mut item = Item::new(format!("response with status {}", response.status));
    item.is_by_server = true;
    let nonce = texts(&response.headers, "dpop-nonce").next();
    item.nonce = nonce.map(str::to_owned);
    if challenges.is_empty() {
        without_challenge(response, &mut item);
    } else {
        explain(&challenges, nonce, &mut item);
    }
    if let Some(nonce) = nonce {
        item.notes.push(format!(
            "DPoP-Nonce: the next proof for this server needs the nonce \"{nonce}\""
        ));
    }
    if let Some(seconds) = texts(&response.headers, header::RETRY_AFTER).next() {
        item.notes.push(format!("Retry-After: {seconds}"));
    }
    if let (Some(clock), Some(date)) = (clock, date(response)) {
        let offset = date.seconds_since(clock.now);
        let apart = dates::duration(offset.unsigned_abs());
        item.notes.push(match offset {
            -10..=10 => "the server's Date agrees with this computer's clock".to_owned(),
            11.. => format!("the server's Date is {apart} ahead of this computer's clock"),
            _ => format!(
                "the server's Date is {apart} behind this computer's clock, or the response is that old"
            ),
        });
    }
    let is_relevant = item.reason.is_some() || nonce.is_some();
    is_relevant.then_some(item)
}

/// Explains the challenges of one response.
pub(super) fn explain(challenges: &[Challenge], nonce: Option<&str>, item: &mut Item) {
    item.is_by_server = true;
    for challenge in challenges {
        let is_known = challenge.is_of("DPoP") || challenge.is_of("Bearer");
        if !is_known {
            continue;
        }
        let params = challenge.params.iter();
        let params: Vec<String> = params
            .map(|(name, value)| format!("{name}=\"{value}\""))
            .collect();
        item.notes.push(format!(
            "the server sent {} {}",
            challenge.scheme,
            params.join(", ")
        ));
        match challenge.get("error") {
            Some(error) => add_error(error, challenge.get("error_description"), item),
            None if item.checks.is_empty() => {}
            None => continue,
        }
        if challenge.get("error") == Some("use_dpop_nonce") && nonce.is_none() {
            item.notes.push(
                "there is no DPoP-Nonce header with the challenge (RFC 9449 section 9): the capture left it out, \
                 a proxy removed it, or CORS does not expose it"
                    .to_owned(),
            );
        }
        if challenge.is_of("DPoP") && challenge.get("algs").is_none() {
            item.notes.push(
                "the DPoP challenge has no algs, with which servers say what they accept (RFC 9449 section 7.1)"
                    .to_owned(),
            );
        }
    }
    let named = challenges.iter().find_map(|it| it.get("resource_metadata"));
    if let Some(url) = named {
        item.notes.push(format!(
            "the metadata at {url} names the authorization servers (RFC 9728 section 5.1), if its `resource` is the \
             URL that was called"
        ));
    }
    if item.reason.is_none() {
        let (reason, detail) = ("challenge", "the request had no usable credentials");
        item.checks
            .push(Check::failed(Rule::Answer, reason, detail));
        item.reason = Some(reason);
    }
    if !challenges.iter().any(|challenge| challenge.is_of("DPoP")) {
        item.notes.push(
            "no challenge has the scheme DPoP: the server does not ask for it here".to_owned(),
        );
    }
}

fn without_challenge(response: &Response, item: &mut Item) {
    let body: Option<Value> = serde_json::from_str(&response.body).ok();
    // The error of a token endpoint is in the body (RFC 6749 section 5.2, RFC 9449 section 8).
    let error = (body.as_ref())
        .filter(|_| response.status >= 400)
        .and_then(|body| body.get("error")?.as_str());
    let description = body
        .as_ref()
        .and_then(|body| body.get("error_description")?.as_str());
    match (error, response.status) {
        (Some(error), _) => add_error(error, description, item),
        (None, 401) => {
            let detail = "there is no WWW-Authenticate, which the status 401 requires (RFC 9110 section 11.6.1)";
            item.checks
                .push(Check::failed(Rule::Answer, "challenge", detail));
            item.reason = Some("challenge");
        }
        (None, 503) => {
            let detail = "the server cannot check the request at the moment";
            item.checks
                .push(Check::failed(Rule::Answer, "server_unavailable", detail));
            item.reason = Some("server_unavailable");
        }
        _ => {}
    }
}

fn add_error(error: &str, description: Option<&str>, item: &mut Item) {
    let detail = match description {
        Some(description) => format!("the server says {error}: {description}"),
        None => format!("the server says {error}"),
    };
    let reason = reasons::known(error);
    let rule = reason.and_then(reasons::rule).unwrap_or(Rule::Answer);
    let reason = reason.unwrap_or("rejected_by_server");
    item.checks.push(Check::failed(rule, reason, detail));
    item.reason.get_or_insert(reason);
    // Servers with this library say which check failed.
    let precise = description.and_then(reasons::by_description);
    if let Some((code, rule)) = precise.and_then(|code| Some((code, reasons::rule(code)?))) {
        let mut check = Check::new(rule, Outcome::Failed);
        check.reason = Some(code);
        item.checks
            .push(check.detail("the server's description names this check"));
    }
}

/// Returns the time at which the server answered, by its own clock.
pub(super) fn date(response: &Response) -> Option<dpop_tower::clock::UnixTime> {
    dates::parse_http(texts(&response.headers, header::DATE).next()?)
}

fn texts(headers: &HeaderMap, name: impl header::AsHeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
}
