//! What is valid but often a mistake is logged once, and is part of the text.

use std::{sync::Arc, time::Duration};

use dpop_tower::{
    ConfigErrorKind, DpopConfig, DpopConfigBuilder, DpopLayer, Policy, PolicyTable, PublicOrigin,
    Verifier,
    clock::{ManualClock, UnixTime},
    crypto::Algorithm,
    future::MaybeReady,
    nonce::{NonceSecret, StatelessNonces},
    policy::LayerPolicy,
    replay::{AcceptanceWindows, Freshness, MemoryReplayStore, ReplayStore, StoreError, UsedProof},
    target::{CertificateHeader, ClientCertificates, ForwardedTarget, IntoTarget},
    test_util::TestIssuer,
};
use http::Method;

use crate::{
    rejection::logging::Log,
    support::{ORIGIN, nonces},
};

const SECOND: Duration = Duration::from_secs(1);

fn origin(origin: &str) -> PublicOrigin {
    PublicOrigin::new(origin).unwrap()
}

fn at(target: impl IntoTarget) -> DpopConfigBuilder {
    DpopConfig::builder(target, TestIssuer::new().tokens())
}

fn good() -> DpopConfigBuilder {
    at(origin(ORIGIN))
}

fn warned(log: &Log) -> Vec<String> {
    let lines = log.take().into_iter();
    lines.filter(|line| line.contains(" WARN ")).collect()
}

fn in_text(text: &str) -> Vec<&str> {
    let lines = text.lines();
    lines
        .filter_map(|line| line.strip_prefix("warning               "))
        .collect()
}

/// Asserts that building the configuration logs one warning with these words, which its text and that of a layer have
/// as well.
#[track_caller]
fn assert_warns(builder: DpopConfigBuilder, words: &str) {
    let log = Log::listen();
    let config = builder.build().unwrap();
    let logged = warned(&log);
    assert_eq!(logged.len(), 1, "{words}: {logged:#?}");
    let layer = DpopLayer::new(config.clone());
    assert!(warned(&log).is_empty(), "the layer repeats it");
    for text in [config.to_string(), layer.to_string()] {
        let told = in_text(&text);
        assert_eq!(told.len(), 1, "{text}");
        assert!(told[0].contains(words), "{words} is not in {}", told[0]);
        assert!(
            logged[0].contains(told[0]),
            "{logged:?} differs from {told:?}"
        );
    }
    assert_eq!(config.warnings(), in_text(&config.to_string()));
}

#[track_caller]
fn assert_silent(builder: DpopConfigBuilder) {
    let log = Log::listen();
    let config = builder.build().unwrap();
    let layer = DpopLayer::new(config.clone());
    assert!(warned(&log).is_empty());
    assert!(config.warnings().is_empty());
    assert!(in_text(&layer.to_string()).is_empty(), "{layer}");
}

/// Asserts the same about a layer with this policy: its configuration has no warning.
#[track_caller]
fn assert_layer_warns(config: DpopConfigBuilder, policy: impl LayerPolicy, words: &str) {
    let config = config.build().unwrap();
    let log = Log::listen();
    let verifier = Verifier::new(config).with_policy(policy);
    let logged = warned(&log);
    assert_eq!(logged.len(), 1, "{words}: {logged:#?}");
    let text = verifier.to_string();
    let told = in_text(&text);
    assert_eq!(told.len(), 1, "{text}");
    assert!(told[0].contains(words), "{words} is not in {}", told[0]);
    assert!(
        logged[0].contains(told[0]),
        "{logged:?} differs from {told:?}"
    );
    assert_eq!(verifier.warnings(), told);
}

#[track_caller]
fn assert_layer_is_silent(config: DpopConfigBuilder, policy: impl LayerPolicy) {
    let config = config.build().unwrap();
    let log = Log::listen();
    let verifier = Verifier::new(config).with_policy(policy);
    assert!(warned(&log).is_empty());
    assert!(verifier.warnings().is_empty(), "{verifier}");
}

/// A store that other processes share, or that removes records by an age of its own.
#[derive(Debug)]
struct Store {
    windows: AcceptanceWindows,
    is_shared: bool,
    longest_life: Option<Duration>,
}

impl Store {
    fn shared() -> Self {
        Self {
            windows: AcceptanceWindows::new(),
            is_shared: true,
            longest_life: None,
        }
    }

    fn keeps_for(seconds: u32) -> Self {
        Self {
            longest_life: Some(SECOND * seconds),
            is_shared: false,
            ..Self::shared()
        }
    }
}

impl ReplayStore for Store {
    fn check_and_insert(&self, _: UsedProof) -> MaybeReady<Result<Freshness, StoreError>> {
        MaybeReady::ready(Ok(Freshness::Replayed))
    }

    fn windows(&self) -> &AcceptanceWindows {
        &self.windows
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    fn longest_life(&self) -> Option<Duration> {
        self.longest_life
    }
}

#[test]
fn good_configurations_have_no_warning() {
    assert_silent(good());
    assert_silent(good().require_nonces());
    assert_silent(good().replay_store(Store::shared()));
    assert_silent(
        good()
            .replay_store(Store::shared())
            .require_nonces()
            .nonce_source(nonces()),
    );
    assert_silent(good().max_age(SECOND * 10));
    assert_silent(good().danger_allow_reuse_within_lifetime());
    assert_silent(good().policy(Policy::optional()));
    assert_silent(good().policy(Policy::deny()));
    assert_silent(
        good()
            .require_nonces()
            .accept_nonce_for_iat()
            .nonce_source(nonces()),
    );
    assert_silent(at(origin("http://127.0.0.1:8080")));
    assert_silent(at(origin("http://[::1]")
        .with_alias("http://api.localhost")
        .unwrap()));
    let aliases = origin(ORIGIN)
        .with_alias("https://api.example.org")
        .unwrap();
    assert_silent(at(
        ForwardedTarget::x_forwarded(aliases, ["10.0.0.0/8"]).unwrap()
    ));
}

#[test]
fn nonces_of_one_process_beside_a_store_of_many_are_told() {
    let shared = || good().replay_store(Store::shared());
    let words = "other processes share the replay store";
    assert_warns(shared().require_nonces(), words);
    let of_this_process = StatelessNonces::new(NonceSecret::random().unwrap());
    let given = shared().nonce_source(Arc::new(of_this_process));
    assert_warns(given.require_nonces(), words);
    assert_warns(shared().policy(Policy::strict().require_nonce()), words);
    let policy = || Policy::strict().require_nonce().build().unwrap();
    assert_layer_warns(shared(), policy(), words);
    assert_layer_is_silent(shared().nonce_source(nonces()), policy());
    assert_layer_is_silent(good(), policy());
}

#[test]
fn a_store_that_forgets_proofs_while_they_are_valid_is_rejected() {
    // A proof may be 10 seconds ahead, and is then valid for 80 seconds and its last one. The margin is 5 seconds.
    assert!(good().replay_store(Store::keeps_for(86)).build().is_ok());
    let error = good()
        .replay_store(Store::keeps_for(85))
        .build()
        .unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Replay);
    let told = error.to_string();
    assert!(
        told.contains("keeps proofs for 85 seconds") && told.contains("up to 86"),
        "{told}"
    );
    let older = good()
        .replay_store(Arc::new(Store::keeps_for(86)))
        .max_age(SECOND * 61);
    assert!(older.build().is_err());
    let again = good()
        .replay_store(Store::keeps_for(1))
        .danger_allow_reuse_within_lifetime();
    assert!(again.build().is_ok());
}

#[test]
fn little_room_in_the_store_is_part_of_the_text() {
    let store = Arc::new(MemoryReplayStore::with_capacity(7_500.try_into().unwrap()));
    let log = Log::listen();
    let config = good().replay_store(Arc::clone(&store)).build().unwrap();
    assert_eq!(warned(&log).len(), 1);
    let text = config.to_string();
    let told = in_text(&text);
    assert_eq!(told.len(), 1, "{text}");
    let words = "at more than 100 requests a second it is used up";
    assert!(told[0].contains(words), "{text}");
    // The log says it once for each store.
    let other = good().replay_store(store).build().unwrap();
    assert!(warned(&log).is_empty());
    assert_eq!(other.warnings().len(), 1);
}

#[test]
fn origins_without_tls_are_told() {
    assert_warns(
        at(origin("http://api.example.com")),
        "http://api.example.com without TLS",
    );
    let local = origin(ORIGIN).with_alias("http://localhost:8080").unwrap();
    assert_warns(
        at(local),
        "http://localhost:8080 is listed beside an origin with TLS",
    );
    let plain = origin(ORIGIN).with_alias("http://api.example.com").unwrap();
    assert_warns(at(plain), "http://api.example.com without TLS");
}

#[test]
fn forwarded_headers_of_everybody_are_told() {
    let words = "forwarded headers of every peer are trusted";
    for everybody in ["0.0.0.0/0", "::/0"] {
        let aliases = origin(ORIGIN)
            .with_alias("https://api.example.org")
            .unwrap();
        let target = ForwardedTarget::x_forwarded(aliases, ["10.0.0.0/8", everybody]).unwrap();
        assert_warns(at(target), words);
        let target = ForwardedTarget::x_forwarded(origin(ORIGIN), [everybody]).unwrap();
        assert_warns(at(target.clone().prefixes(["/v1"]).unwrap()), words);
        // There is nothing to select.
        assert_silent(at(target));
    }
    let nobody = ForwardedTarget::forwarded(origin(ORIGIN), []).unwrap_err();
    assert_eq!(nobody.kind(), ConfigErrorKind::Target);
}

#[test]
fn certificates_that_anyone_may_report_are_rejected() {
    let header = CertificateHeader::client_cert;
    for everybody in ["0.0.0.0/0", "::/0"] {
        let error = ClientCertificates::forwarded(["10.0.0.0/8", everybody], header()).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Target);
        assert!(error.to_string().contains("every peer"), "{error}");
    }
    assert!(ClientCertificates::forwarded(["10.0.0.0/8", "::1"], header()).is_ok());
}

#[test]
fn settings_that_undo_each_other_are_told() {
    let short = good().max_age(SECOND * 5);
    assert_warns(
        short,
        "the leeway of 10 s is longer than the maximum age of 5 s",
    );
    let again = good().danger_allow_reuse_within_lifetime();
    assert_warns(
        again.replay_store(MemoryReplayStore::new()),
        "`replay_store` has no effect",
    );
    let for_iat = good().accept_nonce_for_iat().nonce_source(nonces());
    assert_warns(for_iat, "`accept_nonce_for_iat` has no effect");
    assert_warns(
        good().clock(ManualClock::new(UnixTime::from_secs(i64::MAX))),
        "the end of time",
    );
}

#[test]
fn reports_in_front_of_nothing_are_told() {
    let words = "no policy rejects a request";
    for policy in [Policy::report_only(), Policy::off()] {
        assert_warns(good().policy(policy), words);
    }
    assert_layer_warns(good(), Policy::report_only(), words);
    let table = PolicyTable::builder()
        .route("/health", Policy::off())
        .route("/orders", Policy::report_only())
        .otherwise(Policy::report_only());
    assert_layer_warns(good(), table.clone().build().unwrap(), words);
    let one_enforces = table
        .route("/new", Policy::report_only())
        .otherwise(Policy::strict());
    assert_layer_is_silent(good(), one_enforces.build().unwrap());
    // It is written where it applies, and an outer layer may protect its routes.
    assert_layer_is_silent(good(), Policy::off());
}

#[test]
fn requirements_without_effect_are_told() {
    let built = |policy: Policy<_>| policy.build().unwrap();
    let reports = PolicyTable::builder()
        .route("/new", Policy::report_only().require_nonce())
        .otherwise(Policy::strict())
        .build()
        .unwrap();
    assert_layer_warns(
        good(),
        reports,
        "policy of /new (report_only, nonce): a policy that only",
    );
    let words = "a bearer token passes without a proof";
    for policy in [
        Policy::optional().require_nonce(),
        Policy::optional().max_proof_age(SECOND * 30),
        Policy::optional().proof_algorithms([Algorithm::Es256]),
    ] {
        assert_layer_warns(good(), built(policy), words);
    }
    assert_layer_is_silent(good(), built(Policy::optional().require_scope("orders")));
    let older = built(Policy::strict().max_proof_age(SECOND * 60));
    assert_layer_warns(good(), older, "its maximum age of proofs has no effect");
    assert_layer_is_silent(good(), built(Policy::strict().max_proof_age(SECOND * 59)));
}

#[test]
fn rows_without_effect_and_weak_rows_are_part_of_the_text_of_a_layer() {
    let log = Log::listen();
    let table = PolicyTable::builder()
        .route("/public/{*path}", Policy::off())
        .route("/public/admin", Policy::strict())
        .methods("/orders", [Method::GET], Policy::strict())
        .route("/Orders", Policy::optional())
        .build()
        .unwrap();
    let of_table = warned(&log);
    assert_eq!(of_table.len(), 2, "{of_table:#?}");
    let verifier = Verifier::new(good().policy(Policy::optional()).build().unwrap());
    let verifier = verifier.with_policy(table);
    let of_layer = warned(&log);
    assert_eq!(of_layer.len(), 1, "{of_layer:#?}");
    let text = verifier.to_string();
    let told = in_text(&text);
    for words in [
        "the policy of `/public/{*path}` is off, which is weaker than strict for `/public/admin`",
        "the policy of `/Orders` (optional) is never in force alone",
        "the policy of what no row lists is optional, which is weaker than strict",
    ] {
        assert_eq!(
            told.iter().filter(|line| line.contains(words)).count(),
            1,
            "{words}: {text}"
        );
        let logged = of_table.iter().chain(&of_layer);
        assert_eq!(
            logged.filter(|line| line.contains(words)).count(),
            1,
            "{words}"
        );
    }
    assert_eq!(told.len(), 3, "{text}");
}
