//! gRPC, with tonic's server and the generated client of the health service.

use std::{str::FromStr as _, time::Duration};

use dpop_tower::{
    DpopLayer, Policy, PolicyTable,
    clock::TimeSource as _,
    crypto::AwsLcRs,
    grpc::RequestExt as _,
    nonce::{NonceContext, NonceSecret, NonceSource as _, StatelessNonces},
};
use tokio::net::TcpListener;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse,
    health_check_response::ServingStatus,
    health_client::HealthClient,
    health_server::{Health, HealthServer},
};
use tower::Layer as _;

use crate::{rejection::challenge::Challenge, support::Api};

const CHECK: &str = "https://api.test/grpc.health.v1.Health/Check";
const WATCH: &str = "https://api.test/grpc.health.v1.Health/Watch";

/// Shows in the status what kind of token a call was admitted with.
struct Probe;

#[tonic::async_trait]
impl Health for Probe {
    type WatchStream = Streaming<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = match request.bearer_token() {
            Some(_) => ServingStatus::NotServing,
            None => {
                request.bound_token()?;
                ServingStatus::Serving
            }
        };
        Ok(Response::new(HealthCheckResponse {
            status: status.into(),
        }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

fn layer(api: &Api) -> DpopLayer {
    DpopLayer::new(api.config().build().unwrap())
}

/// Returns a client of a server on a socket of its own.
async fn connected(
    server: impl FnOnce(TcpIncoming) -> tokio::task::JoinHandle<()>,
) -> HealthClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    server(TcpIncoming::from(listener));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

/// Serves [`Probe`] behind a layer around the whole server.
async fn probe(layer: DpopLayer) -> HealthClient<Channel> {
    connected(|incoming| {
        let server = Server::builder()
            .layer(layer)
            .add_service(HealthServer::new(Probe));
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    })
    .await
}

fn ascii(text: &str) -> MetadataValue<Ascii> {
    MetadataValue::from_str(text).unwrap()
}

fn bare() -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest::default())
}

fn with_proof(token: &str, proof: &str) -> Request<HealthCheckRequest> {
    let mut request = bare();
    let metadata = request.metadata_mut();
    metadata.insert("authorization", ascii(&format!("DPoP {token}")));
    metadata.insert("dpop", ascii(proof));
    request
}

/// Returns a call with a fresh token and a fresh proof for this method.
fn signed(api: &Api, htu: &str) -> Request<HealthCheckRequest> {
    let token = api.token().mint();
    let proof = api.client.proof("POST", htu).access_token(&token).sign();
    with_proof(&token, &proof)
}

fn challenge(status: &Status) -> Challenge {
    let value = status.metadata().get("www-authenticate").unwrap();
    Challenge::parse(value.to_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_call_is_served_once_for_each_proof_and_rejected_with_a_challenge() {
    let api = Api::new();
    let mut client = probe(layer(&api)).await;
    let token = api.token().mint();
    let proof = api.client.proof("POST", CHECK).access_token(&token).sign();
    let answer = client.check(with_proof(&token, &proof)).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);

    let other_path = signed(&api, WATCH);
    let other_method = {
        let token = api.token().mint();
        let proof = api.client.proof("GET", CHECK).access_token(&token).sign();
        with_proof(&token, &proof)
    };
    for (what, request, error) in [
        (
            "replay",
            with_proof(&token, &proof),
            Some("invalid_dpop_proof"),
        ),
        ("another path", other_path, Some("invalid_dpop_proof")),
        ("another method", other_method, Some("invalid_dpop_proof")),
        ("nothing", bare(), None),
    ] {
        let status = client.check(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{what}");
        let challenge = challenge(&status);
        assert_eq!(challenge.scheme, "DPoP", "{what}");
        assert_eq!(challenge.get("error"), error, "{what}");
        assert!(!status.message().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_nonce_comes_with_the_status_and_with_the_answer() {
    let api = Api::new();
    let secret = || NonceSecret::new([3; 32]).unwrap();
    let nonces = || StatelessNonces::new(secret()).period(Duration::from_secs(120));
    let config = api
        .config()
        .nonce_source(nonces())
        .require_nonces()
        .build()
        .unwrap();
    let mut client = probe(DpopLayer::new(config)).await;
    let status = client.check(signed(&api, CHECK)).await.unwrap_err();
    assert_eq!(challenge(&status).get("error"), Some("use_dpop_nonce"));
    let nonce = status
        .metadata()
        .get("dpop-nonce")
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!(
        nonce,
        nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs))
    );

    let with_nonce = || {
        let token = api.token().mint();
        let proof = api.client.proof("POST", CHECK).access_token(&token);
        with_proof(&token, &proof.nonce(nonce).sign())
    };
    let answer = client.check(with_nonce()).await.unwrap();
    assert!(answer.metadata().get("dpop-nonce").is_none());
    api.advance(120);
    let answer = client.check(with_nonce()).await.unwrap();
    let renewed = answer
        .metadata()
        .get("dpop-nonce")
        .unwrap()
        .to_str()
        .unwrap();
    assert_eq!(
        renewed,
        nonces().current(&NonceContext::new(api.clock.now(), &AwsLcRs))
    );
}

#[tokio::test]
async fn a_missing_scope_is_permission_denied_and_an_outage_unavailable() {
    let api = Api::new();
    let policy = Policy::strict().require_scope("health").build().unwrap();
    let mut client = probe(layer(&api).with_policy(policy)).await;
    let status = client.check(signed(&api, CHECK)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(challenge(&status).get("scope"), Some("health"));

    let one = std::num::NonZeroUsize::MIN;
    let store = dpop_tower::replay::MemoryReplayStore::with_capacity(one);
    let config = api.config().replay_store(store).build().unwrap();
    let mut client = probe(DpopLayer::new(config)).await;
    client.check(signed(&api, CHECK)).await.unwrap();
    let status = client.check(signed(&api, CHECK)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.metadata().get("www-authenticate").is_none());
}

#[tokio::test]
async fn a_stream_is_checked_when_it_begins() {
    let api = Api::new();
    let layer = layer(&api);
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut client = connected(|incoming| {
        let server = Server::builder().layer(layer).add_service(health);
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    })
    .await;
    let status = client.watch(bare()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    let status = client.watch(signed(&api, CHECK)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let mut stream = client
        .watch(signed(&api, WATCH))
        .await
        .unwrap()
        .into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert_eq!(first.status(), ServingStatus::Serving);
    reporter
        .set_service_status("", tonic_health::ServingStatus::NotServing)
        .await;
    let second = stream.message().await.unwrap().unwrap();
    assert_eq!(second.status(), ServingStatus::NotServing);
}

#[tokio::test]
async fn a_single_service_behind_the_layer_keeps_its_name_and_leaves_the_others_open() {
    let api = Api::new();
    let protected = layer(&api).layer(HealthServer::new(Probe));
    let mut client = connected(|incoming| {
        let server = Server::builder().add_service(protected);
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    })
    .await;
    let status = client.check(bare()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    client.check(signed(&api, CHECK)).await.unwrap();
}

#[tokio::test]
async fn a_table_leaves_single_methods_open() {
    let api = Api::new();
    let table = PolicyTable::builder()
        .route("/grpc.health.v1.Health/Watch", Policy::off())
        .build()
        .unwrap();
    let mut client = probe(layer(&api).with_policy(table)).await;
    let watched = client.watch(bare()).await;
    // The call reached the service.
    assert_eq!(watched.unwrap_err().code(), Code::Unimplemented);
    let status = client.check(bare()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_method_sees_the_token_and_rejects_without_one() {
    let api = Api::new();
    let bearer = || {
        let mut request = bare();
        let value = format!("Bearer {}", api.issuer.token().mint());
        request
            .metadata_mut()
            .insert("authorization", ascii(&value));
        request
    };
    let mut client = probe(layer(&api).with_policy(Policy::optional())).await;
    let answer = client.check(bearer()).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::NotServing);

    let mut client = probe(layer(&api).with_policy(Policy::off())).await;
    let status = client.check(bearer()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);

    let mut client = connected(|incoming| {
        let server = Server::builder().add_service(HealthServer::new(Probe));
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    })
    .await;
    let status = client.check(bearer()).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("DpopLayer"));
}

/// A service with a method that reads claims of its own type.
struct Typed;

#[derive(Debug, serde::Deserialize)]
struct Claims {
    #[expect(dead_code, reason = "only has to be a number")]
    tenant: u32,
}

#[tonic::async_trait]
impl Health for Typed {
    type WatchStream = Streaming<HealthCheckResponse>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match request.bearer_token() {
            Some(token) => drop(token.typed::<Claims>()?),
            None => drop(request.bound_token()?.typed::<Claims>()?),
        }
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

#[tokio::test]
async fn claims_that_do_not_fit_the_method_are_a_status_that_quotes_none() {
    let api = Api::new();
    let server = layer(&api).with_policy(Policy::optional());
    let mut client = connected(|incoming| {
        let server = Server::builder()
            .layer(server)
            .add_service(HealthServer::new(Typed));
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() })
    })
    .await;
    let bound = |token: String| {
        let proof = api.client.proof("POST", CHECK).access_token(&token).sign();
        with_proof(&token, &proof)
    };
    let bearer = |token: String| {
        let mut request = bare();
        let value = ascii(&format!("Bearer {token}"));
        request.metadata_mut().insert("authorization", value);
        request
    };
    for request in [
        bound(api.token().claim("tenant", 7).mint()),
        bearer(api.issuer.token().claim("tenant", 7).mint()),
    ] {
        let answer = client.check(request).await.unwrap();
        assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
    }
    for request in [
        bound(api.token().claim("tenant", "not for others").mint()),
        bound(api.token().mint()),
        bearer(api.issuer.token().claim("tenant", "not for others").mint()),
    ] {
        let status = client.check(request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.message(), "a claim of the token is invalid");
        assert!(
            !format!("{status:?}").contains("not for others"),
            "{status:?}"
        );
    }
}
