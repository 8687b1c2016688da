//! A whole request: the verdict of the library, and every check.

use std::{collections::HashMap, fmt, num::NonZeroUsize};

use dpop_tower::{
    DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier,
    clock::{ManualClock, UnixTime},
    future::MaybeReady,
    jwk::Thumbprint,
    nonce::{NonceContext, NonceSource, NonceStatus},
    proof::Htu,
    replay::MemoryReplayStore,
    target::{TargetRequest, TargetUri as _},
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};

use super::{
    Options, Unreadable,
    audit::{self, Audit},
    crypto::BACKEND,
    dates::Clock,
    message::Request,
    now_or_never,
    proof::not_reached,
    reasons,
    report::{Check, Item},
    rules::Rule,
    target::Target,
};

/// The proofs of the requests so far, and where they were used.
pub(super) type Seen = HashMap<(Thumbprint, String), String>;

/// Inspects one request.
pub(super) fn inspect(
    request: &Request,
    options: &Options,
    clock: Clock,
    seen: &mut Seen,
    place: &str,
) -> Result<Item, Unreadable> {
    let target = Target::of(request, options)?;
    let method = match &options.method {
        Some(method) => super::message::method(method)?,
        None => request.method.clone(),
    };
    let headers = with_token(request, options);
    let headers = &headers;
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let credentials = credentials.next().and_then(|value| value.to_str().ok());
    let (scheme, token) = credentials.map_or(("", None), split);
    let mut proofs = headers.get_all("dpop").iter();
    let (proof, second) = (proofs.next(), proofs.next());
    let proof = proof.and_then(|proof| proof.to_str().ok());
    let htu = target
        .origin
        .expected(TargetRequest::new(&target.uri, headers, None))
        .ok();
    let is_for_a_token = request.is_for_a_token() && token.is_none();
    let audit = Audit {
        proof: proof.filter(|_| second.is_none()),
        token,
        method: Some(&method),
        htu: htu.as_ref(),
        options,
        clock,
    };
    let mut audited = audit.run()?;

    let what = if is_for_a_token {
        "token request"
    } else {
        "request"
    };
    let url = htu.as_ref().map_or("*", Htu::as_str);
    let mut item = Item::new(format!("{what} {method} {url}"));
    item.notes.extend(target.note);
    let reason = if is_for_a_token {
        item.notes.push(
            "a token request has a proof and no access token (RFC 9449 section 5)".to_owned(),
        );
        audit::first_failed(&audited.checks)
    } else {
        let head = RequestHead::new(&method, &target.uri, headers);
        let answered = Answered(audited.token_verdict.take().unwrap_or_else(|| {
            // Only the issuer knows the token, so it counts as one that is bound to this key.
            let jkt = audited.thumbprint.map(|key| key.to_string());
            let later = clock.now.as_secs().saturating_add(1);
            let claims = json!({"exp": later, "cnf": {"jkt": jkt}});
            Ok(claims.as_object().cloned().unwrap_or_default())
        }));
        verdict(head, answered, &target.origin, options, clock.now)?
    };
    item.checks = credential_checks(scheme, token, reason, is_for_a_token);
    item.checks
        .push(match (proof, second, headers.contains_key("dpop")) {
            (_, Some(_), _) => Check::failed(
                Rule::OneProof,
                "proof_multiple",
                "there is more than one DPoP header",
            ),
            (_, None, false) => Check::failed(Rule::OneProof, "proof_missing", "there is none"),
            _ => Check::passed(Rule::OneProof),
        });
    item.checks.append(&mut audited.checks);
    item.decoded = audited.decoded;
    let (replay, is_new) = replay(&audited.key, seen, place);
    item.checks.push(replay);
    // The library finds a replay last, and only between requests that it admits.
    item.reason = reason.or_else(|| (!is_new).then_some("proof_replayed"));
    settle(&mut item);
    item.checks.sort_by_key(|check| check.rule);
    Ok(item)
}

/// Adds the given token to a request without one, which a browser may have left out of the capture.
fn with_token(request: &Request, options: &Options) -> HeaderMap {
    let mut headers = request.headers.clone();
    if let Some(token) = &options.token
        && !request.is_for_a_token()
        && !headers.contains_key(header::AUTHORIZATION)
        && let Ok(mut value) = HeaderValue::try_from(format!("DPoP {token}"))
    {
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    headers
}

/// Makes sure that the check of the verdict is shown as the one that failed.
fn settle(item: &mut Item) {
    let Some(reason) = item.reason else {
        // The checks and the verdict come from the same code. If they differ, nothing is called valid.
        item.reason = audit::first_failed(&item.checks);
        return;
    };
    let Some(rule) = reasons::rule(reason) else {
        return;
    };
    match item.checks.iter_mut().find(|check| check.rule == rule) {
        Some(check) if check.reason == Some(reason) => {}
        Some(check) => *check = Check::failed(rule, reason, "the request is rejected here"),
        None => item
            .checks
            .push(Check::failed(rule, reason, "the request is rejected here")),
    }
}

fn credential_checks(
    scheme: &str,
    token: Option<&str>,
    reason: Option<&'static str>,
    is_for_a_token: bool,
) -> Vec<Check> {
    if is_for_a_token {
        return Vec::new();
    }
    let credentials = match reason.filter(|reason| reasons::rule(reason) == Some(Rule::Credentials))
    {
        Some(reason) => {
            let detail = match (reason, token) {
                ("credentials_missing", Some(_)) => "its scheme is neither DPoP nor Bearer",
                ("credentials_missing", None) => "there is none",
                ("credentials_multiple", _) => "there is more than one",
                _ => "its value is malformed",
            };
            return vec![
                Check::failed(Rule::Credentials, reason, detail),
                not_reached(Rule::Scheme),
            ];
        }
        None => Check::passed(Rule::Credentials),
    };
    let scheme = match (scheme.eq_ignore_ascii_case("dpop"), token) {
        (true, _) => Check::passed(Rule::Scheme),
        (false, Some(_)) => Check::failed(
            Rule::Scheme,
            TokenErrorKind::SchemeNotAccepted.as_str(),
            format!("it is {scheme}"),
        ),
        (false, None) => not_reached(Rule::Scheme),
    };
    vec![credentials, scheme]
}

/// Splits the value of `Authorization`.
fn split(value: &str) -> (&str, Option<&str>) {
    match value.split_once(' ') {
        Some((scheme, token)) => {
            let token = token.trim_start_matches(' ');
            (scheme, Some(token).filter(|token| !token.is_empty()))
        }
        None => (value, None),
    }
}

fn replay(key: &Option<(Thumbprint, String)>, seen: &mut Seen, place: &str) -> (Check, bool) {
    let Some(key) = key else {
        return (not_reached(Rule::Replay), true);
    };
    if let Some(first) = seen.get(key) {
        let detail = format!("{first} has the same proof");
        let check = Check::failed(Rule::Replay, "proof_replayed", detail);
        return (check, false);
    }
    let is_first = seen.is_empty();
    seen.insert(key.clone(), place.to_owned());
    let check = match is_first {
        true => Check::skipped(Rule::Replay, "only the server knows the earlier requests"),
        false => Check::passed(Rule::Replay).detail("not by an earlier request of this input"),
    };
    (check, true)
}

fn verdict(
    head: RequestHead<'_>,
    answered: Answered,
    origin: &PublicOrigin,
    options: &Options,
    now: UnixTime,
) -> Result<Option<&'static str>, Unreadable> {
    let config = DpopConfig::builder(origin.clone(), answered)
        .clock(ManualClock::new(now))
        .crypto(BACKEND)
        .replay_store(MemoryReplayStore::with_capacity(NonZeroUsize::MIN))
        .danger_max_age(options.max_age);
    let config = match &options.nonce {
        Some(nonce) => config
            .nonce_source(OneNonce(nonce.clone()))
            .require_nonces(),
        None => config,
    };
    let config = config
        .build()
        .map_err(|error| Unreadable::new(error.to_string()))?;
    let verification = Verifier::new(config).verify(head, &Policy::strict());
    Ok(match now_or_never(verification) {
        Some(Verdict::Admitted(_)) => None,
        Some(Verdict::Rejected(rejection)) => Some(rejection.reason()),
        None => {
            return Err(Unreadable::new(
                "the request cannot be verified without waiting",
            ));
        }
    })
}

/// The verdict on the token, which is known already.
struct Answered(Result<Map<String, Value>, TokenErrorKind>);

impl TokenVerifier for Answered {
    fn verify(
        &self,
        _token: PresentedToken<'_>,
        _now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        MaybeReady::ready(match &self.0 {
            Ok(claims) => VerifiedToken::new(claims.clone()),
            Err(kind) => Err((*kind).into()),
        })
    }
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answered(..)")
    }
}

/// The nonce that the user has named.
struct OneNonce(String);

impl NonceSource for OneNonce {
    fn current(&self, _context: &NonceContext<'_>) -> String {
        self.0.clone()
    }

    fn check(&self, nonce: &str, _context: &NonceContext<'_>) -> NonceStatus {
        match nonce == self.0 {
            true => NonceStatus::Current,
            false => NonceStatus::Unknown,
        }
    }
}

impl fmt::Debug for OneNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneNonce(..)")
    }
}
