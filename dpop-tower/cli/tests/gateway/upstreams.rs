//! Several upstreams, and paths that servers read in different ways.

use axum::{Router, body::Body};
use http::{Method, Request};

use super::{ORIGIN, Rig, Wanted, serve, text};

/// Starts an upstream that answers with its name and the path of the request.
async fn named(name: &'static str) -> String {
    let answer = async move |uri: http::Uri| format!("{name} {}", uri.path());
    serve(Router::new().fallback(answer)).await
}

/// Starts a gateway with orders for anyone with a proof, an admin area that needs a scope, and public pages.
/// Each has its own upstream.
async fn rig() -> Rig {
    let (orders, admin, public) = (
        named("orders").await,
        named("admin").await,
        named("public").await,
    );
    let tables = format!(
        "\
[[route]]
path = '/orders/{{id}}'
upstream = '{orders}'
[[route]]
path = '/orders/health'
mode = 'off'
[[route]]
path = '/admin'
methods = ['GET']
scopes = ['admin']
upstream = '{admin}'
[[route]]
path = '/admin/{{*rest}}'
scopes = ['admin']
upstream = '{admin}'
[[route]]
path = '/public/{{*rest}}'
mode = 'off'
upstream = '{public}'
"
    );
    Rig::before(&named("default").await, Wanted::tables(&tables)).await
}

fn bare(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

/// Makes a request with a token of this scope, and a proof for the path as it is sent.
fn signed(rig: &Rig, method: Method, path: &str, scope: &str) -> Request<Body> {
    let token = rig.issuer.token().scope(scope).bound_to(&rig.client).mint();
    let proof = rig
        .client
        .proof(method.as_str(), &format!("{ORIGIN}{path}"));
    let proof = proof.access_token(&token).sign();
    let url = format!("{ORIGIN}{path}");
    let request = rig.client.request_with_proof(method, &url, &token, &proof);
    request.map(|()| Body::empty())
}

async fn answer(rig: &Rig, request: Request<Body>) -> (u16, String) {
    let response = rig.send(request).await;
    let status = response.status().as_u16();
    (status, text(response).await)
}

#[tokio::test]
async fn a_route_sends_requests_to_its_upstream_and_the_rest_goes_to_that_of_the_file() {
    let rig = rig().await;
    for (path, name) in [
        ("/orders/7", "orders"),
        ("/orders/7?to=admin", "orders"),
        ("/admin", "admin"),
        ("/admin/users/7", "admin"),
        ("/public/a/b", "public"),
        ("/", "default"),
        ("/orders", "default"),
        ("/orders/7/8", "default"),
        // This route has no upstream of its own.
        ("/orders/health", "default"),
    ] {
        let (status, text) = answer(&rig, signed(&rig, Method::GET, path, "admin")).await;
        let path = path.split('?').next().unwrap();
        assert_eq!((status, text), (200, format!("{name} {path}")));
    }
    // The method does not matter.
    for method in [Method::POST, Method::DELETE, Method::PUT] {
        let (status, text) = answer(&rig, signed(&rig, method, "/admin", "admin")).await;
        assert_eq!((status, &*text), (200, "admin /admin"));
    }
}

/// The requirements of every reading of the path apply, and the request goes to the upstream of the row that a
/// reading reaches.
#[tokio::test]
async fn a_spelling_of_a_path_leads_to_the_upstream_of_its_row_with_what_the_row_requires() {
    let rig = rig().await;
    for path in [
        "/%61dmin",
        "/%2561dmin",
        "/Admin",
        "/ADMIN/",
        "/admin/",
        "//admin",
        "/admin;v=1",
        "/admin%2F",
        "/admin%3Fx",
        "/admin%20",
        "//evil.example/admin",
    ] {
        let (status, text) = answer(&rig, bare(path)).await;
        assert_eq!(status, 401, "{path}: {text}");
        let (status, text) = answer(&rig, signed(&rig, Method::GET, path, "f1:read")).await;
        assert_eq!(status, 403, "{path}: {text}");
        let (status, text) = answer(&rig, signed(&rig, Method::GET, path, "admin")).await;
        assert_eq!((status, text), (200, format!("admin {path}")));
    }
    let (status, text) = answer(&rig, signed(&rig, Method::GET, "/orders/a%2Fb", "x")).await;
    assert_eq!((status, &*text), (200, "orders /orders/a%2Fb"));
}

#[tokio::test]
async fn a_path_that_reaches_rows_of_different_upstreams_goes_to_none() {
    let rig = rig().await;
    for path in [
        "/orders/Health",
        "/orders/%68ealth",
        "/orders/health%2F",
        "/orders/health;v=1",
        "/orders/health%3Fx",
    ] {
        let (status, text) = answer(&rig, signed(&rig, Method::GET, path, "admin")).await;
        assert_eq!(status, 400, "{path}: {text}");
    }
    // The readings of these paths reach only the row for `/orders/health`.
    for path in ["/orders/health/", "/orders//health"] {
        let (status, text) = answer(&rig, signed(&rig, Method::GET, path, "admin")).await;
        assert_eq!((status, text), (200, format!("default {path}")));
        assert_eq!(answer(&rig, bare(path)).await.0, 401, "{path}");
    }
}

#[tokio::test]
async fn no_spelling_leads_from_an_open_upstream_to_another() {
    let rig = rig().await;
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public/%252e%252e/admin",
        "/public/x/..;/..;/admin",
        "/public/..%5cadmin",
        "/public/%zz",
    ] {
        let (status, text) = answer(&rig, bare(path)).await;
        assert_eq!(status, 400, "{path}: {text}");
    }
    // This path looks similar, and `admin` is only a name in it.
    let (status, text) = answer(&rig, bare("/public/admin")).await;
    assert_eq!((status, &*text), (200, "public /public/admin"));
}

/// A table that rejects nothing still selects upstreams.
#[tokio::test]
async fn paths_choose_an_upstream_also_where_nothing_is_required() {
    let other = named("other").await;
    let wanted = format!("[[route]]\npath = '/a/{{*rest}}'\nmode = 'off'\nupstream = '{other}'\n");
    let wanted = Wanted {
        head: "mode = 'off'",
        tables: &wanted,
    };
    let rig = Rig::before(&named("default").await, wanted).await;
    for (path, expected) in [("/a/x", (200, "other /a/x")), ("/x", (200, "default /x"))] {
        let (status, text) = answer(&rig, bare(path)).await;
        assert_eq!((status, &*text), expected);
    }
    for path in ["/a/../x", "/x/..%2fa/y"] {
        assert_eq!(answer(&rig, bare(path)).await.0, 400, "{path}");
    }
}

#[tokio::test]
async fn a_reload_changes_the_upstream_of_a_route() {
    let (one, two) = (named("one").await, named("two").await);
    let table = |url: &str| format!("[[route]]\npath = '/a'\nupstream = '{url}'\n");
    let rig = Rig::before(&named("default").await, Wanted::tables(&table(&one))).await;
    assert_eq!(answer(&rig, rig.get("/a")).await.1, "one /a");
    rig.reload(Wanted::tables(&table(&two)));
    assert_eq!(answer(&rig, rig.get("/a")).await.1, "two /a");
    rig.reload(Wanted::tables("[[route]]\npath = '/a'\n"));
    assert_eq!(answer(&rig, rig.get("/a")).await.1, "default /a");
}
