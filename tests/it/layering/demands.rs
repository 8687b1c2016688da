//! What one of two layers asks for, wherever it stands.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    DpopLayer, Policy, RequireScope,
    crypto::Algorithm,
    nonce::{NonceSecret, NonceSource as _, StatelessNonces},
    rejection::Rejection,
};
use http::{Request, Response};

use super::modes::{OFF, OPTIONAL, REPORT, STRICT};
use crate::{
    challenge::Challenge,
    support::{Api, Backend, URL, Verdict, each_backend, send},
};

each_backend!(
    what_either_layer_asks_for_has_to_be_met,
    the_layer_that_refuses_says_what_it_asks_for,
    what_both_layers_ask_for_has_to_be_met,
    a_scope_is_required_inside_of_each_mode,
    a_scope_is_required_inside_of_each_pair_of_modes,
);

fn nonces() -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([3; 32]).unwrap())
}

/// One demand: a policy that has it, a request that meets it and one that does not.
struct Demand {
    policy: Policy,
    meets: Request<()>,
    lacks: Request<()>,
    reason: &'static str,
    /// A parameter of the challenge that says what is asked for.
    told: (&'static str, &'static str),
}

fn demands(api: &Api) -> Vec<Demand> {
    let with = |name: &str, value: serde_json::Value| {
        api.client.get(URL, &api.token().claim(name, value).mint())
    };
    let plain = || api.client.get(URL, &api.token().mint());
    let with_proof = |change: &dyn Fn(
        dpop_tower::test_util::ProofBuilder,
    ) -> dpop_tower::test_util::ProofBuilder| {
        let token = api.token().mint();
        let proof = change(api.proof(&token)).sign();
        api.client
            .request_with_proof(http::Method::GET, URL, &token, &proof)
    };
    let nonce = nonces().current(dpop_tower::time::UnixTime::from_secs(api.now()));
    vec![
        Demand {
            policy: Policy::strict().scope("write"),
            meets: with("scope", "read write".into()),
            lacks: with("scope", "read".into()),
            reason: "policy_scope_missing",
            told: ("scope", "write"),
        },
        Demand {
            policy: Policy::strict().any_scope(["write", "admin"]),
            meets: with("scope", "admin".into()),
            lacks: with("scope", "read".into()),
            reason: "policy_scope_missing",
            told: ("scope", "write"),
        },
        Demand {
            policy: Policy::strict().claim("tier", |tier| tier == "gold"),
            meets: with("tier", "gold".into()),
            lacks: with("tier", "silver".into()),
            reason: "policy_claim_insufficient",
            told: ("error", "insufficient_scope"),
        },
        Demand {
            policy: Policy::strict().acr(["mfa"]),
            meets: with("acr", "mfa".into()),
            lacks: with("acr", "pwd".into()),
            reason: "policy_acr_insufficient",
            told: ("acr_values", "mfa"),
        },
        Demand {
            policy: Policy::strict().max_auth_age(Duration::from_secs(300)),
            meets: with("auth_time", (api.now() - 300).into()),
            lacks: with("auth_time", (api.now() - 301).into()),
            reason: "policy_auth_too_old",
            told: ("max_age", "300"),
        },
        Demand {
            policy: Policy::strict().require_nonce(),
            meets: with_proof(&|proof| proof.nonce(&nonce)),
            lacks: plain(),
            reason: "proof_nonce_missing",
            told: ("error", "use_dpop_nonce"),
        },
        Demand {
            policy: Policy::strict().max_age(Duration::from_secs(5)),
            meets: with_proof(&|proof| proof.claim("iat", api.now() - 15)),
            lacks: with_proof(&|proof| proof.claim("iat", api.now() - 16)),
            reason: "proof_too_old",
            told: ("error", "invalid_dpop_proof"),
        },
        Demand {
            policy: Policy::strict().algorithms([Algorithm::Es256]),
            meets: plain(),
            lacks: {
                let client = dpop_tower::test_util::TestClient::with_key(
                    dpop_tower::test_util::KeyKind::Ed25519,
                );
                let client = client.clock(api.clock.clone());
                client.get(URL, &api.issuer.token().bound_to(&client).mint())
            },
            reason: "proof_alg_not_allowed",
            told: ("algs", "ES256"),
        },
    ]
}

fn layer(api: &Api) -> DpopLayer {
    let config = api.config().nonces_where_required(nonces());
    DpopLayer::new(config.build().unwrap())
}

fn router(outer: DpopLayer, inner: DpopLayer) -> Router {
    let routes = Router::new().route("/orders", get(|| async {}));
    routes.layer(inner).layer(outer)
}

fn reason(response: &Response<Body>) -> &'static str {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map_or("none", Rejection::reason)
}

async fn what_either_layer_asks_for_has_to_be_met(backend: Backend) {
    let api = backend.api();
    for is_outer in [true, false] {
        for demand in demands(&api) {
            let plain = layer(&api);
            let asking = plain.clone().with_policy(demand.policy.clone());
            let router = if is_outer {
                router(asking, plain)
            } else {
                router(plain, asking)
            };
            let what = format!("{:?}, outer: {is_outer}", demand.policy);
            let met = send(router.clone(), demand.meets).await;
            assert_eq!(Verdict::of(met), Verdict::LetIn, "{what}");
            let lacking = send(router, demand.lacks).await;
            assert_eq!(reason(&lacking), demand.reason, "{what}");
        }
    }
}

async fn the_layer_that_refuses_says_what_it_asks_for(backend: Backend) {
    let api = backend.api();
    for is_outer in [true, false] {
        for demand in demands(&api) {
            let plain = layer(&api);
            let asking = plain.clone().with_policy(demand.policy.clone());
            let router = if is_outer {
                router(asking, plain)
            } else {
                router(plain, asking)
            };
            let what = format!("{:?}, outer: {is_outer}", demand.policy);
            let response = send(router, demand.lacks).await;
            let challenges = Challenge::all(response.headers());
            let (name, value) = demand.told;
            assert_eq!(challenges[0].get(name), Some(value), "{what}");
            // Of nonces, a client hears where it needs one, and not elsewhere.
            let has_nonce = response.headers().contains_key("dpop-nonce");
            assert_eq!(has_nonce, demand.reason == "proof_nonce_missing", "{what}");
        }
    }
}

/// Each demand around each other one, for a request that meets the one and not the other.
async fn what_both_layers_ask_for_has_to_be_met(backend: Backend) {
    let api = backend.api();
    let count = demands(&api).len();
    for outer in 0..count {
        for inner in 0..count {
            let mut all = demands(&api);
            let plain = layer(&api);
            let router = router(
                plain.clone().with_policy(all[outer].policy.clone()),
                plain.with_policy(all[inner].policy.clone()),
            );
            // Lacks what the outer one asks for, whatever else it has.
            let lacks_outer = send(router.clone(), all.remove(outer).lacks).await;
            assert_ne!(reason(&lacks_outer), "none", "{outer} around {inner}");
            let lacks_inner = send(router, demands(&api).remove(inner).lacks).await;
            assert_ne!(reason(&lacks_inner), "none", "{outer} around {inner}");
        }
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
            .layer(RequireScope::new("admin"))
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
                .layer(RequireScope::new("admin"))
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
