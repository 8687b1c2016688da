//! Pages of another origin.

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    DpopLayer,
    cors::{REQUEST_HEADERS, RESPONSE_HEADERS, cors_layer, cors_layer_with},
    nonce::{NonceSecret, StatelessNonces},
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tower_http::cors::CorsLayer;

use crate::{
    each_way_of_the_layer,
    support::{Api, URL, Verdict, Way},
};

each_way_of_the_layer!(
    a_preflight_of_a_page_that_uses_dpop_passes,
    a_page_can_send_json,
    what_an_api_adds_takes_nothing_away,
    a_page_can_read_why_it_was_rejected_and_the_nonce,
);

const PAGE: HeaderValue = HeaderValue::from_static("https://app.test");

fn app(api: &Api) -> Router {
    behind(api, cors_layer(PAGE))
}

fn behind(api: &Api, cors: CorsLayer) -> Router {
    let secret = NonceSecret::new([3; 32]).unwrap();
    let config = api
        .config()
        .nonce_source(StatelessNonces::new(secret))
        .require_nonces()
        .build();
    Router::new()
        .route("/orders", get(|| async {}).delete(|| async {}))
        .layer(DpopLayer::new(config.unwrap()))
        .layer(cors.allow_methods([Method::GET, Method::POST, Method::DELETE]))
}

/// Whether a preflight for this method and these headers allows the page to send them.
fn permits(response: &Response<Body>, method: &str, headers: &str) -> bool {
    let origin = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    let methods = names(response, header::ACCESS_CONTROL_ALLOW_METHODS);
    let allowed = names(response, header::ACCESS_CONTROL_ALLOW_HEADERS);
    origin == Some(&PAGE)
        && methods.contains(&method.to_ascii_lowercase())
        && headers
            .split(',')
            .all(|name| allowed.contains(&name.to_owned()))
}

async fn preflight(way: Way, app: Router, method: &str, headers: &str) -> Response<Body> {
    let request = Request::options("/orders")
        .header(header::ORIGIN, PAGE)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, method)
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, headers);
    way.send(app, request.body(()).unwrap()).await
}

/// A page may not send the content type `application/json` without a preflight.
async fn a_page_can_send_json(way: Way) {
    let api = way.api();
    for (headers, is_permitted) in [
        ("authorization,content-type,dpop", true),
        ("content-type", true),
        ("authorization,content-type,dpop,idempotency-key", false),
    ] {
        let response = preflight(way, app(&api), "POST", headers).await;
        let permitted = permits(&response, "POST", headers);
        assert_eq!(permitted, is_permitted, "{headers}");
    }
}

async fn what_an_api_adds_takes_nothing_away(way: Way) {
    let api = way.api();
    let key = || HeaderName::from_static("idempotency-key");
    let count = || HeaderName::from_static("x-total-count");
    for (cors, more) in [
        (
            cors_layer_with(PAGE, [key()], [count()]),
            ",idempotency-key",
        ),
        (
            cors_layer_with(PAGE, vec![key(), header::IF_MATCH], []),
            ",idempotency-key,if-match",
        ),
        (
            cors_layer_with(PAGE, [], [header::RETRY_AFTER, count()]),
            "",
        ),
    ] {
        let headers = format!("authorization,content-type,dpop{more}");
        let response = preflight(way, behind(&api, cors.clone()), "DELETE", &headers).await;
        assert!(permits(&response, "DELETE", &headers), "{headers}");

        let mut request = api.client.get(URL, &api.token().mint());
        request.headers_mut().insert(header::ORIGIN, PAGE);
        let response = way.send(behind(&api, cors), request).await;
        let readable = names(&response, header::ACCESS_CONTROL_EXPOSE_HEADERS);
        for name in &RESPONSE_HEADERS {
            assert!(readable.contains(&name.as_str().to_owned()), "{name}");
        }
        let is_more_readable = readable.contains(&count().as_str().to_owned());
        assert_eq!(is_more_readable, !more.contains("if-match"));
    }
}

/// Returns the names in a header that contains a list of names.
fn names(response: &Response<Body>, name: HeaderName) -> Vec<String> {
    let values = response.headers().get_all(name);
    let lists = values.iter().map(|value| value.to_str().unwrap());
    let names = lists.flat_map(|list| list.split(','));
    names.map(|name| name.trim().to_ascii_lowercase()).collect()
}

async fn a_preflight_of_a_page_that_uses_dpop_passes(way: Way) {
    let api = way.api();
    let request = Request::options("/orders")
        .header(header::ORIGIN, PAGE)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization,dpop");
    let response = way.send(app(&api), request.body(()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(
        response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        PAGE
    );
    let allowed = names(&response, header::ACCESS_CONTROL_ALLOW_HEADERS);
    for name in &REQUEST_HEADERS {
        assert!(
            allowed.iter().any(|allowed| allowed == name.as_str()),
            "{name}"
        );
    }
    let methods = names(&response, header::ACCESS_CONTROL_ALLOW_METHODS);
    assert_eq!(methods, ["get", "post", "delete"]);

    // Another page is not allowed to do anything.
    let request = Request::options("/orders")
        .header(header::ORIGIN, "https://evil.test")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE");
    let response = way.send(app(&api), request.body(()).unwrap()).await;
    assert_ne!(
        response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        Some(&HeaderValue::from_static("https://evil.test"))
    );
}

async fn a_page_can_read_why_it_was_rejected_and_the_nonce(way: Way) {
    let api = way.api();
    let mut request = api.client.get(URL, &api.token().mint());
    request.headers_mut().insert(header::ORIGIN, PAGE);
    let response = way.send(app(&api), request).await;
    assert_eq!(
        response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN],
        PAGE
    );
    let readable = names(&response, header::ACCESS_CONTROL_EXPOSE_HEADERS);
    for name in &RESPONSE_HEADERS {
        assert!(
            readable.iter().any(|readable| readable == name.as_str()),
            "{name}"
        );
        assert!(response.headers().contains_key(name), "{name}");
    }
    let nonce_missing = Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason: "proof_nonce_missing",
    };
    assert_eq!(Verdict::of(response), nonce_missing);
}
