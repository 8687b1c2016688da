//! Policies by path and method.

use axum::{Router, routing::get};
use dpop_tower::{Policy, PolicyTable};
use http::{Method, Request};

use super::{bearer, hello, insufficient_scope, orders};
use crate::support::{Api, ORIGIN, URL, Verdict, Way, invalid_request, invalid_token};

/// Returns some routes behind one layer.
fn shop(api: &Api, table: PolicyTable) -> Router {
    let handlers = orders()
        .route("/health", get(hello))
        .route("/files/{*path}", get(hello));
    api.way
        .protect_by(api.config().build().unwrap(), table, handlers)
}

pub(super) async fn a_table_chooses_by_path_and_method(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route("/health", Policy::off())
        .methods("/orders", [Method::GET], Policy::optional())
        .methods(
            "/orders",
            [Method::POST],
            Policy::strict().require_scope("write"),
        )
        .route("/files/{*path}", Policy::off())
        .build()
        .unwrap();
    let router = shop(&api, table);
    let token = api.token().scope("read").mint();
    let open = api.issuer.token().mint();
    let missing = Verdict::Rejected {
        status: 401,
        error: "",
        reason: "credentials_missing",
    };
    let malformed = invalid_request("path_malformed");
    let plain = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        request.body(()).unwrap()
    };
    for (what, request, expected) in [
        ("open", plain("GET", "/health"), Verdict::Admitted),
        ("open", plain("HEAD", "/health"), Verdict::Admitted),
        ("open", plain("GET", "/files/a/b"), Verdict::Admitted),
        ("open", plain("GET", "/files//a"), Verdict::Admitted),
        ("malformed", plain("GET", "/files/../orders"), malformed),
        ("malformed", plain("GET", "/files/%2e%2e/a"), malformed),
        ("odd", plain("GET", "/%66iles/a"), missing),
        ("optional", bearer(&open), Verdict::Admitted),
        ("optional", api.client.get(URL, &token), Verdict::Admitted),
        (
            "HEAD as GET",
            api.client.request(Method::HEAD, URL, &token),
            Verdict::Admitted,
        ),
        (
            "scope",
            api.client.request(Method::POST, URL, &token),
            insufficient_scope("policy_scope_missing"),
        ),
        ("another method", plain("DELETE", "/orders"), missing),
        ("not listed", plain("GET", "/elsewhere"), missing),
    ] {
        let verdict = Verdict::of(way.send(router.clone(), request).await);
        assert_eq!(verdict, expected, "{what}");
    }
    let mut post = bearer(&open);
    *post.method_mut() = Method::POST;
    let verdict = Verdict::of(way.send(router, post).await);
    assert_eq!(verdict, invalid_token("token_scheme_not_accepted"));
}

pub(super) async fn a_table_sees_the_path_as_the_client_sent_it(way: Way) {
    let api = way.api();
    let table = PolicyTable::builder()
        .route("/api/health", Policy::off())
        .route("/health", Policy::strict().require_scope("never"))
        .build()
        .unwrap();
    let router = Router::new().nest("/api", shop(&api, table));
    let open = Request::get("/api/health").body(()).unwrap();
    let verdict = Verdict::of(way.send(router.clone(), open).await);
    assert_eq!(verdict, Verdict::Admitted);
    let token = api.token().mint();
    let request = api.client.get(&format!("{ORIGIN}/api/orders"), &token);
    let verdict = Verdict::of(way.send(router, request).await);
    assert_eq!(verdict, Verdict::Admitted);
}
