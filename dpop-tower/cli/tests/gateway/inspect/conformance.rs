//! The cases of the conformance suite: an inspection of each request names the reason of the layer.

use std::{collections::BTreeMap, sync::Mutex};

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_cli::inspect::{self, IssuerKeys, Options};
use dpop_conformance::{
    Case,
    support::{Api, Backend, ORIGIN, Observer, Over, Way, Why},
};
use dpop_tower::{
    clock::{TimeSource as _, UnixTime},
    crypto::Josekit,
    nonce::{NonceContext, NonceSource as _, NonceStatus, StatelessNonces},
};
use http::{Request, Response};
use serde_json::Value;

/// What was found about the requests of the current case.
#[derive(Debug, Default)]
struct Found {
    case: &'static str,
    /// The number of rejected requests with each reason.
    reasons: BTreeMap<&'static str, usize>,
    admitted: usize,
    /// The cases with a rejected request.
    cases: Vec<&'static str>,
    mistakes: Vec<String>,
}

#[derive(Debug)]
struct Inspector(Mutex<Found>);

static INSPECTOR: Inspector = Inspector(Mutex::new(Found {
    case: "",
    reasons: BTreeMap::new(),
    admitted: 0,
    cases: Vec::new(),
    mistakes: Vec::new(),
}));

impl Observer for Inspector {
    fn observe(&self, api: &Api, request: &Request<()>, response: &Response<Body>) {
        let mut found = self.0.lock().unwrap();
        let expected = match Why::of(response).map(|why| why.reason) {
            // One request does not tell that another one had the same proof.
            Some("proof_replayed") => None,
            reason => reason,
        };
        let options = Options {
            nonce: (api.nonces.as_ref())
                .map(|nonces| expected_nonce(nonces, api.clock.now(), request)),
            origin: Some(ORIGIN.to_owned()),
            keys: Some(IssuerKeys {
                issuer: Some("https://issuer.test".to_owned()),
                jwks: api.issuer.jwks(),
            }),
            audience: Some(ORIGIN.to_owned()),
            ..Options::default()
        };
        let named = inspect::inspect(&super::raw(request), &options, api.clock.now())
            .map(|report| {
                let item = &report.items()[0];
                // Every reason has a check with a clause, and says what to change.
                let is_explained = item.reason().is_none_or(|reason| {
                    let checks = item.checks().iter();
                    let mut failed = checks.filter(|check| check.reason() == Some(reason));
                    item.clause().is_some() && failed.any(|check| check.fix().is_some())
                });
                // The first check that failed is the one that the layer names.
                let first = super::failed(item).first().copied();
                let is_first = item.reason() == first || first == Some("proof_missing");
                match is_explained && is_first {
                    true => item.reason(),
                    false => Some("not explained"),
                }
            })
            .map_err(|unreadable| unreadable.to_string());
        if named != Ok(expected) {
            let case = found.case;
            found
                .mistakes
                .push(format!("{case}: {expected:?}, not {named:?}"));
        }
        match expected {
            None => found.admitted += 1,
            Some(reason) => {
                *found.reasons.entry(reason).or_default() += 1;
                if found.cases.last() != Some(&found.case) {
                    let case = found.case;
                    found.cases.push(case);
                }
            }
        }
    }
}

/// Returns the nonce of the proof if the API accepts it, or else the current one.
fn expected_nonce(nonces: &StatelessNonces, now: UnixTime, request: &Request<()>) -> String {
    let at = NonceContext::new(now, &Josekit);
    let proof = request.headers().get("dpop");
    let payload = proof.and_then(|proof| proof.to_str().ok()?.split('.').nth(1));
    let claims = payload.and_then(|payload| URL_SAFE_NO_PAD.decode(payload).ok());
    let claims: Option<Value> = claims.and_then(|claims| serde_json::from_slice(&claims).ok());
    let nonce = claims.and_then(|claims| Some(claims.get("nonce")?.as_str()?.to_owned()));
    nonce
        .filter(|nonce| nonces.check(nonce, &at) != NonceStatus::Unknown)
        .unwrap_or_else(|| nonces.current(&at))
}

type Run = fn(Way) -> Case;

/// Lists the cases of a module that run in every way.
macro_rules! listed {
    (
        $run:path;
        each_way [$($each:ident,)*]
        each_way_of_the_layer [$($of_the_layer:ident,)*]
        once [$($once:ident,)*]
    ) => {
        use $run as run;

        pub(super) const CASES: &[(&str, super::Run)] = &[$((stringify!($each), run::$each),)*];
    };
}

use listed;

/// Lists the cases of these modules.
macro_rules! modules {
    ($($module:ident),+ $(,)?) => {
        $(mod $module {
            dpop_conformance::$module! { crate::inspect::conformance::listed }
        })+

        const MODULES: &[&[(&str, Run)]] = &[$($module::CASES),+];
    };
}

modules! {
    known_bugs, section_4_2, section_4_3, section_6, section_7_1, section_7_2, section_9, token,
}

/// Cases that take a second or more, and are of a kind that other cases have too.
const SLOW: [&str; 4] = [
    "a_proof_from_the_future_is_known_to_its_last_second",
    "bytes_that_are_not_printable_are_no_part_of_htu",
    "no_spelling_of_a_forwarded_header_moves_the_target",
    "rsa_keys_have_2048_to_4096_bits",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_names_the_reason_of_the_layer_for_the_cases_of_the_conformance_suite() {
    let way = Way::new(Backend::Josekit, Over::Observed(&INSPECTOR));
    for (name, run) in MODULES
        .iter()
        .copied()
        .flatten()
        .filter(|(name, _)| !SLOW.contains(name))
    {
        INSPECTOR.0.lock().unwrap().case = name;
        run(way).await;
    }
    let found = INSPECTOR.0.lock().unwrap();
    assert!(found.mistakes.is_empty(), "{:#?}", found.mistakes);
    let rejected: usize = found.reasons.values().sum();
    assert!(found.cases.len() >= 80, "cases: {}", found.cases.len());
    assert!(rejected >= 500, "rejected requests: {rejected}");
    assert!(found.reasons.len() >= 30, "reasons: {:?}", found.reasons);
    assert!(found.admitted >= 100, "admitted: {}", found.admitted);
}
