//! A channel of tonic inside the layer, against a server that requires nonces.

use dpop_tower::{
    DpopConfig, DpopLayer, PublicOrigin,
    client::{
        AccessToken, ApiOrigin, ClientError, ClientErrorKind, ClientKey, DpopClient,
        DpopClientLayer, RequestBody,
    },
    crypto::Algorithm,
    test_util::TestIssuer,
};
use grpc_example::{
    orders::OrderDesk,
    proto::{
        PlaceRequest, QuoteRequest, WatchRequest, orders_client::OrdersClient,
        orders_server::OrdersServer,
    },
};
use http::{Request, Uri};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tonic::{
    Code,
    body::Body,
    client::GrpcService,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower::ServiceBuilder;

struct Orders {
    channel: Channel,
    layer: DpopClientLayer,
    server: JoinHandle<()>,
}

impl Orders {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let (issuer, key) = (
            TestIssuer::new(),
            ClientKey::generate(Algorithm::Es256).unwrap(),
        );
        let public = PublicOrigin::new(&origin).unwrap();
        let config = DpopConfig::builder(public, issuer.tokens()).require_nonces();
        let server = Server::builder()
            .layer(DpopLayer::new(config.build().unwrap()))
            .add_service(OrdersServer::new(OrderDesk));
        let incoming = TcpIncoming::from(listener);
        let server =
            tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });
        let token = issuer.token().bound_to_thumbprint(&key.thumbprint()).mint();
        let endpoint = Endpoint::from_shared(origin.clone()).unwrap();
        Self {
            channel: endpoint.connect().await.unwrap(),
            layer: DpopClientLayer::new(
                DpopClient::new(key).unwrap(),
                AccessToken::new(&token).unwrap(),
                ApiOrigin::new(&origin).unwrap(),
            ),
            server,
        }
    }

    fn service(
        &self,
    ) -> impl GrpcService<Body, ResponseBody = Body, Error = tower::BoxError> + Clone + use<> {
        ServiceBuilder::new()
            .layer(self.layer.clone())
            .map_request(|request: Request<RequestBody<Body>>| request.map(Body::new))
            .service(self.channel.clone())
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn pears(quantity: u32) -> PlaceRequest {
    PlaceRequest {
        item: "pears".to_owned(),
        quantity,
    }
}

#[tokio::test]
async fn a_unary_call_is_sent_again_with_the_nonce() {
    let orders = Orders::start().await;
    let order = OrdersClient::new(orders.service()).place(pears(3)).await;
    assert_eq!(order.unwrap().into_inner().quantity, 3);
}

#[tokio::test]
async fn a_call_with_a_stream_of_responses_is_sent_again() {
    let orders = Orders::start().await;
    let item = "pears".to_owned();
    let mut client = OrdersClient::new(orders.service());
    let stages = client.watch(WatchRequest { item }).await.unwrap();
    let stages: Vec<_> = stages.into_inner().collect().await;
    assert!(!stages.is_empty() && stages.iter().all(Result::is_ok));
}

#[tokio::test]
async fn a_call_with_a_stream_of_requests_is_sent_again() {
    let orders = Orders::start().await;
    let places = tokio_stream::iter([pears(3), pears(4)]);
    let summary = OrdersClient::new(orders.service()).place_all(places).await;
    assert_eq!(summary.unwrap().into_inner().items, 7);
}

#[tokio::test]
async fn a_stream_that_goes_on_is_taken_over_by_the_second_attempt() {
    let orders = Orders::start().await;
    let quote = |quantity| QuoteRequest {
        item: "pears".to_owned(),
        quantity,
    };
    let (send, requests) = mpsc::unbounded_channel();
    send.send(quote(1)).unwrap();
    let requests = UnboundedReceiverStream::new(requests);
    let offers = OrdersClient::new(orders.service()).quote(requests).await;
    let mut offers = offers.unwrap().into_inner();
    offers.next().await.unwrap().unwrap();
    send.send(quote(2)).unwrap();
    offers.next().await.unwrap().unwrap();
    drop(send);
    assert!(offers.next().await.is_none());
}

#[tokio::test]
async fn a_call_whose_messages_exceed_the_limit_fails_and_the_next_one_passes() {
    let mut orders = Orders::start().await;
    orders.layer = orders.layer.clone().resend_limit(3);
    let mut client = OrdersClient::new(orders.service());
    let status = client.place(pears(3)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    client.place(pears(3)).await.unwrap();
}

#[tokio::test]
async fn a_client_with_another_origin_sends_nothing() {
    let orders = Orders::start().await;
    let origin = Uri::from_static("https://api.example.com");
    let mut client = OrdersClient::with_origin(orders.service(), origin);
    let status = client.place(pears(3)).await.unwrap_err();
    let error = std::error::Error::source(&status).unwrap();
    let error = error.downcast_ref::<ClientError>().unwrap();
    assert_eq!(error.kind(), ClientErrorKind::Origin);
}
