//! Paths and methods: nested, merged and missing routes.

use std::sync::Arc;

use axum::{
    Router,
    routing::{any, get, post},
};
use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin};
use http::{Method, Request, StatusCode};

use super::{config, get_for, hello, layer, request};
use crate::support::{Api, ORIGIN, URL, Verdict, invalid_proof, send};

#[tokio::test]
async fn inside_nest_the_htu_is_the_whole_path() {
    let api = Api::new();
    let protected = Router::new().route("/orders", get(hello));
    let one_level = Router::new().nest("/api", protected.clone().layer(layer(&api)));
    let two_levels = Router::new().nest(
        "/api",
        Router::new().nest("/v1", protected.clone().layer(layer(&api))),
    );
    let route_layer = Router::new().nest(
        "/api",
        Router::new().nest("/{version}", protected.route_layer(layer(&api))),
    );
    for (router, path, inner_path) in [
        (one_level, "/api/orders", "/orders"),
        (two_levels, "/api/v1/orders", "/v1/orders"),
        (route_layer, "/api/v2/orders", "/orders"),
    ] {
        let whole = format!("{ORIGIN}{path}");
        assert_eq!(
            get_for(&api, &router, path, &whole).await,
            Verdict::Admitted
        );
        let stripped = format!("{ORIGIN}{inner_path}");
        assert_eq!(
            get_for(&api, &router, path, &stripped).await,
            invalid_proof("proof_htu_mismatch"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_layer_around_and_one_inside_nest_verify_once() {
    let api = Api::new();
    let config = Arc::new(config(&api).build().unwrap());
    let inner = Router::new()
        .route("/orders", get(hello))
        .layer(DpopLayer::new(config.clone()));
    let router = Router::new()
        .nest("/api", inner)
        .layer(DpopLayer::new(config));
    let htu = format!("{ORIGIN}/api/orders");
    assert_eq!(
        get_for(&api, &router, "/api/orders", &htu).await,
        Verdict::Admitted
    );
}

#[tokio::test]
async fn a_merged_router_keeps_its_own_protection() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api))
        .merge(Router::new().route("/health", get(hello)));
    let get = |path: &str| {
        let request = Request::get(path).body(()).unwrap();
        send(router.clone(), request)
    };
    assert_eq!(get("/health").await.status(), StatusCode::OK);
    assert_eq!(get("/orders").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        get_for(&api, &router, "/orders", URL).await,
        Verdict::Admitted
    );
}

#[tokio::test]
async fn layer_covers_paths_that_do_not_exist_and_route_layer_does_not() {
    let api = Api::new();
    let routes = Router::new().route("/orders", get(hello));
    for (router, not_found) in [
        (routes.clone().layer(layer(&api)), 401),
        (routes.clone().fallback(hello).layer(layer(&api)), 401),
        (routes.route_layer(layer(&api)), 404),
    ] {
        let stranger = |method: Method, path: &str| {
            let request = Request::builder().method(method).uri(path);
            send(router.clone(), request.body(()).unwrap())
        };
        assert_eq!(stranger(Method::GET, "/nothing").await.status(), not_found);
        assert_eq!(stranger(Method::GET, "/orders").await.status(), 401);
        assert_eq!(stranger(Method::DELETE, "/orders").await.status(), 401);
    }
}

#[tokio::test]
async fn who_is_admitted_gets_the_404_and_the_405_of_the_router() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    for (method, path, status) in [
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
        (Method::DELETE, "/orders", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = request(&api, &method, path, &format!("{ORIGIN}{path}"));
        assert_eq!(send(router.clone(), request).await.status(), status);
    }
}

#[tokio::test]
async fn a_method_router_can_be_protected_in_part() {
    let api = Api::new();
    let router = Router::new().route("/orders", post(hello).layer(layer(&api)).get(hello));
    for (method, status) in [(Method::GET, 200), (Method::POST, 401)] {
        let request = Request::builder().method(method.clone()).uri("/orders");
        let response = send(router.clone(), request.body(()).unwrap()).await;
        assert_eq!(response.status(), status, "{method}");
    }
    let request = request(&api, &Method::POST, "/orders", URL);
    assert_eq!(Verdict::of(send(router, request).await), Verdict::Admitted);
}

#[tokio::test]
async fn every_method_is_compared_to_the_htm_as_it_was_sent() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", any(hello))
        .layer(layer(&api));
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::DELETE,
        Method::from_bytes(b"get").unwrap(),
        Method::from_bytes(b"PURGE").unwrap(),
    ];
    for sent in &methods {
        for signed in &methods {
            let mut request = request(&api, signed, "/orders", URL);
            *request.method_mut() = sent.clone();
            let verdict = Verdict::of(send(router.clone(), request).await);
            if sent == signed {
                assert_eq!(verdict, Verdict::Admitted, "{sent}");
            } else {
                let rejected = invalid_proof("proof_htm_mismatch");
                assert_eq!(verdict, rejected, "{sent} {signed}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_request_to_a_get_handler_needs_a_proof_for_head() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    let head = send(router.clone(), request(&api, &Method::HEAD, "/orders", URL)).await;
    assert_eq!(Verdict::of(head), Verdict::Admitted);
}

#[tokio::test]
async fn query_and_fragment_do_not_count() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .layer(layer(&api));
    for target in ["/orders", "/orders?a=b", "/orders?", "/orders?x=/y?z"] {
        for htu in ["", "?a=b", "?other", "#fragment"] {
            let verdict = get_for(&api, &router, target, &format!("{URL}{htu}")).await;
            assert_eq!(verdict, Verdict::Admitted, "{target} {htu}");
        }
    }
}

#[tokio::test]
async fn paths_that_differ_in_a_slash_or_in_case_are_different_paths() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", get(hello))
        .route("/orders/", get(hello))
        .route("/Orders", get(hello))
        .layer(layer(&api));
    let paths = ["/orders", "/orders/", "/Orders", "//orders", "/orders//"];
    for target in paths {
        for signed in paths {
            let request = request(&api, &Method::GET, target, &format!("{ORIGIN}{signed}"));
            let mut request = request;
            *request.uri_mut() = target.parse().unwrap();
            let response = send(router.clone(), request).await;
            if target == signed {
                assert_ne!(response.status(), StatusCode::UNAUTHORIZED, "{target}");
            } else {
                let verdict = Verdict::of(response);
                let rejected = invalid_proof("proof_htu_mismatch");
                assert_eq!(verdict, rejected, "{target} {signed}");
            }
        }
    }
}

#[tokio::test]
async fn a_prefix_that_a_proxy_takes_off_is_put_back() {
    let api = Api::new();
    let origin = PublicOrigin::new(ORIGIN)
        .and_then(|origin| origin.path_prefix("/v1"))
        .unwrap();
    let config = DpopConfig::builder(origin, api.issuer.tokens()).clock(api.clock.clone());
    let config = Arc::new(config.build().unwrap());
    let routes = Router::new().route("/orders", get(hello));
    let plain = routes.clone().layer(DpopLayer::new(config.clone()));
    let nested = Router::new().nest("/api", routes.layer(DpopLayer::new(config)));
    for (router, path) in [(plain, "/orders"), (nested, "/api/orders")] {
        let public = format!("{ORIGIN}/v1{path}");
        assert_eq!(
            get_for(&api, &router, path, &public).await,
            Verdict::Admitted
        );
        let internal = format!("{ORIGIN}{path}");
        assert_eq!(
            get_for(&api, &router, path, &internal).await,
            invalid_proof("proof_htu_mismatch")
        );
    }
}
