//! Any number of `Authorization` and `DPoP` headers with any bytes, through the whole layer.
//!
//! An independent implementation of RFC 9110 section 11.4 decides which requests are admitted.
#![no_main]

use std::num::NonZeroUsize;

use dpop_tower::{
    DpopConfig, DpopLayer, Policy, PublicOrigin,
    clock::{ManualClock, UnixTime},
    replay::MemoryReplayStore,
};
use dpop_tower_fuzz::{
    reading,
    rig::{NOW, ORIGIN, Reached, Signatures, send, thumbprint},
    script::{Headers, Kind, any_token, proof},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let optional = lines.contains(&&b"O"[..]);
    let headers = Headers::read(&lines);

    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).expect("an origin"), any_token())
        .crypto(Signatures::Hash)
        .replay_store(MemoryReplayStore::with_capacity(NonZeroUsize::MIN))
        .clock(ManualClock::new(UnixTime::from_secs(NOW)))
        .build()
        .expect("a configuration");
    let policy = if optional {
        Policy::optional()
    } else {
        Policy::strict()
    };
    let layer = DpopLayer::new(config).with_policy(policy);
    let response = send(&layer, headers.request());
    let reached = response.extensions().get::<Reached>();

    let credentials = reading::credentials(&headers.authorization);
    let (bound, bearer) = match &credentials {
        Some((scheme, token)) => (
            scheme == "dpop"
                && Kind::of(token) == Kind::Bound
                && headers.dpop.len() == 1
                && headers.dpop[0] == proof(token),
            optional && scheme == "bearer" && Kind::of(token) == Kind::Unbound,
        ),
        None => (false, false),
    };
    assert_eq!(reached.is_some(), bound || bearer, "{headers:?}");
    if let Some(reached) = reached {
        assert_eq!(reached.bearer.is_some(), bearer);
        let proved = reached
            .bound
            .as_ref()
            .map(|token| token.thumbprint().as_bytes());
        assert_eq!(proved, bound.then(|| thumbprint(0)).as_ref());
    }
});
