//! Requirements of one of two layers, in either position.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use dpop_tower::{
    DpopLayer, Policy, RequireScopeLayer,
    clock::TimeSource as _,
    crypto::{Algorithm, AwsLcRs},
    nonce::{NonceContext, NonceSource as _},
    policy,
    rejection::Rejection,
    test_util::{KeyKind, TestClient},
};
use http::{Request, Response};

use super::modes::{OFF, OPTIONAL, REPORT, STRICT, answer, pair, respond};
use crate::{
    rejection::challenge::Challenge,
    support::{Api, Backend, URL, Verdict, nonces, send},
};

dpop_conformance::each_backend!(
    each_layer_gets_what_it_asks_for_and_the_one_that_rejects_says_what,
    a_layer_that_only_reports_rejects_nobody_for_what_it_asks_for,
    who_is_rejected_by_the_inner_layer_gets_the_new_nonce_of_the_outer_one,
    a_scope_is_required_inside_of_each_mode,
    a_scope_is_required_inside_of_each_pair_of_modes,
    a_scope_asks_for_no_nonce,
);

/// A request that meets no requirement, until it is changed to.
struct Draft {
    scope: &'static str,
    tier: &'static str,
    acr: &'static str,
    authenticated_before: i64,
    signed_before: i64,
    has_nonce: bool,
    key: KeyKind,
}

impl Draft {
    const fn new() -> Self {
        Self {
            scope: "read",
            tier: "silver",
            acr: "pwd",
            authenticated_before: 301,
            // Ten seconds of leeway, and five of the requirement.
            signed_before: 16,
            has_nonce: false,
            key: KeyKind::Ed25519,
        }
    }

    fn request(&self, api: &Api) -> Request<()> {
        let client = TestClient::with_key(self.key).clock(api.clock.clone());
        let token = (api.issuer.token().bound_to(&client))
            .scope(self.scope)
            .claim("tier", self.tier)
            .claim("acr", self.acr)
            .claim("auth_time", api.now() - self.authenticated_before)
            .mint();
        let proof = client.proof("GET", URL).access_token(&token);
        let proof = proof.claim("iat", api.now() - self.signed_before);
        let proof = match self.has_nonce {
            true => proof.nonce(&nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs))),
            false => proof,
        };
        client.request_with_proof(http::Method::GET, URL, &token, &proof.sign())
    }
}

/// Something that a policy can ask for, how it is met, and what a client hears that does not meet it.
struct Requirement {
    ask: fn(Policy) -> Policy<policy::Draft>,
    meet: fn(&mut Draft),
    reason: &'static str,
    status: u16,
    error: &'static str,
    /// The parameter that says what is asked for.
    told: Option<(&'static str, &'static str)>,
}

/// Each has an answer of its own (RFC 6750 section 3.1, RFC 9470 section 3, RFC 9449 sections 7.1 and 9).
const REQUIREMENTS: [Requirement; 8] = [
    Requirement {
        ask: |policy| policy.require_scope("write"),
        meet: |draft| {
            draft.scope = match draft.scope {
                "read admin" => "read admin write",
                _ => "read write",
            }
        },
        reason: "policy_scope_missing",
        status: 403,
        error: "insufficient_scope",
        told: Some(("scope", "write")),
    },
    Requirement {
        ask: |policy| policy.require_any_scope(["delete", "admin"]),
        meet: |draft| {
            draft.scope = match draft.scope {
                "read write" => "read write admin",
                _ => "read admin",
            }
        },
        reason: "policy_scope_missing",
        status: 403,
        error: "insufficient_scope",
        told: Some(("scope", "delete")),
    },
    Requirement {
        ask: |policy| policy.require_claim("tier", |tier| tier == "gold"),
        meet: |draft| draft.tier = "gold",
        reason: "policy_claim_insufficient",
        status: 403,
        error: "insufficient_scope",
        told: None,
    },
    Requirement {
        ask: |policy| policy.require_acr(["mfa"]),
        meet: |draft| draft.acr = "mfa",
        reason: "policy_acr_insufficient",
        status: 401,
        error: "insufficient_user_authentication",
        told: Some(("acr_values", "mfa")),
    },
    Requirement {
        ask: |policy| policy.max_auth_age(Duration::from_secs(300)),
        meet: |draft| draft.authenticated_before = 300,
        reason: "policy_auth_too_old",
        status: 401,
        error: "insufficient_user_authentication",
        told: Some(("max_age", "300")),
    },
    Requirement {
        ask: Policy::require_nonce,
        meet: |draft| draft.has_nonce = true,
        reason: "proof_nonce_missing",
        status: 401,
        error: "use_dpop_nonce",
        told: None,
    },
    Requirement {
        ask: |policy| policy.max_proof_age(Duration::from_secs(5)),
        meet: |draft| draft.signed_before = 15,
        reason: "proof_too_old",
        status: 401,
        error: "invalid_dpop_proof",
        told: None,
    },
    Requirement {
        ask: |policy| policy.proof_algorithms([Algorithm::Es256]),
        meet: |draft| draft.key = KeyKind::P256,
        reason: "proof_alg_not_allowed",
        status: 401,
        error: "invalid_dpop_proof",
        told: Some(("algs", "ES256")),
    },
];

impl Requirement {
    /// It is the rejection of a layer that asks for this and for nothing else.
    fn assert_told<B>(&self, response: &Response<B>, what: &str) {
        let rejection = response.extensions().get::<Rejection>();
        let reason = rejection.map_or("none", Rejection::reason);
        assert_eq!(reason, self.reason, "{what}");
        assert_eq!(response.status().as_u16(), self.status, "{what}");
        let challenges = Challenge::all(response.headers());
        let [challenge] = challenges.as_slice() else {
            panic!("{challenges:?}, {what}");
        };
        assert_eq!(challenge.scheme, "DPoP", "{what}");
        assert_eq!(challenge.get("error"), Some(self.error), "{what}");
        let mut names = vec!["error", "error_description"];
        names.extend(self.told.map(|(name, _)| name));
        names.retain(|name| *name != "algs");
        names.push("algs");
        assert_eq!(challenge.names(), names, "{what}");
        if let Some((name, value)) = self.told {
            assert_eq!(challenge.get(name), Some(value), "{what}");
        }
        let takes_es256_alone = challenge.get("algs") == Some("ES256");
        let asks_for_es256 = self.reason == "proof_alg_not_allowed";
        assert_eq!(takes_es256_alone, asks_for_es256, "{what}");
        // Of nonces, a client hears where it needs one, and not elsewhere.
        let has_nonce = response.headers().contains_key("dpop-nonce");
        assert_eq!(has_nonce, self.error == "use_dpop_nonce", "{what}");
    }
}

fn layer(api: &Api) -> DpopLayer {
    let config = api.config().nonce_source(nonces());
    DpopLayer::new(config.build().unwrap())
}

fn built(draft: Policy<policy::Draft>) -> Policy {
    draft.build().unwrap()
}

/// Two layers of one configuration, and of two.
fn layers(api: &Api) -> [(DpopLayer, DpopLayer); 2] {
    let shared = layer(api);
    [(shared.clone(), shared), (layer(api), layer(api))]
}

/// Each requirement and none, around each and none, for requests that meet both, either and neither.
async fn each_layer_gets_what_it_asks_for_and_the_one_that_rejects_says_what(backend: Backend) {
    let api = backend.api();
    let calls = Arc::default();
    let each_or_none = || REQUIREMENTS.iter().map(Some).chain([None]);
    let policy = |requirement: Option<&Requirement>| {
        let asking =
            |requirement: &Requirement| (requirement.ask)(Policy::strict()).build().unwrap();
        requirement.map_or_else(Policy::strict, asking)
    };
    for outer in each_or_none() {
        for inner in each_or_none() {
            for (outer_layer, inner_layer) in layers(&api) {
                let service = pair(
                    &outer_layer.with_policy(policy(outer)),
                    &inner_layer.with_policy(policy(inner)),
                    &calls,
                );
                for (meets_outer, meets_inner) in
                    [(true, true), (true, false), (false, true), (false, false)]
                {
                    let mut draft = Draft::new();
                    for (requirement, is_met) in [(outer, meets_outer), (inner, meets_inner)] {
                        if let Some(requirement) = requirement.filter(|_| is_met) {
                            (requirement.meet)(&mut draft);
                        }
                    }
                    let is_same = outer.map(|it| it.told) == inner.map(|it| it.told)
                        && outer.map(|it| it.reason) == inner.map(|it| it.reason);
                    let is_met = |is_met: bool| is_met || (is_same && (meets_outer || meets_inner));
                    // The outer one looks first.
                    let rejected_by = outer
                        .filter(|_| !is_met(meets_outer))
                        .or_else(|| inner.filter(|_| !is_met(meets_inner)));
                    let what = format!(
                        "{:?} around {:?}, met: {meets_outer}, {meets_inner}",
                        policy(outer),
                        policy(inner)
                    );
                    let response = respond(draft.request(&api), service.clone(), &calls).await;
                    match rejected_by {
                        Some(requirement) => requirement.assert_told(&response, &what),
                        None => assert_eq!(Verdict::of(response), Verdict::Admitted, "{what}"),
                    }
                }
            }
        }
    }
}

/// What it misses is in the report, but for the nonce, which no client would have got.
async fn a_layer_that_only_reports_rejects_nobody_for_what_it_asks_for(backend: Backend) {
    let api = backend.api();
    let calls = Arc::default();
    for requirement in &REQUIREMENTS {
        for (one, other) in layers(&api) {
            let asking = (requirement.ask)(Policy::report_only()).build().unwrap();
            let asking = one.with_policy(asking);
            let strict = other.with_policy(Policy::strict());
            for (is_outer, service) in [
                (true, pair(&asking, &strict, &calls)),
                (false, pair(&strict, &asking, &calls)),
            ] {
                let seen = answer(Draft::new().request(&api), service, &calls).await;
                let expected = match requirement.reason {
                    "proof_nonce_missing" => "bound/good".to_owned(),
                    reason => format!("bound/{reason}"),
                };
                assert_eq!(seen, expected, "outer: {is_outer}");
            }
        }
    }
}

async fn who_is_rejected_by_the_inner_layer_gets_the_new_nonce_of_the_outer_one(backend: Backend) {
    let api = backend.api();
    let calls = Arc::default();
    let shared = layer(&api);
    let service = pair(
        &shared
            .clone()
            .with_policy(built(Policy::strict().require_nonce())),
        &shared.with_policy(built(Policy::strict().require_scope("write"))),
        &calls,
    );
    let nonce = nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    for (secs, is_renewed) in [(0, false), (120, true)] {
        api.advance(secs);
        let token = api.token().mint();
        let proof = api.proof(&token).nonce(&nonce).sign();
        let client = &api.client;
        let request = client.request_with_proof(http::Method::GET, URL, &token, &proof);
        let response = respond(request, service.clone(), &calls).await;
        assert_eq!(response.status(), 403, "after {secs} s");
        let challenges = Challenge::all(response.headers());
        assert_eq!(challenges[0].get("error"), Some("insufficient_scope"));
        let has_nonce = response.headers().contains_key("dpop-nonce");
        assert_eq!(has_nonce, is_renewed, "after {secs} s");
    }
}

async fn a_scope_is_required_inside_of_each_mode(backend: Backend) {
    let api = backend.api();
    let with_scope = |scope: &str| api.client.get(URL, &api.token().scope(scope).mint());
    for (policy, admin, user) in [
        (Policy::strict(), 200, 403),
        (Policy::optional(), 200, 403),
        (Policy::report_only(), 200, 200),
        // Nothing was verified, and so nobody has a scope.
        (Policy::off(), 401, 401),
    ] {
        let what = format!("{policy:?}");
        let router = Router::new()
            .route("/orders", get(|| async {}))
            .layer(RequireScopeLayer::new("admin").unwrap())
            .layer(layer(&api).with_policy(policy));
        for (scope, expected) in [("admin", admin), ("user", user)] {
            let response = send(router.clone(), with_scope(scope)).await;
            assert_eq!(response.status().as_u16(), expected, "{what}, {scope}");
        }
    }
}

/// Whether a scope is required depends on the stricter of two layers, wherever that stands.
async fn a_scope_is_required_inside_of_each_pair_of_modes(backend: Backend) {
    let api = backend.api();
    // What becomes of a token that has the scope, of one that lacks it, and of no token.
    for (outer, inner, expected) in [
        (STRICT, STRICT, [200, 403, 401]),
        (STRICT, OPTIONAL, [200, 403, 401]),
        (STRICT, REPORT, [200, 403, 401]),
        (STRICT, OFF, [200, 403, 401]),
        (OPTIONAL, STRICT, [200, 403, 401]),
        (OPTIONAL, OPTIONAL, [200, 403, 401]),
        (OPTIONAL, REPORT, [200, 403, 401]),
        (OPTIONAL, OFF, [200, 403, 401]),
        (REPORT, STRICT, [200, 403, 401]),
        (REPORT, OPTIONAL, [200, 403, 401]),
        (REPORT, REPORT, [200, 200, 200]),
        (REPORT, OFF, [200, 200, 200]),
        (OFF, STRICT, [200, 403, 401]),
        (OFF, OPTIONAL, [200, 403, 401]),
        (OFF, REPORT, [200, 200, 200]),
        // Nothing was verified, and so nobody has a scope.
        (OFF, OFF, [401, 401, 401]),
    ] {
        let shared = layer(&api);
        for (outer_layer, inner_layer, configurations) in [
            (shared.clone(), shared, "one"),
            (layer(&api), layer(&api), "two"),
        ] {
            let router = Router::new()
                .route("/orders", get(|| async {}))
                .layer(RequireScopeLayer::new("admin").unwrap())
                .layer(inner_layer.with_policy(inner()))
                .layer(outer_layer.with_policy(outer()));
            let with_scope = |scope: &str| api.client.get(URL, &api.token().scope(scope).mint());
            let nothing = Request::get("/orders").body(()).unwrap();
            let mut statuses = Vec::new();
            for request in [with_scope("admin"), with_scope("user"), nothing] {
                statuses.push(send(router.clone(), request).await.status().as_u16());
            }
            assert_eq!(
                statuses,
                expected,
                "{:?} around {:?}, of {configurations}",
                outer().mode(),
                inner().mode()
            );
        }
    }
}

/// A layer that only reports, and that asks for no nonce though its configuration does, has found the
/// token; a stricter one of another configuration is outside.
async fn a_scope_asks_for_no_nonce(backend: Backend) {
    let api = backend.api();
    let reporting = DpopLayer::new(
        api.config()
            .nonce_source(nonces())
            .require_nonces()
            .build()
            .unwrap(),
    );
    let router = Router::new()
        .route("/orders", get(|| async {}))
        .layer(RequireScopeLayer::new("admin").unwrap())
        .layer(reporting.with_policy(Policy::report_only()))
        .layer(layer(&api));
    for (scope, expected) in [("admin", 200), ("user", 403)] {
        let request = api.client.get(URL, &api.token().scope(scope).mint());
        let response = send(router.clone(), request).await;
        assert_eq!(response.status().as_u16(), expected, "{scope}");
    }
}
