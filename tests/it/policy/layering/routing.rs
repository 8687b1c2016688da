//! The position of a layer in an axum router.

use std::{
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing::get};
use dpop_tower::{DpopLayer, Policy, PolicyTable};
use http::{Method, Request, Uri};
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, util::MapRequestLayer};

use crate::support::{Api, ORIGIN, Verdict, invalid_proof, invalid_token, send};

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(api.config().build().unwrap())
}

/// How often a handler ran.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn handler(&self) -> impl Fn() -> Ready<()> + Clone + Send + Sync + 'static + use<> {
        let calls = Arc::clone(&self.0);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
            ready(())
        }
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Asserts that a handler rejects requests without a token, and admits a valid request once.
async fn assert_protected(api: &Api, router: &Router, method: Method, path: &str, calls: &Calls) {
    let before = calls.count();
    let stranger = Request::builder()
        .method(&method)
        .uri(path)
        .body(())
        .unwrap();
    let rejected = send(router.clone(), stranger).await;
    assert_eq!(rejected.status(), 401, "{method} {path}");
    assert_eq!(calls.count(), before, "{method} {path}");

    let token = api.token().mint();
    let url = format!("{ORIGIN}{path}");
    let request = || api.client.request(method.clone(), &url, &token);
    let admitted = send(router.clone(), request()).await;
    assert!(
        admitted.headers().get("www-authenticate").is_none(),
        "{method} {path}"
    );
    assert_eq!(calls.count(), before + 1, "{method} {path}");

    let other = format!("{ORIGIN}{path}/x");
    let proof = api
        .client
        .proof(method.as_str(), &other)
        .access_token(&token)
        .sign();
    let wrong = api
        .client
        .request_with_proof(method.clone(), &url, &token, &proof);
    let verdict = Verdict::of(send(router.clone(), wrong).await);
    assert_eq!(
        verdict,
        invalid_proof("proof_htu_mismatch"),
        "{method} {path}"
    );
    assert_eq!(calls.count(), before + 1, "{method} {path}");
}

/// Asserts that a stranger gets the router's response for this path.
async fn assert_open(router: &Router, method: Method, path: &str, status: u16) {
    let stranger = Request::builder()
        .method(&method)
        .uri(path)
        .body(())
        .unwrap();
    let response = send(router.clone(), stranger).await;
    assert_eq!(response.status(), status, "{method} {path}");
    assert!(!response.headers().contains_key("www-authenticate"));
}

#[tokio::test]
async fn every_level_of_nesting_can_have_the_layer() {
    let api = Api::new();
    let layer = layer(&api);
    let calls = Calls::default();
    let routes = || Router::new().route("/orders", get(calls.handler()));
    let wrap = |router: Router, has_layer: bool| {
        if has_layer {
            router.layer(layer.clone())
        } else {
            router
        }
    };
    for levels in 1_u8..8 {
        let has_layer = |level: u8| levels & (1 << level) != 0;
        let inner = wrap(routes(), has_layer(0));
        let middle = wrap(Router::new().nest("/inner", inner), has_layer(1));
        let outer = wrap(Router::new().nest("/middle", middle), has_layer(2));
        assert_protected(&api, &outer, Method::GET, "/middle/inner/orders", &calls).await;
    }
}

#[tokio::test]
async fn a_nested_service_and_a_nested_fallback_are_covered() {
    let api = Api::new();
    let calls = Calls::default();
    let service = Router::new().route("/orders", get(calls.handler()));
    let inside = Router::new().nest_service("/api", service.clone().layer(layer(&api)));
    assert_protected(&api, &inside, Method::GET, "/api/orders", &calls).await;
    let around = Router::new()
        .nest_service("/api", service)
        .layer(layer(&api));
    assert_protected(&api, &around, Method::GET, "/api/orders", &calls).await;

    let nested = Router::new()
        .route("/orders", get(|| async {}))
        .fallback(calls.handler())
        .layer(layer(&api));
    let router = Router::new()
        .nest("/api", nested)
        .route("/open", get(|| async {}));
    assert_protected(&api, &router, Method::GET, "/api/nothing", &calls).await;
    assert_open(&router, Method::GET, "/open", 200).await;
    assert_open(&router, Method::GET, "/nothing", 404).await;
}

#[tokio::test]
async fn merged_routers_keep_each_its_own_policy() {
    let api = Api::new();
    let layer = layer(&api);
    let calls = Calls::default();
    let strict = Router::new()
        .route("/strict", get(calls.handler()))
        .layer(layer.clone());
    let optional = Router::new()
        .route("/optional", get(calls.handler()))
        .layer(layer.clone().with_policy(Policy::optional()));
    let open = Router::new().route("/open", get(calls.handler()));
    let router = strict.merge(optional).merge(open);
    let bearer = |path: &str| {
        let value = format!("Bearer {}", api.issuer.token().mint());
        let request = Request::get(path).header("authorization", value);
        send(router.clone(), request.body(()).unwrap())
    };
    assert_protected(&api, &router, Method::GET, "/strict", &calls).await;
    assert_protected(&api, &router, Method::GET, "/optional", &calls).await;
    assert_open(&router, Method::GET, "/open", 200).await;
    assert_eq!(bearer("/optional").await.status(), 200);
    let rejected = Verdict::of(bearer("/strict").await);
    assert_eq!(rejected, invalid_token("token_scheme_not_accepted"));

    // For each route inside both layers, the stricter one applies.
    let router = router.layer(layer);
    assert_protected(&api, &router, Method::GET, "/open", &calls).await;
    let value = format!("Bearer {}", api.issuer.token().mint());
    let request = Request::get("/optional").header("authorization", value);
    let rejected = Verdict::of(send(router, request.body(()).unwrap()).await);
    assert_eq!(rejected, invalid_token("token_scheme_not_accepted"));
}

#[tokio::test]
async fn fallbacks_are_covered_by_layer_and_not_by_route_layer() {
    let api = Api::new();
    let calls = Calls::default();
    let routes = || {
        Router::new()
            .route("/orders", get(|| async {}))
            .fallback(calls.handler())
            .method_not_allowed_fallback(calls.handler())
    };
    let covered = routes().layer(layer(&api));
    assert_protected(&api, &covered, Method::GET, "/nothing", &calls).await;
    assert_protected(&api, &covered, Method::PUT, "/orders", &calls).await;

    let before = calls.count();
    let not_covered = routes().route_layer(layer(&api));
    assert_open(&not_covered, Method::GET, "/nothing", 200).await;
    assert_eq!(calls.count(), before + 1);
    // All methods of a path with a route are protected.
    assert_protected(&api, &not_covered, Method::PUT, "/orders", &calls).await;
}

#[tokio::test]
async fn a_method_router_is_covered_up_to_where_the_layer_stands() {
    let api = Api::new();
    let calls = Calls::default();
    let open = |has_layer_first: bool| {
        let first = get(calls.handler());
        let first = if has_layer_first {
            first.route_layer(layer(&api))
        } else {
            first
        };
        first.post(calls.handler())
    };
    let router = Router::new().route("/orders", open(true));
    assert_protected(&api, &router, Method::GET, "/orders", &calls).await;
    assert_open(&router, Method::POST, "/orders", 200).await;
    // `route_layer` does not protect methods without a handler, `layer` does.
    assert_open(&router, Method::PUT, "/orders", 405).await;
    let router = Router::new().route("/orders", open(false).layer(layer(&api)));
    assert_protected(&api, &router, Method::GET, "/orders", &calls).await;
    assert_protected(&api, &router, Method::POST, "/orders", &calls).await;
    let put = Request::put("/orders").body(()).unwrap();
    assert_eq!(send(router, put).await.status(), 401);
}

#[tokio::test]
async fn head_and_options_need_a_proof_of_their_own() {
    let api = Api::new();
    let calls = Calls::default();
    let router = Router::new()
        .route("/orders", get(calls.handler()).options(calls.handler()))
        .layer(layer(&api));
    for sent in [Method::GET, Method::HEAD, Method::OPTIONS] {
        assert_protected(&api, &router, sent.clone(), "/orders", &calls).await;
        for signed in [Method::GET, Method::HEAD, Method::OPTIONS] {
            if signed == sent {
                continue;
            }
            let token = api.token().mint();
            let url = format!("{ORIGIN}/orders");
            let mut request = api.client.request(signed.clone(), &url, &token);
            *request.method_mut() = sent.clone();
            let verdict = Verdict::of(send(router.clone(), request).await);
            assert_eq!(
                verdict,
                invalid_proof("proof_htm_mismatch"),
                "{sent} {signed}"
            );
        }
    }
}

#[tokio::test]
async fn a_layer_that_is_there_twice_by_mistake_does_no_harm() {
    let api = Api::new();
    let layer = layer(&api);
    let calls = Calls::default();
    let orders = get(calls.handler())
        .layer(layer.clone())
        .route_layer(layer.clone());
    let router = Router::new()
        .route("/orders", orders)
        .route_layer(layer.clone())
        .layer(layer.clone())
        .layer(layer);
    assert_protected(&api, &router, Method::GET, "/orders", &calls).await;
}

#[tokio::test]
async fn a_layer_covers_what_was_added_before_it_and_nothing_that_comes_after() {
    let api = Api::new();
    let calls = Calls::default();
    let with = |path: &str| Router::new().route(path, get(calls.handler()));
    let layers: [fn(Router, DpopLayer) -> Router; 2] = [
        |router, dpop| router.layer(dpop),
        |router, dpop| router.route_layer(dpop),
    ];
    for cover in layers {
        let before = with("/before")
            .merge(with("/merged/before"))
            .nest("/nested/before", with("/orders"));
        let router = cover(before, layer(&api))
            .merge(with("/after"))
            .route("/added/after", get(calls.handler()))
            .nest("/nested/after", with("/orders"));
        for path in ["/before", "/merged/before", "/nested/before/orders"] {
            assert_protected(&api, &router, Method::GET, path, &calls).await;
        }
        for path in ["/after", "/added/after", "/nested/after/orders"] {
            assert_open(&router, Method::GET, path, 200).await;
        }
    }
}

#[tokio::test]
async fn patterns_of_a_table_begin_with_the_prefix_wherever_the_layer_stands() {
    let api = Api::new();
    let calls = Calls::default();
    let table = || {
        PolicyTable::builder()
            .route("/api/v1/open", Policy::off())
            // Without the prefix it is another path.
            .route("/orders", Policy::off())
            .build()
            .unwrap()
    };
    let routes = || {
        Router::new()
            .route("/open", get(calls.handler()))
            .route("/orders", get(calls.handler()))
    };
    let layer = layer(&api).with_policy(table());
    let nest = |router: Router| Router::new().nest("/api", Router::new().nest("/v1", router));
    for router in [
        nest(routes().layer(layer.clone())),
        nest(routes()).layer(layer.clone()),
        nest(routes().layer(layer.clone())).layer(layer.clone()),
    ] {
        assert_protected(&api, &router, Method::GET, "/api/v1/orders", &calls).await;
        assert_open(&router, Method::GET, "/api/v1/open", 200).await;
    }
}

#[tokio::test]
async fn in_a_service_builder_the_first_layer_is_the_outermost() {
    let api = Api::new();
    let calls = Calls::default();
    let seen = Calls::default();
    let counting = || {
        let count = seen.handler();
        MapRequestLayer::new(move |request: Request<axum::body::Body>| {
            drop(count());
            request
        })
    };
    let routes = || Router::new().route("/orders", get(calls.handler()));
    let outside = ServiceBuilder::new().layer(counting()).layer(layer(&api));
    let inside = ServiceBuilder::new().layer(layer(&api)).layer(counting());
    // Of three requests, one is admitted.
    assert_protected(
        &api,
        &routes().layer(outside),
        Method::GET,
        "/orders",
        &calls,
    )
    .await;
    assert_eq!(seen.count(), 3);
    assert_protected(
        &api,
        &routes().layer(inside),
        Method::GET,
        "/orders",
        &calls,
    )
    .await;
    assert_eq!(seen.count(), 3 + 1);
}

#[tokio::test]
async fn what_rewrites_the_uri_before_the_router_changes_what_a_proof_is_for() {
    fn rewrite<B>(mut request: Request<B>) -> Request<B> {
        *request.uri_mut() = Uri::from_static("/orders");
        request
    }
    let api = Api::new();
    let calls = Calls::default();
    let routes = || {
        Router::new()
            .route("/orders", get(calls.handler()))
            .route("/alias", get(calls.handler()))
    };
    let rewriting = || MapRequestLayer::new(rewrite::<axum::body::Body>);
    // Inside a router, rewriting the URI changes nothing, since axum keeps the original one.
    for router in [
        routes().layer(ServiceBuilder::new().layer(layer(&api)).layer(rewriting())),
        routes().layer(ServiceBuilder::new().layer(rewriting()).layer(layer(&api))),
    ] {
        assert_protected(&api, &router, Method::GET, "/alias", &calls).await;
    }

    // Rewriting it before the router changes the URI that a proof has to be for.
    let router = rewriting().layer(routes().layer(layer(&api)));
    let with_body = |request: Request<()>| request.map(|()| axum::body::Body::empty());
    let token = api.token().mint();
    let alias = api.client.get(&format!("{ORIGIN}/alias"), &token);
    let response = router.clone().oneshot(with_body(alias)).await.unwrap();
    assert_eq!(Verdict::of(response), invalid_proof("proof_htu_mismatch"));
    let orders = api.client.get(&format!("{ORIGIN}/orders"), &token);
    let response = router.oneshot(with_body(orders)).await.unwrap();
    assert_eq!(Verdict::of(response), Verdict::Admitted);
}
