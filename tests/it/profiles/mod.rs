//! Profiles: a test for each clause that a preset sets, always meets, or shows as not met.

mod atproto;
mod clauses;
mod fapi2;
mod mcp;
mod text;

use std::fmt::Display;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, Issuer, PublicOrigin,
    clock::ManualClock,
    clock::UnixTime,
    metadata::ResourceMetadata,
    test_util::{TestClient, TestIssuer},
};
use http::{HeaderValue, Method, Request, header};

use crate::{
    robustness::crypto::JoseKey,
    support::{Api, Backend, ORIGIN, Over, URL, Way, router},
};

/// One of the constructors of a profile.
type Preset = fn(PublicOrigin, Issuer) -> DpopConfigBuilder;

const FAPI2: Preset = |origin, issuer| DpopConfig::fapi2(origin, issuer);
const MCP: Preset =
    |origin, issuer| DpopConfig::mcp(origin, issuer).resource_metadata(ResourceMetadata::new());
const ATPROTO: Preset =
    |origin, issuer| DpopConfig::atproto(origin, issuer).resource_metadata(ResourceMetadata::new());

/// Returns an API with the settings of a profile, changed by the test, and its configuration.
fn api_with(
    preset: Preset,
    tokens: impl FnOnce(Issuer) -> Issuer,
    change: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
) -> (Api, DpopConfig) {
    let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
    let issuer = TestIssuer::new().clock(clock.clone());
    let client = TestClient::new().clock(clock.clone());
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let builder = preset(origin, tokens(issuer.tokens())).clock(clock.clone());
    let config = change(builder).build().unwrap();
    let api = Api {
        way: Way::new(Backend::Josekit, Over::Process),
        router: router(config.clone()),
        issuer,
        client,
        clock,
        nonces: None,
    };
    (api, config)
}

fn api(preset: Preset) -> Api {
    api_with(preset, |tokens| tokens, |config| config).0
}

/// Returns what a profile is not met in, according to a text.
fn not_met(text: impl Display) -> Vec<String> {
    let text = text.to_string();
    let lines = text.lines();
    let values = lines.filter_map(|line| line.strip_prefix("  not met"));
    values.map(|value| value.trim().to_owned()).collect()
}

/// Returns what a profile is not met in after a change, which is logged as well.
fn after(
    preset: Preset,
    change: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
) -> Vec<String> {
    let log = crate::rejection::logging::Log::listen();
    let (_, config) = api_with(preset, |tokens| tokens, change);
    let lines = log.take();
    let not_met = not_met(&config);
    for why in not_met.iter().filter(|why| !why.starts_with("policy: ")) {
        let is_told = |line: &String| line.contains("WARN") && line.contains(why.as_str());
        assert!(lines.iter().any(is_told), "{why}: {lines:#?}");
    }
    not_met
}

/// Returns a request with the token in the query, and nothing in `Authorization`.
fn with_token_in_query(api: &Api, token: &str) -> Request<()> {
    let mut request = api.client.request(Method::GET, URL, token);
    request.headers_mut().remove(header::AUTHORIZATION);
    let uri = format!("/orders?access_token={token}");
    *request.uri_mut() = uri.parse().unwrap();
    request
}

fn with_scheme(mut request: Request<()>, scheme: &str, token: &str) -> Request<()> {
    let value = HeaderValue::from_str(&format!("{scheme} {token}")).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

/// Returns a token that is bound to this key, and a proof of it.
fn bound_to(api: &Api, key: &JoseKey) -> (String, String) {
    let cnf = serde_json::json!({ "jkt": key.thumbprint() });
    let token = api.token().claim("cnf", cnf).mint();
    let header = serde_json::json!({
        "typ": "dpop+jwt",
        "alg": key.algorithm.as_str(),
        "jwk": key.public(),
    });
    let proof = key.jws(&header.to_string(), &api.proof(&token).payload_json());
    (token, proof)
}
