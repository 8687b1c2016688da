//! Pages of another origin.

use axum::{Router, body::Body, routing::get};
use dpop_tower::{
    DpopLayer,
    cors::{REQUEST_HEADERS, RESPONSE_HEADERS, cors_layer},
    nonce::{NonceSecret, StatelessNonces},
};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use crate::support::{Api, URL, Verdict, Way, each_way};

each_way!(
    a_preflight_of_a_page_that_uses_dpop_passes,
    a_page_can_read_why_it_was_refused_and_the_nonce,
);

const PAGE: HeaderValue = HeaderValue::from_static("https://app.test");

fn app(api: &Api) -> Router {
    let secret = NonceSecret::new([3; 32]).unwrap();
    let config = api.config().nonces(StatelessNonces::new(secret)).build();
    Router::new()
        .route("/orders", get(|| async {}).delete(|| async {}))
        .layer(DpopLayer::new(config.unwrap()))
        .layer(cors_layer(PAGE).allow_methods([Method::GET, Method::DELETE]))
}

/// The names in a header that is a list of them.
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
    assert_eq!(methods, ["get", "delete"]);

    // Another page is not allowed anything.
    let request = Request::options("/orders")
        .header(header::ORIGIN, "https://evil.test")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "DELETE");
    let response = way.send(app(&api), request.body(()).unwrap()).await;
    assert_ne!(
        response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN),
        Some(&HeaderValue::from_static("https://evil.test"))
    );
}

async fn a_page_can_read_why_it_was_refused_and_the_nonce(way: Way) {
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
    let nonce_missing = Verdict::Refused {
        status: 401,
        error: "use_dpop_nonce",
        reason: "proof_nonce_missing",
    };
    assert_eq!(Verdict::of(response), nonce_missing);
}
