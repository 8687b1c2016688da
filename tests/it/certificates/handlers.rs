//! What handlers get.

use axum::{Router, routing::get};
use dpop_tower::{
    BearerToken, BoundToken, CertificateBoundToken, DpopLayer, Policy, extract::Scopes,
    grpc::RequestExt as _,
};
use http::StatusCode;

use super::{Bound, as_bearer, certificate, outcome, thumbprint, with_certificate};
use crate::support::{Api, URL, send};

#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
}

#[derive(Debug, serde::Deserialize)]
struct Demanding {
    #[expect(dead_code, reason = "it is missing")]
    tenant: String,
}

fn router(api: &Api) -> Router {
    let policy = Policy::optional().accept_certificate_bound();
    let config = api.config().policy(policy).build().unwrap();
    let certificate_bound = async |token: CertificateBoundToken<Claims>| {
        assert_eq!(*token.certificate_thumbprint(), thumbprint());
        token.claims().sub.clone()
    };
    let any = async |bound: Option<BoundToken>,
                     bearer: Option<BearerToken>,
                     certificate: Option<CertificateBoundToken<Claims>>| {
        format!(
            "{} {} {}",
            bound.is_some(),
            bearer.is_some(),
            certificate.is_some()
        )
    };
    let grpc = async |request: axum::extract::Request| {
        let request = tonic::Request::from_http(request);
        let token = request.certificate_bound_token();
        format!("{} {}", token.is_some(), request.bound_token().is_ok())
    };
    Router::new()
        .route("/certificate", get(certificate_bound))
        .route(
            "/demanding",
            get(async |_: CertificateBoundToken<Demanding>| ""),
        )
        .route("/bound", get(async |_: BoundToken| "bound"))
        .route("/bearer", get(async |_: BearerToken| "bearer"))
        .route(
            "/scopes",
            get(async |scopes: Scopes| scopes.contains("orders:read").to_string()),
        )
        .route("/any", get(any))
        .route("/grpc", get(grpc))
        .layer(DpopLayer::new(config))
}

#[tokio::test]
async fn a_certificate_bound_token_is_neither_a_bound_token_nor_a_bearer_token() {
    let api = Api::new();
    let router = router(&api);
    let (own, token) = (certificate(), Bound::Certificate.token(&api));
    for (path, expected) in [
        ("/certificate", "test-subject"),
        ("/demanding", "token_invalid_claim"),
        ("/bound", "token_scheme_not_accepted"),
        ("/bearer", "token_unbound_needed"),
        ("/scopes", "true"),
        ("/any", "false false true"),
        ("/grpc", "true false"),
    ] {
        let mut request = with_certificate(as_bearer(&token), Some(&own));
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(outcome(&router, request).await, expected, "{path}");
    }
}

#[tokio::test]
async fn a_handler_for_certificate_bound_tokens_rejects_all_others() {
    let api = Api::new();
    let router = router(&api);
    let needed = "token_certificate_bound_needed";
    let mut bearer = as_bearer(&Bound::Not.token(&api));
    *bearer.uri_mut() = "/certificate".parse().unwrap();
    assert_eq!(outcome(&router, bearer).await, needed);
    for bound in [Bound::Key, Bound::Both] {
        let uri = URL.replace("/orders", "/certificate");
        let request = api.client.get(&uri, &bound.token(&api));
        let request = with_certificate(request, Some(&certificate()));
        assert_eq!(outcome(&router, request).await, needed);
    }
}

#[tokio::test]
async fn without_a_layer_there_is_no_certificate_bound_token() {
    let handler = get(async |_: CertificateBoundToken| "");
    let router = Router::new().route("/orders", handler);
    let response = send(router, as_bearer("a")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
