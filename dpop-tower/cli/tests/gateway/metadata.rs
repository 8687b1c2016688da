//! The metadata of the protected resource (RFC 9728), served by the gateway itself.

use axum::body::Body;
use dpop_cli::gateway::{Settings, ext_authz::proto::envoy::config::core::v3::HeaderValueOption};
use http::{Request, Response, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{
    Rig, Wanted, ext_authz::Envoy, ext_authz::about, forward_auth::ForwardAuthRig,
    forward_auth::PROXIES, json as json_of, mirror, nginx::Asking, send, text,
};

const PATH: &str = "/.well-known/oauth-protected-resource/mcp";
const TABLES: &str = "\
[[route]]
path = '/mcp'
scopes = ['tools:call']

[metadata]
resources = ['https://api.test/mcp']
resource_name = 'Tools'
resource_documentation = 'https://docs.test'
";
const NAMED: &str =
    "resource_metadata=\"https://api.test/.well-known/oauth-protected-resource/mcp\"";

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn expected() -> Value {
    json!({
        "resource": "https://api.test/mcp",
        "authorization_servers": ["https://issuer.test"],
        "scopes_supported": ["tools:call"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"],
        "dpop_bound_access_tokens_required": true,
        "resource_name": "Tools",
        "resource_documentation": "https://docs.test",
    })
}

fn challenge(response: &Response<Incoming>) -> &str {
    let value = &response.headers()[header::WWW_AUTHENTICATE];
    value.to_str().unwrap()
}

#[tokio::test]
async fn the_gateway_serves_the_document_and_its_challenges_name_it() {
    let rig = Rig::with(mirror(), Wanted::tables(TABLES)).await;
    let challenged = rig.send(get("/mcp")).await;
    assert_eq!(challenged.status(), 401);
    assert!(challenge(&challenged).contains(NAMED), "{challenged:?}");

    let response = rig.send(get(PATH)).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["access-control-allow-origin"], "*");
    assert_eq!(json_of(response).await, expected());

    let post = Request::post(PATH).body(Body::from("x")).unwrap();
    let response = rig.send(post).await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, HEAD");
}

#[tokio::test]
async fn any_other_spelling_belongs_to_the_upstream_and_needs_a_token() {
    let rig = Rig::with(mirror(), Wanted::tables(TABLES)).await;
    for path in [
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp/",
        "/.well-known/oauth-protected-resource/%6dcp",
        "/.well-known/OAuth-protected-resource/mcp",
        "/.well-known/./oauth-protected-resource/mcp",
    ] {
        let status = rig.status(get(path)).await;
        assert!(matches!(status, 400 | 401), "{path}: {status}");
    }
    let none = Rig::new(mirror()).await;
    assert_eq!(none.status(get(PATH)).await, 401);
    let challenged = none.send(get("/mcp")).await;
    assert!(!challenge(&challenged).contains("resource_metadata"));
    assert_eq!(
        none.status(none.get(PATH)).await,
        200,
        "the upstream has it"
    );
}

#[tokio::test]
async fn pages_may_read_it_whatever_cors_says() {
    let cors = format!("{TABLES}\n[cors]\norigins = ['https://app.test']");
    let rig = Rig::with(mirror(), Wanted::tables(&cors)).await;
    let mut request = get(PATH);
    let page = "https://other.test".parse().unwrap();
    request.headers_mut().insert(header::ORIGIN, page);
    let response = rig.send(request).await;
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_reload_changes_the_document_and_the_challenge_together() {
    let rig = Rig::new(mirror()).await;
    rig.reload(Wanted::tables(TABLES));
    assert!(challenge(&rig.send(get("/mcp")).await).contains(NAMED));
    assert_eq!(json_of(rig.send(get(PATH)).await).await, expected());

    let other = TABLES.replace("api.test/mcp", "api.test/tools");
    rig.reload(Wanted::tables(&other));
    let url = NAMED.replace("/mcp", "/tools");
    assert!(challenge(&rig.send(get("/mcp")).await).contains(&url));
    let document = json_of(rig.send(get(&PATH.replace("mcp", "tools"))).await).await;
    assert_eq!(document["resource"], "https://api.test/tools");
    assert_eq!(rig.status(get(PATH)).await, 401);

    rig.reload(Wanted::default());
    assert!(!challenge(&rig.send(get("/mcp")).await).contains("resource_metadata"));
}

#[tokio::test]
async fn a_gateway_without_an_upstream_serves_it_to_the_clients_of_the_proxy_that_asks() {
    for (_, proxy) in PROXIES {
        let rig = ForwardAuthRig::by(proxy, Wanted::tables(&format!("\n{TABLES}"))).await;
        let challenged = rig.answer(rig.about(&get("/mcp"))).await;
        assert!(challenge(&challenged).contains(NAMED), "{proxy}");

        let response = send(rig.address, get(PATH)).await;
        assert_eq!(response.status(), 200, "{proxy}");
        assert_eq!(response.headers()["cache-control"], "public, max-age=600");
        assert_eq!(json_of(response).await, expected());
        // A question about this path is a question, wherever it is asked.
        assert_eq!(rig.verdict(&get(PATH)).await, 401, "{proxy}");
    }
}

#[tokio::test]
async fn no_client_can_ask_a_question_at_the_path_of_the_document() {
    for (_, proxy) in PROXIES {
        let rig = ForwardAuthRig::by(proxy, Wanted::tables(&format!("\n{TABLES}"))).await;
        let good = rig.rig.client.get("https://api.test/mcp", &rig.rig.token());
        let mut question = rig.about(&good);
        *question.uri_mut() = PATH.parse().unwrap();
        let response = send(rig.address, question).await;
        assert_eq!(response.status(), 400, "{proxy}");
        assert!(!response.headers().contains_key("x-dpop-thumbprint"));
        for name in ["x-original-uri", "x-forwarded-uri", "x-original-method"] {
            let mut request = get(PATH);
            let name = http::HeaderName::from_static(name);
            request.headers_mut().insert(name, "/".parse().unwrap());
            assert_eq!(send(rig.address, request).await.status(), 400);
        }
    }
}

#[tokio::test]
async fn nginx_forwards_requests_for_the_document_and_no_question_of_a_client() {
    const LOCATION: &str = include_str!("../../../../docs/forward-auth/nginx-metadata.conf");
    let nginx = Asking::and(LOCATION, Wanted::tables(&format!("\n{TABLES}"))).await;
    let challenged = send(nginx.address, get("/mcp")).await;
    assert_eq!(challenged.status(), 401);
    assert!(challenge(&challenged).contains(NAMED));
    let good = nginx
        .asked
        .rig
        .client
        .get("https://api.test/mcp", &nginx.asked.rig.token());
    let mut question = nginx.asked.about(&good);
    *question.uri_mut() = PATH.parse().unwrap();
    for request in [get(PATH), question] {
        let response = send(nginx.address, request).await;
        assert_eq!(response.status(), 200);
        assert!(!response.headers().contains_key("x-dpop-thumbprint"));
        assert_eq!(json_of(response).await, expected());
    }
    let post = Request::post(PATH).body(Body::from("x")).unwrap();
    assert_eq!(send(nginx.address, post).await.status(), 405);
}

#[tokio::test]
async fn strangers_do_not_even_get_the_document_where_only_proxies_may_ask() {
    let tables = format!("networks = ['192.0.2.0/24']\n{TABLES}");
    let rig = ForwardAuthRig::by("nginx", Wanted::tables(&tables)).await;
    assert_eq!(send(rig.address, get(PATH)).await.status(), 403);
}

fn value<'h>(headers: &'h [HeaderValueOption], name: &str) -> &'h str {
    let headers = headers.iter().filter_map(|option| option.header.as_ref());
    let mut named = headers.filter(|header| header.key == name);
    &named.next().unwrap_or_else(|| panic!("no {name}")).value
}

#[tokio::test]
async fn envoy_answers_with_the_document_by_itself() {
    let mut envoy = Envoy::before(&format!("\n{TABLES}")).await;
    let (status, challenged) = envoy.rejected(about(&get("/mcp"))).await;
    assert_eq!(status, 401);
    assert!(value(&challenged.headers, "www-authenticate").contains(NAMED));

    // Any code but `OK` keeps Envoy from sending the request to the service.
    let (status, document) = envoy.rejected(about(&get(PATH))).await;
    assert_eq!(status, 200);
    assert_eq!(value(&document.headers, "content-type"), "application/json");
    let body: Value = serde_json::from_str(&document.body).unwrap();
    assert_eq!(body, expected());
    let delete = Request::delete(PATH).body(Body::empty()).unwrap();
    let (status, _) = envoy.rejected(about(&delete)).await;
    assert_eq!(status, 405);
}

#[tokio::test]
async fn each_public_origin_has_a_document_of_its_own() {
    let rig = Rig::new(mirror()).await;
    let file = std::fs::read_to_string(rig.path()).unwrap();
    let origins = "public_origins = [\"https://api.test\", \"https://api.example\"]";
    let file = file.replace("public_origins = [\"https://api.test\"]", origins);
    std::fs::write(rig.path(), format!("{file}\n[metadata]\n")).unwrap();
    let settings = Settings::read(&rig.path()).unwrap();
    rig.gateway.replace(settings).unwrap();
    for (host, resource) in [
        ("api.example", "https://api.example"),
        ("api.test", "https://api.test"),
        ("evil.example", "https://api.test"),
    ] {
        let of_host = |path: &str| {
            Request::get(path)
                .header("host", host)
                .body(Body::empty())
                .unwrap()
        };
        let well_known = "/.well-known/oauth-protected-resource";
        let challenged = rig.send(of_host("/orders")).await;
        let named = format!("resource_metadata=\"{resource}{well_known}\"");
        assert!(challenge(&challenged).contains(&named), "{host}");
        let document = text(rig.send(of_host(well_known)).await).await;
        assert!(
            document.contains(&format!("\"resource\":\"{resource}\"")),
            "{host}"
        );
    }
}
