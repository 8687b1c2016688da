//! When the list is asked, and what follows from its answer.

use std::sync::Arc;

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    DpopConfigBuilder, DpopLayer, Policy, Report, Verifier,
    future::MaybeReady,
    revocation::{RevocationError, RevocationStatus::*},
    test_util::TestClient,
};
use futures_util::FutureExt as _;
use http::{Method, Request, Response, StatusCode};
use tokio::sync::watch;

use super::{Answer, REVOKED, Scripted, bearer, optional, verify};
use crate::{
    rejection::logging::Log,
    stores::CountingStore,
    support::{Api, URL, Verdict, invalid_proof, invalid_token, router, send, unavailable},
};

/// An API with this list, and a store that counts.
fn api_with(
    list: &Arc<Scripted>,
    change: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
) -> (Api, Arc<CountingStore>) {
    let store = Arc::new(CountingStore::default());
    let api = Api::with(
        |tokens| tokens,
        |config| {
            let config = config.replay_store(Arc::clone(&store));
            change(config.revocation_list(Arc::clone(list)))
        },
    );
    (api, store)
}

/// Answers with an error the first time.
fn out_of_reach_at_first() -> Arc<Scripted> {
    Scripted::new(|question| {
        MaybeReady::ready(match question {
            1 => Err(RevocationError::unavailable("no route to the list")),
            _ => Ok(Active),
        })
    })
}

#[tokio::test]
async fn a_list_that_cannot_tell_is_answered_with_503_and_the_proof_can_be_used_again() {
    let list = out_of_reach_at_first();
    let (api, store) = api_with(&list, |config| config);
    let request = api.client.get(URL, &api.token().mint());
    let log = Log::listen();
    let verdict = api.send(request.clone()).await;
    assert_eq!(verdict, unavailable("revocation_unavailable"));
    let line = log.take().concat();
    for part in [
        "WARN",
        "it cannot be told at the moment whether the token is revoked",
        "no route to the list",
    ] {
        assert!(line.contains(part), "{part:?} is not in {line:?}");
    }
    assert_eq!(store.asked(), 0);
    assert_eq!(api.send(request.clone()).await, Verdict::Admitted);
    let again = api.send(request).await;
    assert_eq!(again, invalid_proof("proof_replayed"));
    assert_eq!((list.asked(), store.asked()), (3, 2));
}

#[tokio::test]
async fn a_bearer_token_is_rejected_with_503_if_the_list_cannot_tell() {
    let (api, _) = api_with(&out_of_reach_at_first(), optional);
    let request = || bearer(&api.issuer.token().mint());
    let response = api.response(request()).await;
    assert_eq!(Verdict::of(response), unavailable("revocation_unavailable"));
}

#[tokio::test]
async fn a_revoked_token_uses_up_no_proof() {
    let list = Scripted::new(|question| {
        MaybeReady::ready(Ok(if question == 1 { Revoked } else { Active }))
    });
    let (api, store) = api_with(&list, |config| config);
    let request = api.client.get(URL, &api.token().mint());
    assert_eq!(api.send(request.clone()).await, REVOKED);
    assert_eq!(store.asked(), 0);
    assert_eq!(api.send(request).await, Verdict::Admitted);
}

/// What is wrong with a request, and the request.
type Wrong = (&'static str, fn(&Api) -> Request<()>);

#[tokio::test]
async fn the_list_is_not_asked_about_what_is_rejected_anyway() {
    let wrong: [Wrong; 6] = [
        ("credentials_missing", |_| Request::new(())),
        ("proof_htm_mismatch", |api| {
            let token = api.token().mint();
            let proof = api.client.proof("POST", URL).access_token(&token);
            api.client
                .request_with_proof(Method::GET, URL, &token, &proof.sign())
        }),
        ("proof_signature_invalid", |api| {
            let token = api.token().mint();
            let proof = api.proof(&token).corrupt_signature().sign();
            api.client
                .request_with_proof(Method::GET, URL, &token, &proof)
        }),
        ("token_signature_invalid", |api| {
            api.client.get(URL, &api.token().corrupt_signature().mint())
        }),
        ("token_binding_mismatch", |api| {
            TestClient::new()
                .clock(api.clock.clone())
                .get(URL, &api.token().mint())
        }),
        ("policy_scope_missing", |api| {
            api.client.get(URL, &api.token().scope("other").mint())
        }),
    ];
    let list = Scripted::always(Revoked);
    let (api, store) = api_with(&list, |config| {
        config.policy(Policy::strict().require_scope("orders"))
    });
    for (reason, request) in wrong {
        let verdict = api.send(request(&api)).await;
        assert_eq!(super::reason(verdict), Some(reason));
    }
    assert_eq!((list.asked(), store.asked()), (0, 0));
    let token = api.token().scope("orders").mint();
    assert_eq!(api.send(api.client.get(URL, &token)).await, REVOKED);
    assert_eq!(list.asked(), 1);
}

/// A list whose answers wait until the gate is opened, and that answer then.
fn behind_a_gate(answer: fn() -> Answer) -> (Arc<Scripted>, watch::Sender<bool>) {
    let (gate, is_open) = watch::channel(false);
    let list = Scripted::new(move |_| {
        let mut is_open = is_open.clone();
        MaybeReady::pending(async move {
            is_open.wait_for(|is_open| *is_open).await.unwrap();
            answer().await
        })
    });
    (list, gate)
}

#[tokio::test]
async fn a_request_waits_for_a_list_that_is_out_of_the_process() {
    let failing = || MaybeReady::ready(Err(RevocationError::unavailable("gone")));
    let answers: [(fn() -> Answer, Verdict); 3] = [
        (|| MaybeReady::ready(Ok(Active)), Verdict::Admitted),
        (|| MaybeReady::ready(Ok(Revoked)), REVOKED),
        (failing, unavailable("revocation_unavailable")),
    ];
    for (answer, expected) in answers {
        let (list, gate) = behind_a_gate(answer);
        let (api, store) = api_with(&list, |config| config);
        let mut response = Box::pin(api.send(api.client.get(URL, &api.token().mint())));
        assert_eq!(response.as_mut().now_or_never(), None);
        assert_eq!((list.asked(), store.asked()), (1, 0));
        gate.send(true).unwrap();
        assert_eq!(response.await, expected);
    }
}

/// The answer is about the time at which the list was asked.
#[tokio::test]
async fn a_token_or_a_proof_that_expires_while_the_list_is_asked_is_rejected() {
    for (secs, expected) in [
        (71, invalid_proof("proof_too_old")),
        (300, invalid_token("token_expired")),
    ] {
        let (list, gate) = behind_a_gate(|| MaybeReady::ready(Ok(Active)));
        let (api, store) = api_with(&list, |config| config);
        let mut response = Box::pin(api.send(api.client.get(URL, &api.token().mint())));
        assert_eq!(response.as_mut().now_or_never(), None);
        api.advance(secs);
        gate.send(true).unwrap();
        assert_eq!(response.await, expected);
        assert_eq!(store.asked(), 0);
    }
    let (list, gate) = behind_a_gate(|| MaybeReady::ready(Ok(Active)));
    let api = Api::new();
    let verifier = Verifier::new(
        api.config()
            .policy(Policy::optional())
            .revocation_list(list)
            .build()
            .unwrap(),
    );
    let request = bearer(&api.issuer.token().mint());
    let mut verdict = Box::pin(verify(&verifier, &request));
    assert_eq!(verdict.as_mut().now_or_never(), None);
    api.advance(300);
    gate.send(true).unwrap();
    assert_eq!(verdict.await, Some("token_expired"));
}

/// A router with two layers around one handler, which returns the code of the report.
fn nested(outer: DpopLayer, inner: DpopLayer) -> Router {
    async fn report(request: Request<Body>) -> &'static str {
        let report = request.extensions().get::<Report>().unwrap();
        report.rejection().map_or("good", |it| it.reason())
    }
    Router::new()
        .route("/orders", get(async || {}))
        .route("/report", get(report))
        .layer(inner)
        .layer(outer)
}

#[tokio::test]
async fn nested_layers_of_one_configuration_ask_once_and_others_each() {
    let api = Api::new();
    let lists = [(); 3].map(|()| Scripted::always(Active));
    let [shared, first, second] = lists.each_ref().map(|list| {
        let config = api.config().revocation_list(Arc::clone(list));
        DpopLayer::new(config.build().unwrap())
    });
    for (outer, inner) in [(shared.clone(), shared), (first, second)] {
        let request = api.client.get(URL, &api.token().mint());
        let verdict = Verdict::of(send(nested(outer, inner), request).await);
        assert_eq!(verdict, Verdict::Admitted);
    }
    assert_eq!(lists.map(|list| list.asked()), [1, 1, 1]);
}

#[tokio::test]
async fn whichever_of_two_nested_configurations_has_the_token_on_its_list_rejects_it() {
    let api = Api::new();
    let layer = |status| {
        let config = api.config().revocation_list(Scripted::always(status));
        DpopLayer::new(config.build().unwrap())
    };
    for (outer, inner) in [(Active, Revoked), (Revoked, Active)] {
        let request = api.client.get(URL, &api.token().mint());
        let nested = nested(layer(outer), layer(inner));
        assert_eq!(Verdict::of(send(nested, request).await), REVOKED);
    }
}

/// A mode, and how often the list is asked about a bound token and about a bearer token.
type Asked = (fn() -> Policy, usize, usize);

#[tokio::test]
async fn every_mode_that_verifies_tokens_asks_the_list() {
    let modes: [Asked; 5] = [
        (Policy::strict, 1, 0),
        (Policy::optional, 1, 1),
        (Policy::report_only, 1, 0),
        (Policy::off, 0, 0),
        (Policy::deny, 0, 0),
    ];
    for (policy, bound, unbound) in modes {
        let list = Scripted::always(Revoked);
        let (api, _) = api_with(&list, |config| config.policy(policy()));
        let _: Response<_> = api.response(api.client.get(URL, &api.token().mint())).await;
        assert_eq!(list.asked(), bound, "{:?}", policy().mode());
        let _: Response<_> = api.response(bearer(&api.issuer.token().mint())).await;
        let asked = list.asked() - bound;
        assert_eq!(asked, unbound, "{:?}", policy().mode());
    }
}

/// The answer of the list, and the report.
type Reported = (fn() -> Answer, &'static str);

#[tokio::test]
async fn report_only_reports_what_a_strict_policy_would_reject() {
    let answers: [Reported; 3] = [
        (|| MaybeReady::ready(Ok(Active)), "good"),
        (|| MaybeReady::ready(Ok(Revoked)), "token_revoked"),
        (
            || MaybeReady::ready(Err(RevocationError::unavailable("gone"))),
            "revocation_unavailable",
        ),
    ];
    for (answer, expected) in answers {
        let api = Api::new();
        let list = Scripted::new(move |_| answer());
        let store = Arc::new(CountingStore::default());
        let config = (api.config().revocation_list(list)).replay_store(Arc::clone(&store));
        let layer = DpopLayer::new(config.build().unwrap()).with_policy(Policy::report_only());
        let url = "https://api.test/report";
        let request = api.client.get(url, &api.token().mint());
        let response = send(nested(layer.clone(), layer), request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = axum::body::to_bytes(response.into_body(), 100).await;
        assert_eq!(body.unwrap(), expected);
        assert_eq!(store.asked(), usize::from(expected == "good"));
    }
}

/// The signature of a reused proof is not verified again, and the list is asked again.
#[tokio::test]
async fn a_proof_that_may_be_reused_ends_with_its_token() {
    let list = Scripted::new(|question| {
        MaybeReady::ready(Ok(if question <= 2 { Active } else { Revoked }))
    });
    let api = Api::new();
    let config = api.config().revocation_list(list);
    let config = config.danger_allow_reuse_within_lifetime();
    let router = router(config.build().unwrap());
    let request = api.client.get(URL, &api.token().mint());
    for expected in [Verdict::Admitted, Verdict::Admitted, REVOKED] {
        let verdict = Verdict::of(send(router.clone(), request.clone()).await);
        assert_eq!(verdict, expected);
    }
}
