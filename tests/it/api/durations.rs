//! Durations of a configuration are whole seconds, wherever they are set.

use std::time::Duration;

use dpop_tower::{
    ConfigError, ConfigErrorKind, Policy,
    nonce::{NonceSecret, StatelessNonces},
    proof::ProofVerifier,
    replay::AcceptanceWindows,
};

use crate::support::Api;

type Set = fn(&Api, Duration) -> Result<(), ConfigError>;

const SETTINGS: [(&str, ConfigErrorKind, Set); 14] = [
    ("max_age", ConfigErrorKind::Window, |api, duration| {
        api.config().max_age(duration).build().map(drop)
    }),
    (
        "danger_max_age",
        ConfigErrorKind::Window,
        |api, duration| api.config().danger_max_age(duration).build().map(drop),
    ),
    ("leeway", ConfigErrorKind::Window, |api, duration| {
        api.config().leeway(duration).build().map(drop)
    }),
    ("danger_leeway", ConfigErrorKind::Window, |api, duration| {
        api.config().danger_leeway(duration).build().map(drop)
    }),
    ("max_age", ConfigErrorKind::Window, |_, duration| {
        ProofVerifier::default().max_age(duration).map(drop)
    }),
    ("danger_max_age", ConfigErrorKind::Window, |_, duration| {
        ProofVerifier::default().danger_max_age(duration).map(drop)
    }),
    ("leeway", ConfigErrorKind::Window, |_, duration| {
        ProofVerifier::default().leeway(duration).map(drop)
    }),
    ("danger_leeway", ConfigErrorKind::Window, |_, duration| {
        ProofVerifier::default().danger_leeway(duration).map(drop)
    }),
    ("leeway", ConfigErrorKind::Window, |api, duration| {
        build_tokens(api, api.issuer.tokens().leeway(duration))
    }),
    ("danger_leeway", ConfigErrorKind::Window, |api, duration| {
        build_tokens(api, api.issuer.tokens().danger_leeway(duration))
    }),
    (
        "StatelessNonces::period",
        ConfigErrorKind::Nonces,
        |api, duration| {
            let nonces = StatelessNonces::new(NonceSecret::random()?).period(duration);
            api.config().nonce_source(nonces).build().map(drop)
        },
    ),
    ("max_proof_age", ConfigErrorKind::Policy, |_, duration| {
        Policy::strict().max_proof_age(duration).build().map(drop)
    }),
    ("max_auth_age", ConfigErrorKind::Policy, |_, duration| {
        Policy::strict().max_auth_age(duration).build().map(drop)
    }),
    (
        "AcceptanceWindows::at_least",
        ConfigErrorKind::Replay,
        |_, duration| AcceptanceWindows::at_least(duration).map(drop),
    ),
];

fn build_tokens(api: &Api, tokens: dpop_tower::Issuer) -> Result<(), ConfigError> {
    let origin = dpop_tower::PublicOrigin::new(crate::support::ORIGIN)?;
    dpop_tower::DpopConfig::builder(origin, tokens)
        .clock(api.clock.clone())
        .build()
        .map(drop)
}

#[test]
fn no_setting_takes_a_fraction_of_a_second() {
    let api = Api::new();
    for (setting, kind, set) in SETTINGS {
        set(&api, Duration::from_secs(30)).unwrap();
        for duration in [
            Duration::from_nanos(1),
            Duration::from_millis(1_500),
            Duration::from_secs(30) + Duration::from_nanos(1),
        ] {
            let error = set(&api, duration).unwrap_err();
            assert_eq!(error.kind(), kind, "{setting} {error}");
            let text = error.to_string();
            for part in [setting, &format!("{duration:?}")] {
                assert!(text.contains(part), "{part:?} is not in {text:?}");
            }
        }
    }
}
