//! Layers that reject nothing, alone and around or inside others.

use std::{convert::Infallible, sync::Arc};

use axum::{Router, body::Body, http::HeaderMap, routing::get};
use dpop_tower::{
    BearerToken, BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, Mode, Policy, PublicOrigin,
    Report,
    nonce::{NonceSecret, StatelessNonces},
    rejection::Rejection,
    replay::StoreError,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower::{Layer, ServiceExt as _, service_fn};

use crate::{
    rejection::logging::Log,
    stores::{CountingStore, Outage},
    support::{Api, ORIGIN, URL, Verdict, invalid_token, send},
};

fn config(api: &Api) -> DpopConfigBuilder {
    DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), api.issuer.tokens())
        .clock(api.clock.clone())
}

fn layer(api: &Api, policy: Policy) -> DpopLayer {
    DpopLayer::new(config(api).policy(policy).build().unwrap())
}

fn authorization(value: &str) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = "/orders".parse().unwrap();
    let value = HeaderValue::from_str(value).unwrap();
    request.headers_mut().insert(header::AUTHORIZATION, value);
    request
}

fn with_proof(api: &Api, token: &str, proof: &str) -> Request<()> {
    api.client
        .request_with_proof(http::Method::GET, URL, token, proof)
}

/// What the inner service finds in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    tokens: &'static str,
    /// The reason in the report. It is empty if the report says that the request is valid.
    report: Option<&'static str>,
}

/// Sends the request through `layer`. Returns the rejection if it does not reach the inner service.
/// Otherwise asserts that the inner service's response comes back unchanged.
async fn seen<L, S, B>(layer: L, request: Request<()>) -> Result<Seen, Response<B>>
where
    L: Layer<
            tower::util::BoxCloneSyncService<Request<()>, Response<Body>, Infallible>,
            Service = S,
        >,
    S: tower::Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let inner = service_fn(async |request: Request<()>| {
        let extensions = request.extensions();
        let seen = Seen {
            tokens: match (
                extensions.get::<BoundToken>(),
                extensions.get::<BearerToken>(),
            ) {
                (Some(_), None) => "bound",
                (None, Some(_)) => "bearer",
                (None, None) => "none",
                (Some(_), Some(_)) => "both",
            },
            report: extensions
                .get::<Report>()
                .map(|report| report.rejection().map_or("", Rejection::reason)),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::IM_A_TEAPOT;
        response.extensions_mut().insert(seen);
        Ok(response)
    });
    let inner = tower::util::BoxCloneSyncService::new(inner);
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    match response.extensions().get::<Seen>() {
        Some(seen) => {
            assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
            assert_eq!(response.headers(), &HeaderMap::new());
            assert!(response.extensions().get::<Rejection>().is_none());
            Ok(seen.clone())
        }
        None => Err(response),
    }
}

fn reported(reason: &'static str) -> Seen {
    Seen {
        tokens: "none",
        report: Some(reason),
    }
}

/// Requests that a strict layer rejects, each for a different reason.
fn bad_requests(api: &Api) -> Vec<Request<()>> {
    let token = api.token().mint();
    let unbound = api.issuer.token().mint();
    let mut bare = authorization("x");
    bare.headers_mut().clear();
    let mut twice = api.client.get(URL, &token);
    let again = twice.headers()[header::AUTHORIZATION].clone();
    twice.headers_mut().append(header::AUTHORIZATION, again);
    let mut grpc = authorization(&format!("DPoP {token}"));
    let content_type = HeaderValue::from_static("application/grpc");
    grpc.headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    vec![
        bare,
        twice,
        grpc,
        authorization(&format!("Bearer {unbound}")),
        authorization(&format!("Bearer {token}")),
        authorization("Basic YTpi"),
        with_proof(api, &token, "junk"),
        with_proof(
            api,
            &token,
            &api.proof(&token).claim("htu", "https://other.test/").sign(),
        ),
        with_proof(api, &unbound, &api.proof(&unbound).sign()),
        api.client
            .get(URL, &api.token().claim("exp", api.now() - 1).mint()),
    ]
}

#[tokio::test]
async fn report_only_lets_everything_pass_and_reports_what_strict_says() {
    let api = Api::new();
    let mut reasons = Vec::new();
    for (strict, report_only) in bad_requests(&api).into_iter().zip(bad_requests(&api)) {
        let rejected = seen(layer(&api, Policy::strict()), strict)
            .await
            .unwrap_err();
        let reason = rejected.extensions().get::<Rejection>().unwrap().reason();
        let passed = seen(layer(&api, Policy::report_only()), report_only).await;
        assert_eq!(passed.unwrap(), reported(reason));
        reasons.push(reason);
    }
    assert!(reasons.contains(&"credentials_missing"), "{reasons:?}");
    assert!(reasons.contains(&"token_expired"), "{reasons:?}");
    assert!(reasons.contains(&"proof_htu_mismatch"), "{reasons:?}");
}

#[tokio::test]
async fn report_only_gives_the_handler_a_token_that_strict_would_accept() {
    let api = Api::new();
    let layer = layer(&api, Policy::report_only());
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    let good = Seen {
        tokens: "bound",
        report: Some(""),
    };
    let first = seen(layer.clone(), with_proof(&api, &token, &proof)).await;
    assert_eq!(first.unwrap(), good);
    let again = seen(layer.clone(), with_proof(&api, &token, &proof)).await;
    assert_eq!(again.unwrap(), reported("proof_replayed"));
}

#[tokio::test]
async fn report_only_reports_an_outage_and_does_not_suffer_from_it() {
    let api = Api::new();
    let config = config(&api)
        .replay_store(Outage::of(StoreError::full))
        .policy(Policy::report_only());
    let layer = DpopLayer::new(config.build().unwrap());
    let passed = seen(layer, api.client.get(URL, &api.token().mint())).await;
    assert_eq!(passed.unwrap(), reported("store_full"));
}

#[tokio::test]
async fn report_only_asks_for_no_nonce_since_it_gives_none() {
    let api = Api::new();
    let nonces = || StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let config = |policy| {
        let config = config(&api)
            .nonce_source(nonces())
            .require_nonces()
            .policy(policy);
        DpopLayer::new(config.build().unwrap())
    };
    let token = api.token().mint();
    let proofs = || {
        [
            api.proof(&token),
            api.proof(&token).nonce("of somebody else"),
        ]
    };
    for proof in proofs() {
        let request = with_proof(&api, &token, &proof.sign());
        let rejected = seen(config(Policy::strict()), request).await.unwrap_err();
        assert!(rejected.headers().contains_key("dpop-nonce"));
    }
    for proof in proofs() {
        let request = with_proof(&api, &token, &proof.sign());
        let passed = seen(config(Policy::report_only()), request).await.unwrap();
        assert_eq!((passed.tokens, passed.report), ("bound", Some("")));
    }
}

#[tokio::test]
async fn a_report_is_a_line_in_the_log_and_quotes_nothing_of_the_request() {
    let api = Api::new();
    let token = api.token().mint();
    let proof = api.proof(&token).claim("htm", "S3CRET").sign();
    let request = with_proof(&api, &token, &proof);
    let layer = layer(&api, Policy::report_only());
    let log = Log::listen();
    let passed = seen(layer, request).await;
    let lines = log.take();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("INFO"), "{lines:?}");
    assert!(lines[0].contains("would reject request"), "{lines:?}");
    assert!(lines[0].contains("proof_htm_mismatch"), "{lines:?}");
    for secret in ["S3CRET", &token, &proof] {
        assert!(!lines[0].contains(secret), "{lines:?}");
    }
    assert_eq!(passed.unwrap(), reported("proof_htm_mismatch"));
}

#[tokio::test]
async fn off_looks_at_nothing() {
    let api = Api::new();
    let store = Arc::new(CountingStore::default());
    let config = config(&api)
        .replay_store(Arc::clone(&store))
        .policy(Policy::off());
    let layer = DpopLayer::new(config.build().unwrap());
    let nothing = Seen {
        tokens: "none",
        report: None,
    };
    let good = api.client.get(URL, &api.token().mint());
    for request in bad_requests(&api).into_iter().chain([good]) {
        assert_eq!(seen(layer.clone(), request).await.unwrap(), nothing);
    }
    assert_eq!(store.asked(), 0);
}

#[tokio::test]
async fn a_report_of_an_inner_layer_is_about_what_the_outer_one_admitted() {
    let api = Api::new();
    let config = Arc::new(config(&api).build().unwrap());
    let layers = (
        DpopLayer::new(Arc::clone(&config)).with_policy(Policy::optional()),
        DpopLayer::new(config).with_policy(Policy::report_only()),
    );
    let bearer = authorization(&format!("Bearer {}", api.issuer.token().mint()));
    let bound = api.client.get(URL, &api.token().mint());
    for (request, tokens, report) in [
        (bearer, "bearer", "token_scheme_not_accepted"),
        (bound, "bound", ""),
    ] {
        let seen = seen(layers.clone(), request).await.unwrap();
        assert_eq!((seen.tokens, seen.report), (tokens, Some(report)));
    }
}

#[tokio::test]
async fn a_layer_that_rejects_nobody_leaves_what_another_configuration_has_found() {
    for policy in [Policy::off(), Policy::report_only()] {
        let (api, other) = (Api::new(), Api::new());
        let layers = (
            layer(&api, Policy::strict()),
            // From another issuer, so the token is not valid here.
            layer(&other, policy.clone()),
        );
        let request = api.client.get(URL, &api.token().mint());
        let seen = seen(layers, request).await.unwrap();
        assert_eq!(seen.tokens, "bound", "{policy:?}");
    }
}

#[tokio::test]
async fn where_nobody_is_rejected_a_handler_that_needs_a_token_rejects_for_itself() {
    let api = Api::new();
    for policy in [Policy::off(), Policy::report_only()] {
        let router = Router::new()
            .route("/orders", get(|_: BoundToken| async { "bound" }))
            .route("/bearer", get(|_: BearerToken| async { "bearer" }))
            .route(
                "/any",
                get(|token: Option<BoundToken>| async move {
                    assert!(token.is_none());
                    "any"
                }),
            )
            .layer(layer(&api, policy.clone()));
        for (path, status) in [("/orders", 401), ("/bearer", 401), ("/any", 200)] {
            let mut request = authorization(&format!("Bearer {}", api.issuer.token().mint()));
            *request.uri_mut() = path.parse().unwrap();
            let response = send(router.clone(), request).await;
            assert_eq!(response.status(), status, "{policy:?}: {path}");
            let challenge = response.headers().get(header::WWW_AUTHENTICATE);
            let is_dpop = |value: &HeaderValue| value.to_str().unwrap().starts_with("DPoP ");
            assert_eq!(challenge.is_some_and(is_dpop), status == 401);
        }
    }
}

#[tokio::test]
async fn the_default_is_strict() {
    let api = Api::new();
    assert_eq!(Policy::default().mode(), Mode::Strict);
    let bearer = authorization(&format!("Bearer {}", api.issuer.token().mint()));
    assert_eq!(
        api.send(bearer).await,
        invalid_token("token_scheme_not_accepted")
    );
    let response = send(
        Router::new()
            .route("/orders", get(|| async {}))
            .layer(DpopLayer::new(config(&api).build().unwrap())),
        api.client.get(URL, &api.token().mint()),
    )
    .await;
    assert_eq!(Verdict::of(response), Verdict::Admitted);
}

/// Inner services may log headers.
#[tokio::test]
async fn in_every_mode_the_token_and_the_proof_are_marked_sensitive_for_inner_services() {
    let api = Api::new();
    let policies = [
        Policy::strict(),
        Policy::optional(),
        Policy::report_only(),
        Policy::off(),
    ];
    for policy in policies {
        let inner = service_fn(async |request: Request<()>| {
            let headers = request.headers();
            for name in ["authorization", "dpop"] {
                assert!(headers.get_all(name).iter().all(HeaderValue::is_sensitive));
            }
            assert_eq!(headers.get_all("dpop").iter().count(), 1);
            Ok::<_, Infallible>(Response::new(Body::empty()))
        });
        let service = layer(&api, policy.clone()).layer(inner);
        let good = api.client.get(URL, &api.token().mint());
        let response = service.oneshot(good).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{policy:?}");
    }
}
