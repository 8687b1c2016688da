//! Requirements of a policy beyond a valid token and proof, and policies by path.

mod answers;
mod layers;
mod proofs;
mod tables;
mod tokens;

use axum::{Router, body::Body, routing::get};
use dpop_tower::{DpopLayer, Policy};
use http::{Method, Request, Response, header};

use self::{answers::*, layers::*, proofs::*, tables::*, tokens::*};
use crate::support::{Api, URL, Verdict, nonces};

cases! { requirements as requirements;
each_way [
    rfc_9470_the_user_was_authenticated_as_is_asked_for_and_not_too_long_ago,
    a_claim_is_as_the_policy_wants_it,
    rfc_9396_details_of_the_type_are_required,
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

/// Puts a policy into a layer that no configuration would accept as its own.
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

/// Returns the verdict on a fresh request with this token.
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

fn nonce_required() -> Policy {
    Policy::strict().require_nonce().build().unwrap()
}

/// Returns a `GET` request with a fresh proof that has this nonce.
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
