//! A configuration and a request. Most requests are rejected.
//!
//! A strict parser of `WWW-Authenticate` reads every rejection, which must contain exactly what the
//! operator's reason stands for.
#![no_main]

#[path = "../../../tests/conformance/src/challenge.rs"]
#[expect(
    unreachable_pub,
    reason = "it is public in the crate that it comes from"
)]
mod challenge;

use challenge::Challenge;
use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin, ResponseBody,
    clock::{ManualClock, UnixTime},
    crypto::Algorithm,
    future::MaybeReady,
    nonce::{NonceContext, NonceSource, NonceStatus},
    rejection::Rejection,
    replay::{AcceptanceWindows, Freshness, ReplayStore, StoreError, UsedProof},
};
use dpop_tower_fuzz::{
    rig::{NOW, ORIGIN, Reached, Signatures, send},
    script::{Headers, any_token},
};
use http::{HeaderValue, Response, header};
use libfuzzer_sys::fuzz_target;

/// Hands out the fuzzer's text as a nonce, and recognises none.
#[derive(Debug)]
struct Nonces(String);

impl NonceSource for Nonces {
    fn current(&self, _: &NonceContext<'_>) -> String {
        self.0.clone()
    }

    fn check(&self, _: &str, _: &NonceContext<'_>) -> NonceStatus {
        NonceStatus::Unknown
    }
}

#[derive(Debug, Default)]
struct FullStore(AcceptanceWindows);

impl ReplayStore for FullStore {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::ready(Err(StoreError::full()))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.0
    }
}

fuzz_target!(|input: &[u8]| {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let setting = |letter: u8| {
        lines
            .iter()
            .filter_map(move |line| line.strip_prefix(&[letter, b' ']))
            .filter_map(|value| str::from_utf8(value).ok())
    };
    let mut algorithms: Vec<Algorithm> = setting(b'G').filter_map(Algorithm::from_name).collect();
    if algorithms.is_empty() {
        algorithms.extend(Algorithm::DEFAULT);
    }
    let nonce = setting(b'N').next();
    let mode = setting(b'P').next().unwrap_or_default();
    let policy = match mode {
        "optional" => Policy::optional(),
        "report" => Policy::report_only(),
        "off" => Policy::off(),
        _ => Policy::strict(),
    };
    let headers = Headers::read(&lines);

    let origin = PublicOrigin::new(ORIGIN).expect("an origin");
    let mut config = DpopConfig::builder(origin, any_token())
        .crypto(Signatures::Hash)
        .algorithms(algorithms.iter().copied())
        .policy(policy)
        .replay_store(FullStore::default())
        .clock(ManualClock::new(UnixTime::from_secs(NOW)));
    if let Some(nonce) = nonce {
        config = config
            .nonce_source(Nonces(nonce.to_owned()))
            .require_nonces();
    }
    let layer = DpopLayer::new(config.build().expect("a configuration"));
    let response = send(&layer, headers.request());
    if response.extensions().get::<Reached>().is_some() {
        let left = [header::WWW_AUTHENTICATE, header::CACHE_CONTROL];
        assert!(
            left.iter()
                .all(|name| !response.headers().contains_key(name))
        );
        return;
    }
    assert!(!["report", "off"].contains(&mode), "nothing is rejected");
    let is_optional = mode == "optional";
    // RFC 9449 section 7.2: in the challenge of the scheme that was used, and in both if it was neither.
    let (in_dpop, in_bearer) = match headers.authorization.as_slice() {
        _ if !is_optional => (true, None),
        [one] if is_bearer(one) => (false, Some(true)),
        [] | [_] => (true, Some(false)),
        _ => (true, Some(true)),
    };
    check(&response, &algorithms, in_dpop, in_bearer, nonce);
});

fn is_bearer(authorization: &HeaderValue) -> bool {
    let bytes = authorization.as_bytes();
    let scheme = bytes.split(|byte| *byte == b' ').next();
    authorization.to_str().is_ok() && scheme.is_some_and(|s| s.eq_ignore_ascii_case(b"Bearer"))
}

/// Checks whether there is an error in the `DPoP` challenge, and in the `Bearer` challenge if there is
/// one.
fn check(
    response: &Response<ResponseBody<()>>,
    algorithms: &[Algorithm],
    in_dpop: bool,
    in_bearer: Option<bool>,
    nonce: Option<&str>,
) {
    let headers = response.headers();
    let rejection = response.extensions().get::<Rejection>().expect("rejected");
    let reason = rejection.reason();
    let (status, error) = if reason.starts_with("proof_nonce") {
        (401, Some("use_dpop_nonce"))
    } else if reason.starts_with("proof_") {
        (401, Some("invalid_dpop_proof"))
    } else if reason.starts_with("token_") {
        (401, Some("invalid_token"))
    } else if reason == "credentials_missing" {
        (401, None)
    } else if reason.starts_with("credentials_") || reason == "target_invalid" {
        (400, Some("invalid_request"))
    } else {
        (503, None)
    };
    assert_eq!(rejection.status(), status);
    match headers.get("grpc-status") {
        None => assert_eq!(response.status(), status),
        Some(code) => {
            assert_eq!(response.status(), 200);
            assert_eq!(code, if status == 503 { "14" } else { "16" });
        }
    }
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers.contains_key(header::RETRY_AFTER), status == 503);

    let challenges = Challenge::all(headers);
    let given = headers.get("dpop-nonce");
    if status == 503 {
        assert!(challenges.is_empty() && given.is_none());
        return;
    }
    // RFC 9449 section 8.1: one or more NQCHAR (RFC 6749 appendix A).
    let is_nqchar = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    let nonce = nonce.filter(|nonce| !nonce.is_empty() && nonce.bytes().all(is_nqchar));
    assert_eq!(given.map(HeaderValue::as_bytes), nonce.map(str::as_bytes));
    assert!(headers.get_all("dpop-nonce").iter().count() <= 1);

    let names: Vec<&str> = algorithms
        .iter()
        .map(|algorithm| algorithm.as_str())
        .collect();
    let dpop = challenges.first().expect("a challenge");
    assert_eq!(dpop.scheme, "DPoP");
    assert_eq!(dpop.get("algs"), Some(names.join(" ").as_str()));
    assert_eq!(
        dpop.names().len(),
        1 + 2 * usize::from(in_dpop && error.is_some())
    );

    assert_eq!(challenges.len(), 1 + usize::from(in_bearer.is_some()));
    if let Some((with_error, bearer)) = in_bearer.zip(challenges.get(1)) {
        assert_eq!(bearer.scheme, "Bearer");
        assert_eq!(
            bearer.names().len(),
            2 * usize::from(with_error && error.is_some())
        );
    }
    for (challenge, with_error) in challenges.iter().zip([in_dpop, in_bearer == Some(true)]) {
        let error = error.filter(|_| with_error);
        assert_eq!(challenge.get("error"), error);
        let description = error.map(|_| rejection.description());
        assert_eq!(challenge.get("error_description"), description);
    }
}
