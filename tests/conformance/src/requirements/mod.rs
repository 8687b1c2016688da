//! What a policy asks for beyond a good token and proof, and policies by path.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request as AxumRequest, routing::get};
use dpop_tower::{
    ConfigErrorKind, DpopConfigBuilder, DpopLayer, Policy, PolicyTable, Report,
    clock::TimeSource as _,
    crypto::Algorithm,
    extract::{ProofKey, Scopes},
    nonce::{NonceSecret, NonceSource as _, StatelessNonces},
    policy::Draft,
    rejection::ProblemDetails,
    test_util::{KeyKind, TestClient, TokenBuilder},
};
use http::{HeaderValue, Method, Request, Response, header};
use serde_json::{Value, json};

use crate::{
    challenge::Challenge,
    stores::CountingStore,
    support::{Api, ORIGIN, URL, Verdict, Way, invalid_proof, invalid_request, invalid_token},
};

cases! { requirements as requirements;
each_way [
    rfc_9470_the_user_was_authenticated_as_is_asked_for_and_not_too_long_ago,
    a_claim_is_as_the_policy_wants_it,
    a_policy_shortens_the_life_of_proofs_and_never_lengthens_it,
    what_a_policy_asks_for_it_asks_of_bearer_tokens_too,
    asking_twice_takes_nothing_back,
    a_table_chooses_by_path_and_method,
    a_scope_that_is_missing_is_permission_denied_in_grpc,
]
each_way_of_the_layer [
    a_token_without_the_scope_is_rejected_with_403_and_told_which,
    a_policy_takes_algorithms_away_and_never_adds_any,
    a_nonce_is_asked_for_where_the_policy_says_so,
    of_two_layers_what_either_asks_for_counts_and_the_proof_is_used_once,
    an_inner_layer_that_wants_a_nonce_renews_it,
    an_inner_layer_asks_of_bearer_tokens_too,
    a_nonce_that_the_outer_layer_did_not_care_about_has_to_be_good_for_the_inner_one,
    a_request_that_lacks_a_scope_does_not_use_up_its_proof,
    a_policy_that_only_reports_tells_what_is_missing,
    a_table_sees_the_path_as_the_client_sent_it,
    handlers_can_ask_for_the_scopes_and_the_key_alone,
    rfc_9457_a_rejection_can_have_problem_details,
]
once [
    a_policy_that_nothing_can_satisfy_is_a_mistake_in_the_configuration,
]
}

async fn hello() -> &'static str {
    "hello"
}

fn protected<S>(api: &Api, policy: Policy<S>) -> Router {
    let config = api.config().policy(policy).build().unwrap();
    api.way.protect(config, orders(), orders())
}

/// For policies that no configuration would take as its own.
fn layered<S>(api: &Api, policy: Policy<S>) -> Router {
    let layer = DpopLayer::new(api.config().build().unwrap());
    with_layer(layer.with_policy(policy.build().unwrap()))
}

fn with_layer(layer: DpopLayer) -> Router {
    orders().layer(layer)
}

fn orders() -> Router {
    Router::new().route("/orders", get(hello).post(hello))
}

/// What becomes of a fresh request with this token.
async fn present(api: &Api, router: &Router, token: &str) -> Verdict {
    Verdict::of(respond(api, router, token).await)
}

async fn respond(api: &Api, router: &Router, token: &str) -> Response<Body> {
    api.way
        .send(router.clone(), api.client.get(URL, token))
        .await
}

fn bearer(token: &str) -> Request<()> {
    let request = Request::get("/orders").header(header::AUTHORIZATION, format!("Bearer {token}"));
    request.body(()).unwrap()
}

const fn insufficient_scope(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 403,
        error: "insufficient_scope",
        reason,
    }
}

const fn step_up(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "insufficient_user_authentication",
        reason,
    }
}

const fn use_nonce(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    }
}

async fn a_token_without_the_scope_is_rejected_with_403_and_told_which(way: Way) {
    let api = way.api();
    let missing = insufficient_scope("policy_scope_missing");
    let one = Policy::strict().require_scope("orders:write");
    let both = one.clone().require_scope("admin");
    let any = Policy::strict().require_any_scope(["orders:read", "orders:write"]);
    let mixed = any.clone().require_scope("admin");
    for (policy, granted, expected, told) in [
        (&one, "orders:write", Verdict::Admitted, ""),
        (&one, "a orders:write b", Verdict::Admitted, ""),
        (&one, "", missing, "orders:write"),
        (&one, "orders:writer", missing, "orders:write"),
        (&one, "orders", missing, "orders:write"),
        (&one, "ORDERS:WRITE", missing, "orders:write"),
        (&one, "orders:write,admin", missing, "orders:write"),
        (&both, "orders:write admin", Verdict::Admitted, ""),
        (&both, "orders:write", missing, "orders:write admin"),
        (&both, "admin", missing, "orders:write admin"),
        (&any, "orders:read", Verdict::Admitted, ""),
        (&any, "orders:write", Verdict::Admitted, ""),
        (&any, "admin", missing, "orders:read"),
        (&mixed, "orders:write admin", Verdict::Admitted, ""),
        (&mixed, "orders:write", missing, "orders:read admin"),
    ] {
        let router = layered(&api, policy.clone());
        let token = api.token().scope(granted).mint();
        let response = respond(&api, &router, &token).await;
        let challenges = Challenge::all(response.headers());
        let scope = challenges.first().and_then(|c| c.get("scope"));
        assert_eq!(scope.unwrap_or_default(), told, "{policy:?}: {granted}");
        assert_eq!(Verdict::of(response), expected, "{policy:?}: {granted}");
    }
    // Without the claim, too, and a client that has no token yet learns what to ask for.
    let router = layered(&api, one);
    let token = api.token().without_claim("scope").mint();
    assert_eq!(present(&api, &router, &token).await, missing);
    let nothing = Request::get("/orders").body(()).unwrap();
    let response = way.send(router, nothing).await;
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("scope"), Some("orders:write"));
    assert_eq!(challenges[0].get("error"), None);
}

async fn rfc_9470_the_user_was_authenticated_as_is_asked_for_and_not_too_long_ago(way: Way) {
    let api = way.api();
    let policy = Policy::strict()
        .require_acr(["urn:mfa", "urn:hardware"])
        .max_auth_age(Duration::from_secs(300));
    let router = protected(&api, policy);
    let token = |acr: Value, auth_time: Value| {
        let token = api.token().claim("acr", acr);
        token.claim("auth_time", auth_time).mint()
    };
    let now = api.now();
    let (acr, old) = (
        step_up("policy_acr_insufficient"),
        step_up("policy_auth_too_old"),
    );
    for (of_acr, auth_time, expected) in [
        (json!("urn:mfa"), json!(now), Verdict::Admitted),
        (json!("urn:hardware"), json!(now - 300), Verdict::Admitted),
        (json!("urn:mfa"), json!(now - 301), old),
        (json!("urn:mfa"), json!(null), old),
        (json!("urn:mfa"), json!(now.to_string()), old),
        (json!("urn:mfa"), json!([now]), old),
        (json!("urn:mfa"), json!(i64::MIN), old),
        (json!("urn:pwd"), json!(now), acr),
        (json!("urn:mfa urn:pwd"), json!(now), acr),
        (json!(["urn:mfa"]), json!(now), acr),
        (json!(null), json!(now), acr),
        (json!(""), json!(now), acr),
    ] {
        let what = format!("{of_acr} {auth_time}");
        let response = respond(&api, &router, &token(of_acr, auth_time)).await;
        if expected != Verdict::Admitted {
            let challenges = Challenge::all(response.headers());
            let acr_values = challenges[0].get("acr_values");
            assert_eq!(acr_values, Some("urn:mfa urn:hardware"), "{what}");
            assert_eq!(challenges[0].get("max_age"), Some("300"), "{what}");
        }
        assert_eq!(Verdict::of(response), expected, "{what}");
    }
    assert_eq!(present(&api, &router, &api.token().mint()).await, acr);
    // A verdict that was kept is no excuse.
    let token = token(json!("urn:mfa"), json!(now - 299));
    assert_eq!(present(&api, &router, &token).await, Verdict::Admitted);
    api.advance(2);
    assert_eq!(present(&api, &router, &token).await, old);
}

async fn a_claim_is_as_the_policy_wants_it(way: Way) {
    let api = way.api();
    let policy = Policy::strict()
        .require_claim("tenant", |tenant| tenant == 7)
        .require_claim("groups", |groups| {
            groups
                .as_array()
                .is_some_and(|groups| groups.contains(&json!("staff")))
        });
    let router = protected(&api, policy);
    let token = |tenant: Value, groups: Value| {
        let token = api.token().claim("tenant", tenant);
        token.claim("groups", groups).mint()
    };
    let rejected = insufficient_scope("policy_claim_insufficient");
    for (tenant, groups, expected) in [
        (json!(7), json!(["staff"]), Verdict::Admitted),
        (json!(8), json!(["staff"]), rejected),
        (json!("7"), json!(["staff"]), rejected),
        (json!(7), json!([]), rejected),
        (json!(7), json!("staff"), rejected),
        (json!(null), json!(null), rejected),
    ] {
        let what = format!("{tenant} {groups}");
        let verdict = present(&api, &router, &token(tenant, groups)).await;
        assert_eq!(verdict, expected, "{what}");
    }
    assert_eq!(present(&api, &router, &api.token().mint()).await, rejected);
}

async fn a_policy_shortens_the_life_of_proofs_and_never_lengthens_it(way: Way) {
    let api = way.api();
    for (secs, oldest) in [(5, 15), (60, 70), (600, 70)] {
        let policy = Policy::strict().max_proof_age(Duration::from_secs(secs));
        let router = protected(&api, policy);
        for (age, expected) in [
            (oldest, Verdict::Admitted),
            (oldest + 1, invalid_proof("proof_too_old")),
        ] {
            let token = api.token().mint();
            let proof = api.proof(&token).claim("iat", api.now() - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s with {secs} s");
        }
    }
}

async fn a_policy_takes_algorithms_away_and_never_adds_any(way: Way) {
    let api = way.api_with(
        |tokens| tokens,
        |config| config.algorithms([Algorithm::Es256, Algorithm::Ed25519]),
    );
    let ed25519 = TestClient::with_key(KeyKind::Ed25519).clock(api.clock.clone());
    let token = api.issuer.token().bound_to(&ed25519).mint();
    for (allowed, told, of_es256, of_ed25519) in [
        (&[Algorithm::Ed25519][..], "Ed25519", false, true),
        (&[Algorithm::Rs256, Algorithm::Es256], "ES256", true, false),
        (&Algorithm::ALL, "ES256 Ed25519", true, true),
    ] {
        let config = api
            .config()
            .algorithms([Algorithm::Es256, Algorithm::Ed25519]);
        let policy = Policy::strict().proof_algorithms(allowed.iter().copied());
        let layer = DpopLayer::new(config.build().unwrap()).with_policy(policy.build().unwrap());
        let router = with_layer(layer);
        let expected = |is_allowed| match is_allowed {
            true => Verdict::Admitted,
            false => invalid_proof("proof_alg_not_allowed"),
        };
        let verdict = present(&api, &router, &api.token().mint()).await;
        assert_eq!(verdict, expected(of_es256), "{allowed:?}");
        let verdict = Verdict::of(way.send(router.clone(), ed25519.get(URL, &token)).await);
        assert_eq!(verdict, expected(of_ed25519), "{allowed:?}");
        let nothing = Request::get("/orders").body(()).unwrap();
        let response = way.send(router, nothing).await;
        let challenges = Challenge::all(response.headers());
        assert_eq!(challenges[0].get("algs"), Some(told), "{allowed:?}");
    }
    // A configuration rejects a policy that leaves none; a layer lets nothing pass then, and has none to name.
    let policy = Policy::strict().proof_algorithms([Algorithm::Es512]);
    let error = api.config().policy(policy.clone()).build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::Policy);
    assert!(error.to_string().contains("algorithms ES512"), "{error}");
    let router = layered(&api, policy);
    let response = respond(&api, &router, &api.token().mint()).await;
    assert_eq!(response.status(), 401);
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("error"), Some("invalid_dpop_proof"));
    assert_eq!(challenges[0].get("algs"), None);
}

fn nonce_required() -> Policy {
    Policy::strict().require_nonce().build().unwrap()
}

fn nonces() -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([1; 32]).unwrap()).period(Duration::from_secs(120))
}

/// A `GET` with a fresh proof, with this nonce.
fn with_nonce(api: &Api, nonce: Option<&str>) -> Request<()> {
    let token = api.token().mint();
    let proof = api.proof(&token);
    let proof = match nonce {
        Some(nonce) => proof.nonce(nonce).sign(),
        None => proof.sign(),
    };
    let client = &api.client;
    client.request_with_proof(Method::GET, URL, &token, &proof)
}

async fn a_nonce_is_asked_for_where_the_policy_says_so(way: Way) {
    let api = way.api();
    for shared in [true, false] {
        let config: DpopConfigBuilder = match shared {
            true => api.config().nonce_source(nonces()),
            // A secret of this process.
            false => api.config(),
        };
        let layer = DpopLayer::new(config.build().unwrap());
        let asking = with_layer(layer.clone().with_policy(nonce_required()));
        let other = with_layer(layer);
        let response = way.send(asking.clone(), with_nonce(&api, None)).await;
        let nonce = response.headers()["dpop-nonce"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(Verdict::of(response), use_nonce("proof_nonce_missing"));
        assert_eq!(nonce == nonces().current(api.clock.now()), shared);
        for (given, expected) in [
            (nonce.as_str(), Verdict::Admitted),
            ("x", use_nonce("proof_nonce_unknown")),
        ] {
            let request = with_nonce(&api, Some(given));
            let verdict = Verdict::of(way.send(asking.clone(), request).await);
            assert_eq!(verdict, expected, "{given}");
        }
        for given in [None, Some("x"), Some(nonce.as_str())] {
            let response = way.send(other.clone(), with_nonce(&api, given)).await;
            assert!(!response.headers().contains_key("dpop-nonce"), "{given:?}");
            assert_eq!(Verdict::of(response), Verdict::Admitted, "{given:?}");
        }
    }
}

async fn what_a_policy_asks_for_it_asks_of_bearer_tokens_too(way: Way) {
    let api = way.api();
    let router = protected(&api, Policy::optional().require_scope("read"));
    let missing = insufficient_scope("policy_scope_missing");
    for (granted, expected) in [("read", Verdict::Admitted), ("write", missing)] {
        let token = api.issuer.token().scope(granted).mint();
        let response = way.send(router.clone(), bearer(&token)).await;
        if expected != Verdict::Admitted {
            let challenges = Challenge::all(response.headers());
            assert_eq!(challenges[1].scheme, "Bearer");
            assert_eq!(challenges[1].get("scope"), Some("read"));
        }
        assert_eq!(Verdict::of(response), expected, "{granted}");
        let bound = api.token().scope(granted).mint();
        assert_eq!(present(&api, &router, &bound).await, expected, "{granted}");
    }
}

async fn of_two_layers_what_either_asks_for_counts_and_the_proof_is_used_once(way: Way) {
    let api = way.api();
    let now = api.now();
    let too_old = invalid_proof("proof_too_old");
    // (a policy, what becomes of a request that is ten seconds old and whose token has scope `a`, what
    // would have to be there for it to pass)
    type Change = fn(TokenBuilder) -> TokenBuilder;
    let table: [(Policy<Draft>, Verdict, Change); 6] = [
        (
            Policy::strict().require_scope("b"),
            insufficient_scope("policy_scope_missing"),
            |token| token.scope("a b"),
        ),
        (
            Policy::strict().require_claim("x", |x| x == 1),
            insufficient_scope("policy_claim_insufficient"),
            |token| token.claim("x", 1),
        ),
        (
            Policy::strict().require_acr(["high"]),
            step_up("policy_acr_insufficient"),
            |token| token.claim("acr", "high"),
        ),
        (
            Policy::strict().max_auth_age(Duration::from_secs(60)),
            step_up("policy_auth_too_old"),
            |token| token.claim("auth_time", 1_800_000_000),
        ),
        (
            Policy::strict().require_nonce(),
            use_nonce("proof_nonce_missing"),
            |token| token,
        ),
        (
            Policy::strict().proof_algorithms([Algorithm::Ed25519]),
            invalid_proof("proof_alg_not_allowed"),
            |token| token,
        ),
    ];
    for (policy, expected, change) in table {
        for is_outer in [true, false] {
            let store = Arc::new(CountingStore::default());
            let config = api
                .config()
                .nonce_source(nonces())
                .replay_store(Arc::clone(&store));
            let layer = DpopLayer::new(config.build().unwrap());
            let asking = layer.clone().with_policy(policy.clone().build().unwrap());
            let (outer, inner) = match is_outer {
                true => (asking, layer),
                false => (layer, asking),
            };
            let router = with_layer(inner).layer(outer);
            let token = api.token().scope("a").mint();
            let proof = api.proof(&token).claim("iat", now - 10).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{policy:?}, outer: {is_outer}");

            // The client has no key for the other algorithm.
            if expected != invalid_proof("proof_alg_not_allowed") {
                let before = store.asked();
                let token = change(api.token().scope("a")).mint();
                let nonce = nonces().current(api.clock.now());
                let proof = api.proof(&token).nonce(&nonce).sign();
                let request = client.request_with_proof(Method::GET, URL, &token, &proof);
                let verdict = Verdict::of(way.send(router, request).await);
                assert_eq!(verdict, Verdict::Admitted, "{policy:?}, outer: {is_outer}");
                assert_eq!(store.asked(), before + 1, "{policy:?}");
            }
        }
    }
    // The age of a proof, in either layer.
    for is_outer in [true, false] {
        let layer = DpopLayer::new(api.config().build().unwrap());
        let short = Policy::strict().max_proof_age(Duration::from_secs(5));
        let asking = layer.clone().with_policy(short.build().unwrap());
        let (outer, inner) = match is_outer {
            true => (asking, layer),
            false => (layer, asking),
        };
        let router = with_layer(inner).layer(outer);
        for (age, expected) in [(15, Verdict::Admitted), (16, too_old)] {
            let token = api.token().mint();
            let proof = api.proof(&token).claim("iat", now - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s, outer: {is_outer}");
        }
    }
}

async fn an_inner_layer_that_wants_a_nonce_renews_it(way: Way) {
    let api = way.api();
    let config = api.config().nonce_source(nonces());
    let layer = DpopLayer::new(config.build().unwrap());
    let inner = layer.clone().with_policy(nonce_required());
    let router = with_layer(inner).layer(layer);
    let nonce = nonces().current(api.clock.now());
    for (secs, is_renewed) in [(0, false), (120, true)] {
        api.advance(secs);
        let response = way
            .send(router.clone(), with_nonce(&api, Some(&nonce)))
            .await;
        let new = response.headers().contains_key("dpop-nonce");
        assert_eq!(Verdict::of(response), Verdict::Admitted);
        assert_eq!(new, is_renewed, "after {secs} s");
    }
}

async fn an_inner_layer_asks_of_bearer_tokens_too(way: Way) {
    let api = way.api();
    let layer = DpopLayer::new(api.config().policy(Policy::optional()).build().unwrap());
    let asking = Policy::optional().require_scope("b").build().unwrap();
    let inner = layer.clone().with_policy(asking);
    let router = with_layer(inner).layer(layer);
    for (granted, expected) in [
        ("b", Verdict::Admitted),
        ("a", insufficient_scope("policy_scope_missing")),
    ] {
        let token = api.issuer.token().scope(granted).mint();
        let verdict = Verdict::of(way.send(router.clone(), bearer(&token)).await);
        assert_eq!(verdict, expected, "{granted}");
    }
}

async fn a_nonce_that_the_outer_layer_did_not_care_about_has_to_be_good_for_the_inner_one(
    way: Way,
) {
    let api = way.api();
    let config = api.config().nonce_source(nonces());
    let layer = DpopLayer::new(config.build().unwrap());
    let inner = layer.clone().with_policy(nonce_required());
    let router = with_layer(inner).layer(layer);
    let good = nonces().current(api.clock.now());
    for (nonce, expected) in [
        (good.as_str(), Verdict::Admitted),
        ("x", use_nonce("proof_nonce_unknown")),
        ("", use_nonce("proof_nonce_unknown")),
    ] {
        let request = with_nonce(&api, Some(nonce));
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, expected, "{nonce}");
    }
}

async fn asking_twice_takes_nothing_back(way: Way) {
    let api = way.api();
    let secs = Duration::from_secs;
    let twice = |first: u64, second: u64| {
        let policy = Policy::strict()
            .max_proof_age(secs(first))
            .max_proof_age(secs(second));
        policy.max_auth_age(secs(first)).max_auth_age(secs(second))
    };
    for policy in [twice(5, 30), twice(30, 5)] {
        let router = protected(&api, policy);
        for (age, since_login, expected) in [
            (15, 5, Verdict::Admitted),
            (16, 5, invalid_proof("proof_too_old")),
            (15, 6, step_up("policy_auth_too_old")),
        ] {
            let token = api.token().claim("auth_time", api.now() - since_login);
            let token = token.mint();
            let proof = api.proof(&token).claim("iat", api.now() - age).sign();
            let client = &api.client;
            let request = client.request_with_proof(Method::GET, URL, &token, &proof);
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{age} s, {since_login} s");
        }
    }
    let client = TestClient::with_key(KeyKind::Ed25519).clock(api.clock.clone());
    let (one, two) = (
        vec![Algorithm::Ed25519],
        vec![Algorithm::Es256, Algorithm::Ed25519],
    );
    for (first, second) in [(&one, &two), (&two, &one)] {
        let policy = Policy::strict()
            .proof_algorithms(first.iter().copied())
            .proof_algorithms(second.iter().copied())
            .require_acr(["a", "b"])
            .require_acr(["b", "c"]);
        let router = protected(&api, policy);
        for (acr, expected) in [
            ("b", Verdict::Admitted),
            ("a", step_up("policy_acr_insufficient")),
            ("c", step_up("policy_acr_insufficient")),
        ] {
            let token = api.issuer.token().bound_to(&client).claim("acr", acr);
            let request = client.get(URL, &token.mint());
            let verdict = Verdict::of(way.send(router.clone(), request).await);
            assert_eq!(verdict, expected, "{acr}");
        }
        let verdict = present(&api, &router, &api.token().claim("acr", "b").mint()).await;
        assert_eq!(verdict, invalid_proof("proof_alg_not_allowed"));
    }
}

async fn a_request_that_lacks_a_scope_does_not_use_up_its_proof(way: Way) {
    let api = way.api();
    let store = Arc::new(CountingStore::default());
    let config = api.config().replay_store(Arc::clone(&store));
    let layer = DpopLayer::new(config.build().unwrap());
    let router =
        with_layer(layer.with_policy(Policy::strict().require_scope("b").build().unwrap()));
    let verdict = present(&api, &router, &api.token().scope("a").mint()).await;
    assert_eq!(verdict, insufficient_scope("policy_scope_missing"));
    assert_eq!(store.asked(), 0);
    // Who has not shown the key does not learn what the token lacks.
    let token = api.token().scope("a").mint();
    let forged = api.proof(&token).corrupt_signature().sign();
    let client = &api.client;
    let request = client.request_with_proof(Method::GET, URL, &token, &forged);
    assert_eq!(
        Verdict::of(way.send(router, request).await),
        invalid_proof("proof_signature_invalid")
    );
}

async fn a_policy_that_only_reports_tells_what_is_missing(way: Way) {
    async fn report(request: AxumRequest) -> String {
        let report: &Report = request.extensions().get().unwrap();
        let rejection = report.rejection();
        rejection
            .map_or("fine", |rejection| rejection.reason())
            .to_owned()
    }
    let api = way.api();
    let layer = DpopLayer::new(api.config().build().unwrap());
    let router = Router::new()
        .route("/orders", get(report))
        .layer(layer.with_policy(Policy::report_only().require_scope("b").build().unwrap()));
    for (granted, expected) in [("b", "fine"), ("a", "policy_scope_missing")] {
        let token = api.token().scope(granted).mint();
        let response = respond(&api, &router, &token).await;
        assert_eq!(response.status(), 200);
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(&body.unwrap()[..], expected.as_bytes());
    }
}

/// Some routes behind one layer.
fn shop(api: &Api, table: PolicyTable) -> Router {
    let handlers = orders()
        .route("/health", get(hello))
        .route("/files/{*path}", get(hello));
    api.way
        .protect_by(api.config().build().unwrap(), table, handlers)
}

async fn a_table_chooses_by_path_and_method(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route("/health", Policy::off())
        .methods("/orders", [Method::GET], Policy::optional())
        .methods(
            "/orders",
            [Method::POST],
            Policy::strict().require_scope("write"),
        )
        .route("/files/{*path}", Policy::off())
        .build()
        .unwrap();
    let router = shop(&api, table);
    let token = api.token().scope("read").mint();
    let open = api.issuer.token().mint();
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    let malformed = invalid_request("path_malformed");
    let plain = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        request.body(()).unwrap()
    };
    for (what, request, expected) in [
        ("open", plain("GET", "/health"), Verdict::Admitted),
        ("open", plain("HEAD", "/health"), Verdict::Admitted),
        ("open", plain("GET", "/files/a/b"), Verdict::Admitted),
        ("open", plain("GET", "/files//a"), Verdict::Admitted),
        ("malformed", plain("GET", "/files/../orders"), malformed),
        ("malformed", plain("GET", "/files/%2e%2e/a"), malformed),
        ("odd", plain("GET", "/%66iles/a"), missing),
        ("optional", bearer(&open), Verdict::Admitted),
        ("optional", api.client.get(URL, &token), Verdict::Admitted),
        (
            "HEAD as GET",
            api.client.request(Method::HEAD, URL, &token),
            Verdict::Admitted,
        ),
        (
            "scope",
            api.client.request(Method::POST, URL, &token),
            insufficient_scope("policy_scope_missing"),
        ),
        ("another method", plain("DELETE", "/orders"), missing),
        ("not listed", plain("GET", "/elsewhere"), missing),
    ] {
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, expected, "{what}");
    }
    let mut post = bearer(&open);
    *post.method_mut() = Method::POST;
    let verdict = Verdict::of(way.send(router, post).await);
    assert_eq!(verdict, invalid_token("token_scheme_not_accepted"));
}

async fn a_table_sees_the_path_as_the_client_sent_it(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route("/api/health", Policy::off())
        .route("/health", Policy::strict().require_scope("never"))
        .build()
        .unwrap();
    let router = Router::new().nest("/api", shop(&api, table));
    let open = Request::get("/api/health").body(()).unwrap();
    let verdict = Verdict::of(way.send(router.clone(), open).await);
    assert_eq!(verdict, Verdict::Admitted);
    let token = api.token().mint();
    let request = api.client.get(&format!("{ORIGIN}/api/orders"), &token);
    let verdict = Verdict::of(way.send(router, request).await);
    assert_eq!(verdict, Verdict::Admitted);
}

async fn a_scope_that_is_missing_is_permission_denied_in_grpc(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route(
            "/shop.Orders/{*method}",
            Policy::strict().require_scope("read"),
        )
        .route("/grpc.health.v1.Health/{*method}", Policy::off())
        .build()
        .unwrap();
    let handlers = Router::new().fallback(hello);
    let router = way.protect_by(api.config().build().unwrap(), table, handlers);
    let call = |path: &str, granted: &str| {
        let token = api.token().scope(granted).mint();
        let uri = format!("{ORIGIN}{path}");
        let mut request = api.client.request(Method::POST, &uri, &token);
        let value = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert(header::CONTENT_TYPE, value);
        request
    };
    let response = way
        .send(router.clone(), call("/shop.Orders/List", "write"))
        .await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["grpc-status"], "7");
    let challenges = Challenge::all(response.headers());
    assert_eq!(challenges[0].get("error"), Some("insufficient_scope"));
    assert_eq!(challenges[0].get("scope"), Some("read"));
    let response = way
        .send(router.clone(), call("/shop.Orders/List", "read"))
        .await;
    assert!(!response.headers().contains_key("grpc-status"));
    let mut open = Request::post("/grpc.health.v1.Health/Check")
        .body(())
        .unwrap();
    let value = HeaderValue::from_static("application/grpc");
    open.headers_mut().insert(header::CONTENT_TYPE, value);
    let response = way.send(router, open).await;
    assert!(!response.headers().contains_key("grpc-status"));
}

async fn handlers_can_ask_for_the_scopes_and_the_key_alone(way: Way) {
    async fn scopes(scopes: Scopes) -> String {
        let known = scopes.contains("b") && !scopes.contains("c");
        format!("{scopes:?} {known}")
    }
    async fn key(ProofKey(thumbprint): ProofKey) -> String {
        thumbprint.to_string()
    }
    async fn optional_key(key: Option<ProofKey>) -> &'static str {
        key.map_or("none", |_| "some")
    }
    let api = way.api();
    let layer = DpopLayer::new(api.config().policy(Policy::optional()).build().unwrap());
    let router = Router::new()
        .route("/scopes", get(scopes))
        .route("/key", get(key))
        .route("/optional", get(optional_key))
        .layer(layer);
    let bound = api.token().scope("a b").mint();
    let open = api.issuer.token().scope("a b").mint();
    let thumbprint = api.client.thumbprint().to_string();
    for (path, of_bound, of_open) in [
        (
            "/scopes",
            "[\"a\", \"b\"] true",
            Some("[\"a\", \"b\"] true"),
        ),
        ("/key", &thumbprint, None),
        ("/optional", "some", Some("none")),
    ] {
        let mut open = bearer(&open);
        *open.uri_mut() = path.parse().unwrap();
        let bound = api.client.get(&format!("{ORIGIN}{path}"), &bound);
        for (request, expected) in [(bound, Some(of_bound)), (open, of_open)] {
            let response = way.send(router.clone(), request).await;
            let status = response.status();
            let body = axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap();
            assert_eq!(status, if expected.is_some() { 200 } else { 401 }, "{path}");
            assert_eq!(&body[..], expected.unwrap_or_default().as_bytes(), "{path}");
        }
    }
    let bare = Router::new()
        .route("/scopes", get(scopes))
        .route("/key", get(key));
    for path in ["/scopes", "/key"] {
        let request = Request::get(path).body(()).unwrap();
        assert_eq!(way.send(bare.clone(), request).await.status(), 500);
    }
}

async fn rfc_9457_a_rejection_can_have_problem_details(way: Way) {
    let api = way.api();
    let layer = DpopLayer::new(api.config().build().unwrap())
        .with_policy(Policy::strict().require_scope("b").build().unwrap())
        .with_rejection_response(ProblemDetails);
    let router = Router::new().route("/orders", get(hello)).layer(layer);
    let token = api.token().scope("a").mint();
    let nothing = Request::get("/orders").body(()).unwrap();
    for (request, expected) in [
        (
            api.client.get(URL, &token),
            json!({
                "status": 403,
                "title": "Forbidden",
                "detail": "the token lacks a scope",
                "error": "insufficient_scope",
            }),
        ),
        (
            nothing,
            json!({
                "status": 401,
                "title": "Unauthorized",
                "detail": "no access token was sent",
            }),
        ),
    ] {
        let response = way.send(router.clone(), request).await;
        assert_eq!(json!(response.status().as_u16()), expected["status"]);
        let media_type = &response.headers()[header::CONTENT_TYPE];
        assert_eq!(media_type, "application/problem+json");
        assert!(!Challenge::all(response.headers()).is_empty());
        let body = axum::body::to_bytes(response.into_body(), 1000)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, expected);
    }
}

async fn a_policy_that_nothing_can_satisfy_is_a_mistake_in_the_configuration() {
    let api = Api::new();
    for (policy, told) in [
        (Policy::strict().require_scope("a b"), "scope"),
        (Policy::strict().require_any_scope([""; 0]), "scope"),
        (Policy::strict().proof_algorithms([]), "algorithm"),
        (Policy::strict().require_acr([""; 0]), "`acr`"),
        (Policy::off().require_scope("a"), "`off`"),
        (
            Policy::strict().max_proof_age(Duration::ZERO),
            "max_proof_age",
        ),
        (
            Policy::strict().proof_algorithms([Algorithm::Es384]),
            "ES384",
        ),
    ] {
        let error = api.config().policy(policy).build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Policy);
        assert!(error.to_string().contains(told), "{error}");
    }
    assert!(
        api.config()
            .policy(Policy::strict().require_scope("a"))
            .build()
            .is_ok()
    );
}
