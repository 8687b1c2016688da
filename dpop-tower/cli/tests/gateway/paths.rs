//! Rows of the file and spellings of paths, in front of an upstream that reads paths as real servers do
//! and admits everyone.

use axum::{Router, body::Body, extract::Request as AxumRequest};
use http::{Method, Request, StatusCode};

use super::{ORIGIN, Rig, Wanted, ext_authz::Envoy, forward_auth::ForwardAuthRig, text};
use dpop_conformance::servers::SERVERS;

const ADMIN: &str = "\
[[route]]
path = '/admin'
scopes = ['admin']
acr = ['mfa']
require_nonce = true
";

const ADMIN_SCOPE: &str = "\
[[route]]
path = '/admin'
scopes = ['admin']
";

/// Spellings of `/admin` that some server treats as `/admin`, and that honest clients may send.
const ODD: [&str; 22] = [
    "/%61dmin",
    "/%2561dmin",
    "//admin",
    "///admin",
    "/admin/",
    "/admin//",
    "/admin%2F",
    "/admin%252F",
    "/admin;x=1",
    "/admin%3Bx",
    "/ADMIN",
    "/Admin",
    "/%41DMIN",
    "/admin%20",
    "/admin%2520",
    "/admin.",
    "/admin%C2%A0",
    "/admin%3Fa=b",
    "/admin%23a",
    "//evil.example/admin",
    "/%2Fadmin",
    "/Admin;x/%20",
];

/// Spellings that no honest client sends.
const MALFORMED: [&str; 16] = [
    "/./admin",
    "/x/../admin",
    "/admin/.",
    "/admin/x/..",
    "/..;/admin",
    "/%2e/admin",
    "/%252e/admin",
    "/x/%2E%2E/admin",
    "/admin%0a",
    "/admin%250a",
    "/admin%00",
    "/x%5C..%5Cadmin",
    "/admi%6",
    "/%u0061dmin",
    "/%+61dmin",
    "/%C0%AFadmin",
];

/// Reports the servers for which the path is that of the vault, if there are any.
fn vault() -> Router {
    async fn serve(request: AxumRequest) -> String {
        let path = request.uri().path();
        let is_vault = |path: String| path.trim_end_matches('/') == "/admin";
        let names = SERVERS.iter().filter(|server| is_vault(server.read(path)));
        names
            .map(|server| format!("the vault, as {}\n", server.name))
            .collect()
    }
    Router::new().fallback(serve)
}

/// Returns a request with a bound token with these claims, and a proof for a path that the guard may
/// read from `path`.
fn signed(rig: &Rig, method: Method, path: &str, htu: &str, scope: &str) -> Request<Body> {
    let token = rig.issuer.token().scope(scope).bound_to(&rig.client).mint();
    let proof = rig.client.proof(method.as_str(), &format!("{ORIGIN}{htu}"));
    let proof = proof.access_token(&token).sign();
    let url = format!("{ORIGIN}{path}");
    (rig.client.request_with_proof(method, &url, &token, &proof)).map(|()| Body::empty())
}

fn bare(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn assert_shut(rig: &Rig, request: Request<Body>) {
    let what = format!("{} {}", request.method(), request.uri());
    let response = rig.send(request).await;
    let status = response.status().as_u16();
    let body = text(response).await;
    assert!(
        matches!(status, 400 | 401 | 403),
        "{what}: {status}, {body:?}"
    );
    assert!(!body.contains("vault"), "{what}: {body:?}");
}

async fn assert_open(rig: &Rig, request: Request<Body>) -> String {
    let what = format!("{} {}", request.method(), request.uri());
    let response = rig.send(request).await;
    assert_eq!(response.status(), StatusCode::OK, "{what}");
    text(response).await
}

#[tokio::test]
async fn the_upstream_of_these_tests_serves_every_odd_spelling_as_some_server() {
    let rig = Rig::with(vault(), Wanted::head("mode = 'off'")).await;
    for path in ODD.into_iter().filter(|path| !path.contains("%25")) {
        let served = assert_open(&rig, bare(path)).await;
        assert!(served.contains("vault"), "{path}");
    }
}

#[tokio::test]
async fn a_rows_requirements_hold_for_every_spelling_of_its_path() {
    let rig = Rig::with(vault(), Wanted::tables(ADMIN)).await;
    for path in ODD.into_iter().chain(MALFORMED).chain(["/admin"]) {
        for htu in [path, "/admin"] {
            assert_shut(&rig, signed(&rig, Method::GET, path, htu, "f1:read")).await;
        }
    }
    // A client that meets all requirements of the row passes, whatever the spelling.
    let rig = Rig::with(vault(), Wanted::tables(ADMIN_SCOPE)).await;
    for path in ODD.into_iter().chain(["/admin"]) {
        let served = assert_open(&rig, signed(&rig, Method::GET, path, path, "admin")).await;
        assert!(path.contains("%25") || served.contains("vault"), "{path}");
    }
    for path in MALFORMED {
        let response = rig
            .send(signed(&rig, Method::GET, path, path, "admin"))
            .await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
    }
}

#[tokio::test]
async fn nobody_walks_around_a_row_where_the_rest_is_open() {
    for mode in ["off", "optional", "report_only"] {
        let head = format!("mode = '{mode}'");
        let wanted = Wanted {
            head: &head,
            tables: ADMIN_SCOPE,
        };
        let rig = Rig::with(vault(), wanted).await;
        let bearer = rig.issuer.token().scope("admin").mint();
        for path in ODD.into_iter().chain(MALFORMED).chain(["/admin"]) {
            assert_shut(&rig, bare(path)).await;
            let mut request = bare(path);
            let value = format!("Bearer {bearer}").parse().unwrap();
            request.headers_mut().insert("authorization", value);
            assert_shut(&rig, request).await;
        }
        if mode != "optional" {
            for path in [
                "/",
                "/index.html",
                "/a/b%20c",
                "/%C3%A4",
                "/Administration",
                "/x//y/",
                "/a%2Fb",
            ] {
                let served = assert_open(&rig, bare(path)).await;
                assert_eq!(served, "", "{path}");
            }
        }
    }
}

#[tokio::test]
async fn a_weak_row_around_a_strong_one_is_no_way_around_it() {
    let tables = "\
[[route]]
path = '/public/{*rest}'
mode = 'off'
[[route]]
path = '/public/admin'
scopes = ['admin']
";
    let rig = Rig::with(vault(), Wanted::tables(tables)).await;
    for path in [
        "/public/admin",
        "/public/admin%3Bx",
        "/public/admin/",
        "/public/Admin",
        "/public//admin",
        "/PUBLIC/admin",
        "/public/%252e%252e/admin",
        "/public/..%2Fpublic/admin",
        "/public/x/..;/admin",
    ] {
        assert_shut(&rig, bare(path)).await;
    }
    for path in [
        "/public/x",
        "/public/x/y%20z",
        "/public/logo.svg",
        "/public/dir/",
        "/public/a%2Fb",
    ] {
        assert_open(&rig, bare(path)).await;
    }
}

#[tokio::test]
async fn a_method_that_no_row_lists_keeps_what_the_path_asks_for() {
    let tables = "\
[[route]]
path = '/orders/{id}'
methods = ['GET']
scopes = ['orders:read']
[[route]]
path = '/api/{*rest}'
scopes = ['api']
[[route]]
path = '/api/status'
methods = ['GET']
mode = 'optional'
";
    let rig = Rig::with(vault(), Wanted::tables(tables)).await;
    let request = |method: &Method, path, scope| signed(&rig, method.clone(), path, path, scope);
    for method in [
        Method::GET,
        Method::POST,
        Method::DELETE,
        Method::OPTIONS,
        Method::PATCH,
    ] {
        assert_shut(&rig, request(&method, "/orders/7", "f1:read")).await;
        assert_open(&rig, request(&method, "/orders/7", "orders:read")).await;
        assert_open(&rig, request(&method, "/api/status", "api")).await;
    }
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        assert_shut(&rig, request(&method, "/api/status", "f1:read")).await;
    }
    assert_open(&rig, request(&Method::GET, "/api/status", "f1:read")).await;
    assert_open(&rig, request(&Method::HEAD, "/api/status", "f1:read")).await;
}

#[tokio::test]
async fn of_two_rows_that_fit_neither_frees_from_the_other() {
    let tables = "\
[[route]]
path = '/a/{x}/secret'
scopes = ['secret']
[[route]]
path = '/a/b/{*rest}'
mode = 'off'
";
    let rig = Rig::with(vault(), Wanted::tables(tables)).await;
    for path in [
        "/a/b/secret",
        "/a/b/secret/",
        "/a/B/secret",
        "/a/b/%73ecret",
    ] {
        assert_shut(&rig, bare(path)).await;
        assert_open(&rig, signed(&rig, Method::GET, path, path, "secret")).await;
    }
    assert_open(&rig, bare("/a/b/other")).await;
}

#[tokio::test]
async fn what_is_not_listed_can_be_denied() {
    let wanted = Wanted {
        head: "mode = 'deny'",
        tables: "[[route]]\npath = '/orders/{id}'\n",
    };
    let rig = Rig::with(vault(), wanted).await;
    for path in ["/order/7", "/orders", "/orders/7/8", "/", "/orders/7%2F8"] {
        let response = rig.send(signed(&rig, Method::GET, path, path, "all")).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{path}");
        assert!(
            !response.headers().contains_key("www-authenticate"),
            "{path}"
        );
    }
    for path in ["/orders/7", "/orders/AbC-9", "/orders/7;v=1"] {
        assert_open(&rig, signed(&rig, Method::GET, path, path, "none")).await;
    }
}

#[tokio::test]
async fn proxies_that_ask_are_told_the_same() {
    for proxy in ["nginx", "traefik", "caddy"] {
        let wanted = Wanted {
            head: "mode = 'off'",
            tables: ADMIN_SCOPE,
        };
        let asked = ForwardAuthRig::by(proxy, wanted).await;
        for path in ODD.into_iter().chain(MALFORMED) {
            let status = asked.verdict(&bare(path)).await;
            assert!(
                matches!(status, 400 | 401 | 403),
                "{proxy} {path}: {status}"
            );
        }
        assert_eq!(
            asked.verdict(&bare("/Administration")).await,
            200,
            "{proxy}"
        );
    }
    let mut envoy = Envoy::before_routes("mode = 'off'", ADMIN_SCOPE).await;
    for path in ODD.into_iter().chain(MALFORMED) {
        let status = envoy.verdict(&bare(path)).await;
        assert!(matches!(status, 400 | 401 | 403), "Envoy {path}: {status}");
    }
    assert_eq!(envoy.verdict(&bare("/Administration")).await, 200);
}

#[tokio::test]
async fn an_open_route_can_offer_a_nonce() {
    let tables = "\
[[route]]
path = '/hello'
mode = 'off'
offer_nonce = true
[[route]]
path = '/pay'
require_nonce = true
";
    let rig = Rig::with(vault(), Wanted::tables(tables)).await;
    let response = rig.send(bare("/hello")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["cache-control"], "no-store");
    let nonce = response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned();
    let token = rig.token();
    let proof = rig
        .client
        .proof("GET", &format!("{ORIGIN}/pay"))
        .access_token(&token);
    let request = rig.with_proof("/pay", &token, &proof.nonce(&nonce).sign());
    assert_open(&rig, request).await;
    let other = rig.send(rig.get("/other")).await;
    assert!(!other.headers().contains_key("dpop-nonce"));
}
