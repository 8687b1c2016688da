//! Requests of pages of other origins, as browsers send them
//! (<https://fetch.spec.whatwg.org/#http-cors-protocol>).

use axum::{Router, body::Body};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{Rig, Wanted, error_of, ext_authz, forward_auth, forward_auth::ForwardAuthRig};

const PAGE: &str = "https://app.test";
const CORS: &str = "[cors]\norigins = ['https://app.test', 'http://localhost:3000']\n";

/// An upstream with a CORS policy of its own.
fn opinionated() -> Router {
    Router::new().fallback(async |method: Method| {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-credentials", "true"),
            ("access-control-expose-headers", "x-secret"),
            ("access-control-allow-methods", "BREW"),
            ("vary", "accept"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("x-method", method.as_str().parse().unwrap());
        headers
    })
}

fn preflight(origin: &str, method: &str, headers: &str) -> Request<Body> {
    Request::options("/orders")
        .header(header::ORIGIN, origin)
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, method)
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, headers)
        .body(Body::empty())
        .unwrap()
}

fn from(page: &'static str, mut request: Request<Body>) -> Request<Body> {
    let page = HeaderValue::from_static(page);
    request.headers_mut().insert(header::ORIGIN, page);
    request
}

/// Returns the elements of a list, in lower case.
fn list(headers: &HeaderMap, name: &str) -> Vec<String> {
    let lists = headers.get_all(name).iter();
    let lists = lists.map(|list| list.to_str().unwrap().to_ascii_lowercase());
    let lists: Vec<String> = lists.collect();
    let elements = lists.iter().flat_map(|list| list.split(','));
    elements.map(|element| element.trim().to_owned()).collect()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names
}

fn allowed_origin(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(header::ACCESS_CONTROL_ALLOW_ORIGIN).iter();
    let first = all.next()?;
    assert!(all.next().is_none(), "{headers:?}");
    Some(first.to_str().unwrap())
}

/// Asserts that a page of this origin can read the response and the headers that DPoP needs.
fn assert_readable(response: &Response<Incoming>, page: &str) {
    let headers = response.headers();
    assert_eq!(allowed_origin(headers), Some(page), "{headers:?}");
    assert_eq!(
        list(headers, "access-control-expose-headers"),
        ["www-authenticate", "dpop-nonce"]
    );
    assert!(
        list(headers, "vary").contains(&"origin".to_owned()),
        "{headers:?}"
    );
    for none in [
        "access-control-allow-credentials",
        "access-control-allow-methods",
    ] {
        assert!(!headers.contains_key(none), "{headers:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_by_the_gateway() {
    let rig = Rig::with(opinionated(), Wanted::tables(CORS)).await;
    for page in [PAGE, "http://localhost:3000"] {
        let response = rig
            .send(preflight(page, "PUT", "authorization,dpop,content-type"))
            .await;
        let headers = response.headers();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(
            !headers.contains_key("x-method") && !headers.contains_key(header::WWW_AUTHENTICATE)
        );
        assert_eq!(allowed_origin(headers), Some(page));
        let sent = sorted(list(headers, "access-control-allow-headers"));
        assert_eq!(sent, ["authorization", "content-type", "dpop"]);
        let methods = list(headers, "access-control-allow-methods");
        assert_eq!(methods, ["get", "head", "post", "put", "patch", "delete"]);
        assert_eq!(headers["access-control-max-age"], "600");
        assert!(!headers.contains_key("access-control-allow-credentials"));
    }
    for other in [
        "https://evil.example",
        "https://app.test.evil.example",
        "https://app.test:8443",
        "http://app.test",
        "null",
        "*",
    ] {
        let response = rig.send(preflight(other, "GET", "authorization")).await;
        assert_eq!(allowed_origin(response.headers()), None, "{other}");
        assert!(!response.headers().contains_key("x-method"), "{other}");
    }
}

#[tokio::test]
async fn a_page_can_read_an_answer_and_why_there_is_none() {
    let tables = format!("[nonces]\nmode = 'required'\n{CORS}");
    let rig = Rig::with(opinionated(), Wanted::tables(&tables)).await;
    let bare = || Request::get("/orders").body(Body::empty()).unwrap();
    let response = rig.send(from(PAGE, bare())).await;
    assert_eq!(response.status(), 401);
    assert_readable(&response, PAGE);
    // Such a client needs the nonce most of all.
    let response = rig.send(from(PAGE, rig.get("/orders"))).await;
    assert_eq!(error_of(&response).as_deref(), Some("use_dpop_nonce"));
    assert!(response.headers().contains_key("dpop-nonce"));
    assert_readable(&response, PAGE);

    rig.reload(Wanted::tables(CORS));
    let response = rig.send(from(PAGE, rig.get("/orders"))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["x-method"], "GET");
    assert!(list(response.headers(), "vary").contains(&"accept".to_owned()));
    assert_readable(&response, PAGE);
    let response = rig
        .send(from("https://evil.example", rig.get("/orders")))
        .await;
    assert_eq!(
        (response.status(), allowed_origin(response.headers())),
        (StatusCode::OK, None)
    );
    // A client that is not a page gets no CORS headers.
    let response = rig.send(rig.get("/orders")).await;
    assert_eq!(
        (response.status(), allowed_origin(response.headers())),
        (StatusCode::OK, None)
    );
}

#[tokio::test]
async fn a_page_can_read_that_the_upstream_is_out_of_reach() {
    let upstream = format!("http://127.0.0.1:{}", dpop_test_servers::free_port());
    let rig = Rig::before(&upstream, Wanted::tables(CORS)).await;
    let response = rig.send(from(PAGE, rig.get("/orders"))).await;
    assert_eq!(response.status(), 502);
    assert_readable(&response, PAGE);
}

/// An `OPTIONS` request that is not a preflight is an ordinary request.
#[tokio::test]
async fn options_by_itself_is_not_answered_by_the_gateway() {
    let rig = Rig::with(opinionated(), Wanted::tables(CORS)).await;
    let options = || rig.request(Method::OPTIONS, "/orders");
    let mut asking = options();
    let method = HeaderValue::from_static("GET");
    asking
        .headers_mut()
        .insert(header::ACCESS_CONTROL_REQUEST_METHOD, method);
    for request in [options(), from(PAGE, options()), asking] {
        let response = rig.send(request).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["x-method"], "OPTIONS");
    }
    let bare = Request::options("/orders").header(header::ORIGIN, PAGE);
    assert_eq!(rig.status(bare.body(Body::empty()).unwrap()).await, 401);
}

#[tokio::test]
async fn a_file_says_what_pages_may_do_and_a_new_one_counts_at_once() {
    let rig = Rig::with(opinionated(), Wanted::default()).await;
    // The gateway answers nothing here, and the upstream's CORS headers pass unchanged.
    let response = rig.send(preflight(PAGE, "GET", "dpop")).await;
    assert_eq!(response.status(), 401);
    assert_eq!(allowed_origin(response.headers()), None);
    let response = rig.send(from(PAGE, rig.get("/orders"))).await;
    assert_eq!(allowed_origin(response.headers()), Some("*"));
    assert_eq!(
        response.headers()["access-control-allow-credentials"],
        "true"
    );

    let tables = "[cors]\norigins = ['https://app.test', 'capacitor://localhost']\nmethods = ['GET', 'PURGE']\n\
                  headers = ['X-Request-Id', 'DPoP']\nexpose = ['ETag', 'Dpop-Nonce']\nmax_age = 5";
    rig.reload(Wanted::tables(tables));
    let response = rig
        .send(preflight("capacitor://localhost", "PURGE", "x-request-id"))
        .await;
    let headers = response.headers();
    assert_eq!(allowed_origin(headers), Some("capacitor://localhost"));
    assert_eq!(
        list(headers, "access-control-allow-methods"),
        ["get", "purge"]
    );
    let sent = sorted(list(headers, "access-control-allow-headers"));
    let expected = ["authorization", "content-type", "dpop", "x-request-id"];
    assert_eq!(sent, expected);
    assert_eq!(headers["access-control-max-age"], "5");
    let response = rig.send(from(PAGE, rig.get("/orders"))).await;
    let read = list(response.headers(), "access-control-expose-headers");
    assert_eq!(read, ["www-authenticate", "dpop-nonce", "etag"]);

    rig.reload(Wanted::tables("[cors]\norigins = ['*']"));
    for page in [PAGE, "https://anybody.example", "null"] {
        let response = rig.send(preflight(page, "GET", "dpop")).await;
        assert_eq!(allowed_origin(response.headers()), Some("*"), "{page}");
    }
    let response = rig
        .send(from("https://anybody.example", rig.get("/orders")))
        .await;
    assert_eq!(allowed_origin(response.headers()), Some("*"));
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-credentials")
    );
}

/// If another proxy forwards the requests, it answers the preflights as well. A page can still read the
/// rejections that it passes on.
#[tokio::test]
async fn a_rejection_for_a_proxy_that_asks_can_be_read_by_a_page() {
    for (_, name) in forward_auth::PROXIES {
        let asked = ForwardAuthRig::by(name, Wanted::tables(CORS)).await;
        for (page, expected) in [(PAGE, Some(PAGE)), ("https://evil.example", None)] {
            let mut bare = from(page, asked.rig.get("/orders"));
            bare.headers_mut().remove("dpop");
            let response = asked.answer(asked.about(&bare)).await;
            assert_eq!(response.status(), 401, "{name}");
            assert_eq!(allowed_origin(response.headers()), expected, "{name}");
        }
        // The headers for the upstream are not exposed to the page.
        let good = from(PAGE, asked.rig.get("/orders"));
        let response = asked.answer(asked.about(&good)).await;
        assert_eq!(
            (response.status(), allowed_origin(response.headers())),
            (StatusCode::OK, None)
        );
    }

    let mut envoy = ext_authz::Envoy::before(CORS).await;
    let mut bare = from(PAGE, envoy.rig.get("/orders"));
    bare.headers_mut().remove("dpop");
    let (status, response) = envoy.rejected(ext_authz::about(&bare)).await;
    assert_eq!(status, 401);
    let allowed = ext_authz::header(&response.headers, "access-control-allow-origin");
    assert_eq!(allowed.as_deref(), Some(PAGE));
    let exposed = ext_authz::header(&response.headers, "access-control-expose-headers");
    assert!(exposed.unwrap().contains("dpop-nonce"));
}
