//! A rejection looks the same whatever rejects: a layer, an extractor, a scope, a method of a tonic
//! service, or a verifier without tower.

use axum::{
    Router,
    body::Body,
    routing::{get, post},
};
use dpop_tower::{
    BearerToken, BoundToken, DpopLayer, Policy, PolicyTable, RequestHead, RequireScopeLayer,
    Verdict, Verifier,
    grpc::RequestExt as _,
    nonce::{NonceSecret, StatelessNonces},
    rejection::{DefaultRejectionResponse, ProblemDetails, Rejection},
    target::PeerAddr,
};
use http::{Method, Request, Response, header};
use http_body_util::BodyExt as _;

use crate::{
    rejection::{logging::Log, metrics::counted},
    support::{Api, URL, send},
};

fn layer(api: &Api) -> DpopLayer {
    let nonces = StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let config = api.config().nonce_source(nonces).require_nonces();
    DpopLayer::new(config.build().unwrap())
        .with_policy(Policy::optional())
        .with_rejection_response(ProblemDetails)
}

/// A bearer token, which the layer admits and the handler does not.
fn bearer(api: &Api, content_type: Option<&str>) -> Request<()> {
    let token = api.issuer.token().mint();
    let mut request = Request::post(URL).header(header::AUTHORIZATION, format!("Bearer {token}"));
    if let Some(content_type) = content_type {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request.body(()).unwrap()
}

fn reason<B>(response: &Response<B>) -> &'static str {
    let rejection = response.extensions().get::<Rejection>();
    rejection.map_or("none", Rejection::reason)
}

async fn body(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_extractor_answers_with_all_that_the_layer_answers_with() {
    let (log, api) = (Log::listen(), Api::new());
    let router = Router::new()
        .route("/orders", post(async |_: BoundToken| "hello"))
        .layer(layer(&api));
    let response = send(router, bearer(&api, None)).await;
    assert_eq!(response.status(), 401);
    assert_eq!(reason(&response), "token_scheme_not_accepted");
    let headers = response.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(headers.contains_key("dpop-nonce"));
    let challenge = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("DPoP error=\"invalid_token\""));
    assert!(body(response).await.contains("\"error\":\"invalid_token\""));
    assert_eq!(log.take().len(), 1);
}

#[tokio::test]
async fn an_extractor_answers_grpc_with_headers_alone() {
    let api = Api::new();
    let router = Router::new()
        .route("/orders", post(async |_: BoundToken| "hello"))
        .layer(layer(&api));
    let response = send(router, bearer(&api, Some("application/grpc+proto"))).await;
    assert_eq!(response.status(), 200);
    assert_eq!(reason(&response), "token_scheme_not_accepted");
    let headers = response.headers();
    assert_eq!(headers["grpc-status"], "16");
    assert!(headers.contains_key("grpc-message"));
    assert_eq!(headers[header::CONTENT_TYPE], "application/grpc");
    assert!(headers.contains_key(header::WWW_AUTHENTICATE));
    assert_eq!(body(response).await, "");
}

#[tokio::test]
async fn an_extractor_inside_a_layer_without_a_body_of_its_own_answers_with_none() {
    let api = Api::new();
    let layer = DpopLayer::new(api.config().build().unwrap());
    let router = Router::new()
        .route("/orders", get(async |_: BearerToken| "hello"))
        .layer(layer);
    let request = api.client.get(URL, &api.token().mint());
    let response = send(router, request).await;
    assert_eq!(response.status(), 401);
    assert!(!response.headers().contains_key(header::CONTENT_TYPE));
    assert_eq!(body(response).await, "");
}

#[test]
fn what_an_extractor_or_a_verifier_rejects_is_counted_once() {
    let counts = counted(async || {
        let api = Api::new();
        let router = Router::new()
            .route("/orders", post(async |_: BoundToken| "hello"))
            .layer(layer(&api));
        send(router, bearer(&api, None)).await;
        let verifier = Verifier::new(api.config().build().unwrap());
        let request = api.client.get(URL, &api.token().mint());
        for _ in 0..2 {
            let head = RequestHead::new(request.method(), request.uri(), request.headers());
            let _ = verifier.verify(head, &Policy::strict()).await;
        }
    });
    let expected = [
        ("optional admitted none", 1),
        ("optional rejected token_scheme_not_accepted", 1),
        ("strict admitted none", 1),
        ("strict rejected proof_replayed", 1),
    ];
    assert!(
        counts
            .iter()
            .map(|(labels, count)| (labels.as_str(), *count))
            .eq(expected)
    );
}

/// Unless it has one of its own.
#[tokio::test]
async fn a_scope_answers_as_the_layer_outside_does() {
    let api = Api::new();
    let admin = || RequireScopeLayer::new("admin").unwrap();
    for (scope, content_type) in [
        (admin(), Some("application/problem+json")),
        (
            admin().with_rejection_response(DefaultRejectionResponse),
            None,
        ),
    ] {
        let router = Router::new()
            .route("/orders", post(async || "hello").route_layer(scope))
            .layer(layer(&api));
        let response = send(router, bearer(&api, None)).await;
        assert_eq!(reason(&response), "policy_scope_missing");
        let told = response.headers().get(header::CONTENT_TYPE);
        assert_eq!(told.map(|told| told.to_str().unwrap()), content_type);
    }
}

#[tokio::test]
async fn a_method_of_a_tonic_service_rejects_with_the_challenge_in_the_metadata() {
    let api = Api::new();
    let router = Router::new()
        .route(
            "/orders",
            post(async |request: axum::extract::Request| {
                let (parts, _) = request.into_parts();
                let metadata = tonic::metadata::MetadataMap::from_headers(parts.headers);
                let request = tonic::Request::from_parts(metadata, parts.extensions, ());
                let status = request.bound_token().unwrap_err();
                status.into_http::<Body>()
            }),
        )
        .layer(layer(&api));
    let response = send(router, bearer(&api, Some("application/grpc"))).await;
    let headers = response.headers();
    assert_eq!(headers["grpc-status"], "16");
    let challenge = headers[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("DPoP error=\"invalid_token\""));
    assert!(headers.contains_key("dpop-nonce"));
}

#[tokio::test]
async fn a_verifier_gives_the_token_or_all_that_the_client_has_to_be_told() {
    let (log, api) = (Log::listen(), Api::new());
    let nonces = StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let config = api.config().nonce_source(nonces).require_nonces();
    let verifier = Verifier::new(config.build().unwrap());
    let token = api.token().mint();
    let verify = async |request: Request<()>| {
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        verifier.verify(head, &Policy::strict()).await
    };
    let Verdict::Rejected(rejection) = verify(api.client.get(URL, &token)).await else {
        panic!("it has no nonce");
    };
    assert_eq!(rejection.status(), 401);
    assert!(rejection.problem().contains("use_dpop_nonce"));
    assert_eq!(log.take().len(), 1);
    let headers = rejection.headers();
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(headers.contains_key(header::WWW_AUTHENTICATE));
    let nonce = headers["dpop-nonce"].to_str().unwrap();

    let with_nonce = || {
        let proof = api.proof(&token).nonce(nonce).sign();
        (api.client).request_with_proof(Method::GET, URL, &token, &proof)
    };
    let Verdict::Admitted(admitted) = verify(with_nonce()).await else {
        panic!("it is a good request");
    };
    assert!(admitted.bound_token().is_some() && admitted.bearer_token().is_none());
    assert!(admitted.response_headers().is_empty() && admitted.report().is_none());
    api.advance(120);
    let Verdict::Admitted(admitted) = verify(with_nonce()).await else {
        panic!("it is a good request");
    };
    assert_eq!(admitted.response_headers().len(), 2);
    assert!(log.take().is_empty());
}

#[tokio::test]
async fn a_verifier_selects_policies_and_rejects_malformed_paths_as_a_layer_does() {
    let api = Api::new();
    let table = PolicyTable::builder()
        .route("/open", Policy::off())
        .route("/report", Policy::report_only())
        .build()
        .unwrap();
    let verifier = Verifier::new(api.config().build().unwrap()).with_policy(table);
    for (path, expected) in [
        ("/open", "admitted"),
        ("/report", "credentials_missing, reported"),
        ("/orders", "credentials_missing"),
        ("/open/../orders", "path_malformed"),
    ] {
        let request = Request::get(path).body(()).unwrap();
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let seen = match verifier.verify_request(head).await {
            Verdict::Rejected(rejection) => rejection.reason().to_owned(),
            Verdict::Admitted(admitted) => match admitted.report() {
                None => "admitted".to_owned(),
                Some(report) => format!("{}, reported", report.rejection().unwrap().reason()),
            },
        };
        assert_eq!(seen, expected, "{path}");
    }
}

#[tokio::test]
async fn the_verifier_of_a_layer_has_its_policy_and_its_replay_store() {
    let api = Api::new();
    let write = Policy::strict().require_scope("write").build().unwrap();
    let layer = DpopLayer::new(api.config().build().unwrap()).with_policy(write);
    let verifier = layer.verifier();
    let router = Router::new()
        .route("/orders", get(async || "orders"))
        .layer(layer);
    for (scope, reasons) in [
        ("read", ["policy_scope_missing", "policy_scope_missing"]),
        ("write", ["", "proof_replayed"]),
    ] {
        let request = api.client.get(URL, &api.token().scope(scope).mint());
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let of_verifier = match verifier.verify_request(head).await {
            Verdict::Admitted(_) => "",
            Verdict::Rejected(rejection) => rejection.reason(),
        };
        let response = send(router.clone(), request).await;
        let rejection = response.extensions().get().map(Rejection::reason);
        assert_eq!([of_verifier, rejection.unwrap_or_default()], reasons);
    }
}

/// A future that is kept does not keep the request.
#[tokio::test]
async fn a_verification_owns_what_it_needs() {
    let api = Api::new();
    let verifier = Verifier::new(api.config().build().unwrap());
    let verification = {
        let request = api.client.get(URL, &api.token().mint());
        let head = RequestHead::new(request.method(), request.uri(), request.headers())
            .peer(std::net::Ipv4Addr::LOCALHOST.into());
        assert!(!format!("{head:?}").contains("DPoP"), "{head:?}");
        verifier.verify_request(head)
    };
    let verdict = tokio::spawn(verification).await.unwrap();
    let Verdict::Admitted(admitted) = verdict else {
        panic!("it is a good request");
    };
    // What a router inside finds.
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(PeerAddr(std::net::Ipv4Addr::LOCALHOST.into()));
    admitted.record(request.extensions_mut());
    let router = Router::new().route(
        "/",
        get(async |token: BoundToken| token.claims().subject().unwrap().to_owned()),
    );
    let response = send(router, request).await;
    assert_eq!(body(response).await, "alice");
}
