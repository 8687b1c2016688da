//! The example's gRPC service behind the layer, with valid calls and calls that are wrong in one way.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dpop_tower::{DpopConfig, DpopLayer, Policy, PolicyTable, test_util::TestClient};
use grpc_example::{
    calls::pears,
    orders::OrderDesk,
    proto::{QuoteRequest, WatchRequest, orders_client::OrdersClient, orders_server::OrdersServer},
};
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tonic::{
    Code, IntoStreamingRequest as _, Request, Status,
    metadata::MetadataMap,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tonic_web::GrpcWebLayer;
use tower::util::MapRequestLayer;

use crate::{
    rejection::challenge::Challenge,
    support::{Api, ORIGIN, nonces},
};

/// Far longer than any operation takes, so that a test that waits in vain ends.
pub(crate) const IN_VAIN: Duration = Duration::from_secs(60);

/// A method of each kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Unary,
    ServerStreaming,
    ClientStreaming,
    Bidirectional,
}

use Kind::{Bidirectional, ClientStreaming, ServerStreaming, Unary};

pub(crate) const KINDS: [Kind; 4] = [Unary, ServerStreaming, ClientStreaming, Bidirectional];

impl Kind {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Unary => "/orders.v1.Orders/Place",
            ServerStreaming => "/orders.v1.Orders/Watch",
            ClientStreaming => "/orders.v1.Orders/PlaceAll",
            Bidirectional => "/orders.v1.Orders/Quote",
        }
    }

    pub(crate) fn htu(self) -> String {
        format!("{ORIGIN}{}", self.path())
    }

    /// Returns the responses to two messages or to one, each with the subject of the token.
    pub(crate) const fn answers(self) -> &'static [&'static str] {
        match self {
            Unary => &["alice: 3"],
            ServerStreaming => &["alice: accepted", "alice: packed", "alice: sent"],
            ClientStreaming => &["alice: 2 of 7"],
            Bidirectional => &["alice: 750", "alice: 1000"],
        }
    }
}

/// The service behind the layer, on a socket of its own.
pub(crate) struct Service {
    pub(crate) address: String,
    /// The number of calls that the layer admitted.
    served: Arc<AtomicUsize>,
}

impl Service {
    pub(crate) async fn behind(layer: DpopLayer) -> Self {
        let served = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let counted = Arc::clone(&served);
        let count = MapRequestLayer::new(move |request: http::Request<tonic::body::Body>| {
            counted.fetch_add(1, Ordering::SeqCst);
            request
        });
        let server = Server::builder()
            .accept_http1(true)
            .layer(GrpcWebLayer::new())
            .layer(layer)
            .layer(count)
            .add_service(OrdersServer::new(OrderDesk));
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });
        Self { address, served }
    }

    pub(crate) async fn of(config: DpopConfig) -> Self {
        Self::behind(DpopLayer::new(config)).await
    }

    pub(crate) fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }
}

/// What a call sends besides its messages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) authorization: Option<String>,
    pub(crate) proof: Option<String>,
}

impl Sent {
    pub(crate) fn new(token: &str, proof: &str) -> Self {
        Self {
            authorization: Some(format!("DPoP {token}")),
            proof: Some(proof.to_owned()),
        }
    }

    /// Creates a fresh token with this scope, and a fresh proof for the method.
    pub(crate) fn with_scope(api: &Api, kind: Kind, scope: &str) -> Self {
        let token = api.token().scope(scope).mint();
        let proof = api.client.proof("POST", &kind.htu()).access_token(&token);
        Self::new(&token, &proof.sign())
    }

    pub(crate) fn good(api: &Api, kind: Kind) -> Self {
        Self::with_scope(api, kind, "orders:write")
    }

    pub(crate) fn metadata(&self) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        if let Some(authorization) = &self.authorization {
            metadata.insert("authorization", authorization.parse().unwrap());
        }
        if let Some(proof) = &self.proof {
            metadata.insert("dpop", proof.parse().unwrap());
        }
        metadata
    }

    pub(crate) fn on<T>(&self, mut request: Request<T>) -> Request<T> {
        *request.metadata_mut() = self.metadata();
        request
    }
}

/// Calls a method of this kind, and reads all responses.
pub(crate) async fn call(
    channel: Channel,
    kind: Kind,
    sent: &Sent,
) -> Result<(MetadataMap, Vec<String>), Status> {
    let mut client = OrdersClient::new(channel);
    match kind {
        Unary => {
            let answer = client.place(sent.on(Request::new(pears(3)))).await?;
            let (metadata, order, _) = answer.into_parts();
            let text = format!("{}: {}", order.subject, order.quantity);
            Ok((metadata, vec![text]))
        }
        ServerStreaming => {
            let request = sent.on(Request::new(WatchRequest::default()));
            let (metadata, stages, _) = client.watch(request).await?.into_parts();
            let stages = stages.map(|stage| stage.map(|s| format!("{}: {}", s.subject, s.name)));
            Ok((metadata, stages.collect::<Result<_, _>>().await?))
        }
        ClientStreaming => {
            let orders = tokio_stream::iter([pears(3), pears(4)]);
            let request = sent.on(orders.into_streaming_request());
            let (metadata, summary, _) = client.place_all(request).await?.into_parts();
            let text = format!(
                "{}: {} of {}",
                summary.subject, summary.orders, summary.items
            );
            Ok((metadata, vec![text]))
        }
        Bidirectional => {
            let requests = tokio_stream::iter([quote(3), quote(4)]);
            let request = sent.on(requests.into_streaming_request());
            let (metadata, offers, _) = client.quote(request).await?.into_parts();
            let offers = offers.map(|offer| offer.map(|o| format!("{}: {}", o.subject, o.cents)));
            Ok((metadata, offers.collect::<Result<_, _>>().await?))
        }
    }
}

pub(crate) fn quote(quantity: u32) -> QuoteRequest {
    QuoteRequest {
        item: "pears".to_owned(),
        quantity,
    }
}

/// Returns the only challenge of a rejection. Its text is also the message of the status.
pub(crate) fn challenge(status: &Status) -> Challenge {
    let mut challenges = status.metadata().get_all("www-authenticate").iter();
    let challenge = challenges.next().unwrap().to_str().unwrap();
    assert!(challenges.next().is_none());
    let challenge = Challenge::parse(challenge).unwrap();
    assert_eq!(challenge.scheme, "DPoP");
    if let Some(description) = challenge.get("error_description") {
        assert_eq!(status.message(), description);
    }
    challenge
}

/// Calls that are rejected: what is wrong, what is sent, and what the client is told.
type Rejected = (&'static str, Sent, Code, Option<&'static str>, &'static str);

pub(crate) fn rejected(api: &Api, kind: Kind) -> Vec<Rejected> {
    let htu = kind.htu();
    let token = api.token().scope("orders:write").mint();
    let proof = |method: &str, htu: &str| api.client.proof(method, htu).access_token(&token);
    let with = |proof: String| Sent::new(&token, &proof);
    let thief = TestClient::new().clock(api.clock.clone());
    let theirs = thief.proof("POST", &htu).access_token(&token).sign();
    let other = KINDS.map(Kind::htu).into_iter().find(|other| *other != htu);
    let invalid_proof = |what, sent, message| {
        let error = Some("invalid_dpop_proof");
        (what, sent, Code::Unauthenticated, error, message)
    };
    let invalid_token = |what, sent, message| {
        let error = Some("invalid_token");
        (what, sent, Code::Unauthenticated, error, message)
    };
    let no_proof = Sent {
        proof: None,
        ..with(String::new())
    };
    let as_bearer = Sent {
        authorization: Some(format!("Bearer {token}")),
        ..with(proof("POST", &htu).sign())
    };
    vec![
        (
            "no credentials",
            Sent::default(),
            Code::Unauthenticated,
            None,
            "no access token was sent",
        ),
        (
            "no scope",
            Sent::with_scope(api, kind, "orders:read"),
            Code::PermissionDenied,
            Some("insufficient_scope"),
            "the token lacks a scope",
        ),
        invalid_proof("no proof", no_proof, "the DPoP header is missing"),
        invalid_proof(
            "another method of the service",
            with(proof("POST", &other.unwrap()).sign()),
            "the proof is for another URI",
        ),
        invalid_proof(
            "another method of HTTP",
            with(proof("GET", &htu).sign()),
            "the proof is for another method",
        ),
        invalid_proof(
            "no ath",
            with(api.client.proof("POST", &htu).sign()),
            "a required claim of the proof is missing",
        ),
        invalid_proof(
            "an old proof",
            with(proof("POST", &htu).claim("iat", api.now() - 3600).sign()),
            "the proof is too old",
        ),
        invalid_proof(
            "a forged signature",
            with(proof("POST", &htu).signed_by(&thief).sign()),
            "the proof's signature is invalid",
        ),
        invalid_token(
            "another key",
            with(theirs),
            "the token is bound to another key",
        ),
        invalid_token(
            "a bound token as a bearer token",
            as_bearer,
            "only DPoP-bound tokens with the DPoP scheme are accepted",
        ),
    ]
}

pub(crate) fn needs_scope() -> PolicyTable {
    PolicyTable::builder()
        .route(
            "/orders.v1.Orders/{*method}",
            Policy::strict().require_scope("orders:write"),
        )
        .build()
        .unwrap()
}

pub(crate) async fn service_that_needs_nonces(api: &Api) -> Service {
    let config = api.config().nonce_source(nonces()).require_nonces();
    Service::of(config.build().unwrap()).await
}

pub(crate) async fn service_that_needs_scope(api: &Api) -> Service {
    let layer = DpopLayer::new(api.config().build().unwrap());
    Service::behind(layer.with_policy(needs_scope())).await
}
