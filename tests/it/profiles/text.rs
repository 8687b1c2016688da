//! The text of a configuration and of a layer.

use std::{sync::Arc, time::Duration};

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin, Verifier,
    crypto::{Algorithm, AwsLcRs, Josekit},
    nonce::{NonceSecret, StatelessNonces},
    replay::MemoryReplayStore,
    revocation::MemoryRevocationList,
    target::{CertificateHeader, ClientCertificates, ForwardedTarget},
    test_util::TestIssuer,
    token::{ClientSecret, DynamicIssuers, Introspection, IssuerSource, KeyFetching, TokenError},
};
use http::Method;

use crate::{
    robustness::crypto::base64url,
    support::{ORIGIN, nonces},
};

fn origin() -> PublicOrigin {
    PublicOrigin::new(ORIGIN).unwrap()
}

fn default() -> DpopConfigBuilder {
    DpopConfig::builder(origin(), TestIssuer::new().tokens()).crypto(Josekit)
}

#[test]
fn a_configuration_writes_its_settings() {
    let expected = "\
public origin         https://api.test
client certificates   of connections to this server
issuer                https://issuer.test
  audiences           https://api.test
  algorithms          ES256 Ed25519 EdDSA PS256 RS256
  token types         at+jwt
  keys                given in place
  leeway              10 s
proof algorithms      ES256 Ed25519 EdDSA PS256 RS256
proof age             60 s
proof leeway          10 s
replay                MemoryReplayStore, proofs are remembered for 75 s
replay capacity       1000000 proofs, 100000 a key, 100000 a subject
nonces                required where a policy says so
nonce source          StatelessNonces with a random secret of this process, accepted for up to 240 s
revocation list       none
crypto                Josekit
tokens bound to       a key
policy                strict";
    assert_eq!(default().build().unwrap().to_string(), expected);
}

#[test]
fn a_layer_also_writes_its_policies_row_by_row() {
    let table = PolicyTable::builder()
        .route("/health", Policy::off())
        .methods(
            "/orders",
            [Method::GET, Method::PATCH],
            Policy::strict().require_scope("read"),
        )
        .methods("/orders", [Method::POST], Policy::optional())
        .route("/orders", Policy::strict().accept_certificate_bound())
        .route(
            "/ticker/{id}",
            Policy::strict().danger_let_streams_outlive_tokens(),
        )
        .route("/new", Policy::report_only());
    let without_others = table.clone().build().unwrap();
    let table = table.otherwise(Policy::deny()).build().unwrap();
    let expected = "\
policy of /health     off (protects nothing)
policy of GET PATCH /orders  strict, scope read
policy of POST /orders  optional
policy of other methods of /orders  strict, accepts a certificate alone
policy of /ticker/{id}  strict, streams outlive tokens [danger]
policy of /new        report_only (protects nothing)
policy of others      deny
streams               end when their token expires";
    let config = default().build().unwrap();
    let layer = DpopLayer::new(config.clone()).with_policy(table.clone());
    let text = layer.clone().end_streams_at_expiry().to_string();
    let (settings, policies) = text.split_once("tokens bound to").unwrap();
    let (bindings, policies) = policies.split_once('\n').unwrap();
    assert_eq!(policies, expected);
    assert_eq!(bindings.trim(), "a key or a certificate or nothing");
    assert!(config.to_string().starts_with(settings));
    assert!(
        layer
            .to_string()
            .ends_with("not ended by the layer when their token expires")
    );
    assert_eq!(layer.verifier().to_string(), layer.to_string());
    let revocable = default().revocation_list(MemoryRevocationList::new());
    let layer = DpopLayer::new(revocable.build().unwrap()).end_streams_at_expiry();
    assert!(
        layer
            .to_string()
            .ends_with("end when their token expires or is revoked")
    );

    let rows = "\
/health: off
GET PATCH /orders: strict, scope read
POST /orders: optional
other methods of /orders: strict, accepts a certificate alone
/ticker/{id}: strict, streams outlive tokens
/new: report_only
other requests: ";
    assert_eq!(table.to_string(), format!("{rows}deny"));
    let others = "the policy of the configuration";
    assert_eq!(without_others.to_string(), format!("{rows}{others}"));
}

fn line(config: &DpopConfig, name: &str) -> Vec<String> {
    let text = config.to_string();
    let named = text
        .lines()
        .filter(|line| line.get(..22).is_some_and(|it| it.trim() == name));
    let values: Vec<String> = named.map(|line| line[22..].to_owned()).collect();
    assert!(!values.is_empty(), "there is no {name} in {text}");
    values
}

#[test]
fn each_setting_is_part_of_the_text() {
    let secs = Duration::from_secs;
    let store = Arc::new(MemoryReplayStore::with_capacity(
        1_000_000.try_into().unwrap(),
    ));
    let certificates =
        ClientCertificates::forwarded(["10.0.0.0/8"], CertificateHeader::client_cert()).unwrap();
    let config = default()
        .algorithms([Algorithm::Ed25519])
        .max_age(secs(30))
        .leeway(secs(5))
        .require_nonces()
        .offer_nonces()
        .nonce_source(nonces().period(secs(20)))
        .accept_nonce_for_iat()
        .replay_store(store)
        .revocation_list(Arc::new(MemoryRevocationList::new()))
        .crypto(AwsLcRs)
        .client_certificates(certificates)
        .policy(Policy::strict().require_scope("api"))
        .clock(dpop_tower::clock::ManualClock::starting_now())
        .build()
        .unwrap();
    for (name, value) in [
        (
            "client certificates",
            "header client-cert of trusted proxies",
        ),
        ("proof algorithms", "Ed25519"),
        ("proof age", "30 s"),
        ("proof leeway", "5 s"),
        ("proof time", "that of the nonce, where there is one"),
        (
            "replay",
            "MemoryReplayStore, proofs are remembered for 80 s",
        ),
        ("nonces", "required, offered with every response"),
        ("nonce source", "StatelessNonces, accepted for up to 40 s"),
        ("revocation list", "MemoryRevocationList"),
        ("crypto", "AwsLcRs"),
        ("clock", "ManualClock"),
        ("policy", "strict, scope api"),
    ] {
        assert_eq!(line(&config, name), [value], "{name}");
    }
    let aliases = PublicOrigin::new("https://a.test").unwrap();
    let aliases = aliases.with_alias("https://b.test").unwrap();
    let target = ForwardedTarget::forwarded(aliases, ["10.0.0.0/8"]).unwrap();
    let config = DpopConfig::builder(target, TestIssuer::new().tokens());
    let config = config.build().unwrap();
    assert_eq!(
        line(&config, "public origin"),
        ["https://a.test", "https://b.test"]
    );
}

#[test]
fn settings_with_danger_in_their_name_are_marked() {
    let secs = Duration::from_secs;
    let introspection = Introspection::new("https://issuer.test")
        .endpoint("http://127.0.0.1:7/introspect")
        .client_secret_basic("orders", ClientSecret::new("hush").unwrap())
        .audience(ORIGIN)
        .danger_accept_missing_audience()
        .danger_allow_plain_http()
        .danger_leeway(secs(90));
    let fetching = KeyFetching::new().danger_max_key_age(secs(90_000));
    let issuer = Issuer::new("https://issuer.test")
        .jwks_url("http://idp.internal/keys")
        .audience(ORIGIN)
        .danger_leeway(secs(120))
        .danger_accept_typ_jwt()
        .danger_allow_plain_http_to_any_host()
        .key_fetching(fetching)
        .opaque_tokens(introspection);
    let config = DpopConfig::builder(origin(), issuer)
        .danger_max_age(secs(900))
        .danger_leeway(secs(300))
        .danger_allow_reuse_within_lifetime()
        .build()
        .unwrap();
    let text = config.to_string();
    let marked: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("[danger]"))
        .collect();
    let expected = [
        "  token types         at+jwt, [danger] JWT or none",
        "  keys                [danger] fetched over plain http from any host",
        "  keys                [danger] used for longer than is safe",
        "  leeway              [danger] 120 s",
        "  opaque tokens       [danger] answers without an audience are accepted",
        "  opaque tokens       leeway [danger] 90 s",
        "  opaque tokens       [danger] asked over plain http on this machine",
        "proof age             [danger] 900 s",
        "proof leeway          [danger] 300 s",
        "replay                [danger] proofs may be used again while they are valid",
    ];
    assert_eq!(marked, expected, "{text}");
}

#[test]
fn no_secret_is_part_of_the_text() {
    let nonce_secret = [0x5a; 32];
    let client_secret = "c1ient-secret";
    let introspection = Introspection::new("https://issuer.test")
        .endpoint("https://issuer.test/introspect?key=query-s3cret")
        .client_secret_basic("orders", ClientSecret::new(client_secret).unwrap())
        .audience(ORIGIN);
    let issuer = Issuer::new("https://issuer.test")
        .jwks_url("https://issuer.test/keys?key=query-s3cret")
        .audience(ORIGIN)
        .opaque_tokens(introspection);
    let nonces = StatelessNonces::new(NonceSecret::new(nonce_secret).unwrap());
    let config = DpopConfig::builder(origin(), issuer).nonce_source(nonces);
    let layer = DpopLayer::new(config.build().unwrap());
    let text = layer.to_string();
    assert!(text.contains("asked as orders with a secret"), "{text}");
    for secret in [
        client_secret,
        "query-s3cret",
        &base64url(nonce_secret),
        &"5a".repeat(32),
        "ZZZZ",
        "90, 90",
    ] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[derive(Debug)]
struct NoTenants;

impl IssuerSource for NoTenants {
    fn issuer(
        &self,
        _: &str,
    ) -> dpop_tower::future::MaybeReady<Result<Option<Issuer>, TokenError>> {
        dpop_tower::future::MaybeReady::ready(Ok(None))
    }
}

#[test]
fn what_is_not_known_in_advance_is_said_to_be_so() {
    let config = DpopConfig::builder(origin(), DynamicIssuers::new(NoTenants));
    let config = config.build().unwrap();
    assert_eq!(line(&config, "issuers"), ["looked up at run time"]);
}

#[test]
fn a_layer_says_which_of_its_policies_do_not_meet_the_profile() {
    let list = MemoryRevocationList::new();
    let config = DpopConfig::fapi2(origin(), TestIssuer::new().tokens()).revocation_list(list);
    let config = config.build().unwrap();
    assert_eq!(line(&config, "profile"), ["FAPI 2.0 Security Profile"]);
    let table = PolicyTable::builder()
        .route("/accounts", Policy::strict())
        .route("/old", Policy::optional())
        .route("/health", Policy::off())
        .otherwise(Policy::deny())
        .build()
        .unwrap();
    let log = crate::rejection::logging::Log::listen();
    let verifier = Verifier::new(config).with_policy(table);
    let told = "policy of /old: unbound tokens are admitted (5.3.4 item 5)";
    assert_eq!(super::not_met(&verifier), [told]);
    let warnings = log.take();
    let warnings: Vec<_> = warnings
        .iter()
        .filter(|line| line.contains("WARN"))
        .collect();
    assert_eq!(warnings.len(), 1, "{warnings:#?}");
    let why = "the policy (optional) does not meet the profile of its configuration (FAPI 2.0";
    assert!(warnings[0].contains(why), "{warnings:#?}");
}
