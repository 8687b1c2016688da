//! gRPC-web over HTTP/1.1, with tonic-web on both sides.

use bytes::Bytes;
use dpop_tower::DpopLayer;
use grpc_example::{
    calls::pears,
    orders::OrderDesk,
    proto::{WatchRequest, orders_client::OrdersClient, orders_server::OrdersServer},
};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_stream::StreamExt as _;
use tonic::{
    Request, Status,
    transport::{Server, server::TcpIncoming},
};
use tonic_web::{GrpcWebClientLayer, GrpcWebLayer};
use tower::Layer as _;
use tower_http::cors::CorsLayer;

use crate::{
    frameworks::orders::{
        IN_VAIN, Kind, Sent, Service, challenge, needs_scope, rejected, service_that_needs_scope,
    },
    rejection::challenge::Challenge,
    support::Api,
};

/// The kinds of methods that browsers can call.
const KINDS: [Kind; 2] = [Kind::Unary, Kind::ServerStreaming];

async fn call(service: &Service, kind: Kind, sent: &Sent) -> Result<Vec<String>, Status> {
    // Without `http2_only` it speaks HTTP/1.1 to a server without TLS.
    let http = Client::builder(TokioExecutor::new()).build_http();
    let origin = format!("http://{}", service.address).parse().unwrap();
    let mut client = OrdersClient::with_origin(GrpcWebClientLayer::new().layer(http), origin);
    match kind {
        Kind::ServerStreaming => {
            let mut request = Request::new(WatchRequest::default());
            *request.metadata_mut() = sent.metadata();
            let stages = client.watch(request).await?.into_inner();
            let stages = stages.map(|stage| stage.map(|s| format!("{}: {}", s.subject, s.name)));
            stages.collect().await
        }
        _ => {
            let mut request = Request::new(pears(3));
            *request.metadata_mut() = sent.metadata();
            let order = client.place(request).await?.into_inner();
            Ok(vec![format!("{}: {}", order.subject, order.quantity)])
        }
    }
}

#[tokio::test]
async fn a_grpc_web_call_is_served_once_for_each_proof() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    for kind in KINDS {
        let sent = Sent::good(&api, kind);
        let answers = call(&service, kind, &sent).await.unwrap();
        assert_eq!(answers, kind.answers(), "{kind:?}");
        let status = call(&service, kind, &sent).await.unwrap_err();
        assert_eq!(status.message(), "the proof was used before", "{kind:?}");
    }
    assert_eq!(service.served(), 2);
}

#[tokio::test]
async fn a_grpc_web_client_reads_the_status_and_the_challenge_of_a_rejection() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    for kind in KINDS {
        for (what, sent, code, error, message) in rejected(&api, kind) {
            let status = call(&service, kind, &sent).await.unwrap_err();
            assert_eq!(status.code(), code, "{kind:?}: {what}");
            assert_eq!(status.message(), message, "{kind:?}: {what}");
            assert_eq!(challenge(&status).get("error"), error, "{kind:?}: {what}");
        }
    }
    assert_eq!(service.served(), 0);
}

/// Returns the response to a request without messages, over HTTP/1.1.
async fn raw(address: &str, request: http::request::Builder) -> http::Response<Bytes> {
    let http = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{}", Kind::Unary.path());
    let request = request.uri(uri).body(Full::<Bytes>::default()).unwrap();
    let response = http.request(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_11);
    let (parts, body) = response.into_parts();
    http::Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn a_rejection_of_grpc_web_is_headers_of_its_content_type_whichever_layer_is_outside() {
    let api = Api::new();
    let layer = || DpopLayer::new(api.config().build().unwrap()).with_policy(needs_scope());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let inside = listener.local_addr().unwrap().to_string();
    let server = Server::builder()
        .accept_http1(true)
        .layer(layer())
        .layer(GrpcWebLayer::new())
        .add_service(OrdersServer::new(OrderDesk));
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });
    let outside = Service::behind(layer()).await.address;
    for address in [&inside, &outside] {
        for content_type in ["application/grpc-web", "application/grpc-web-text"] {
            let request = http::Request::post("/").header("content-type", content_type);
            let response = raw(address, request.header("accept", content_type)).await;
            assert_eq!(response.status(), 200);
            let headers = response.headers();
            // tonic-web adds the message format.
            let answered = headers["content-type"].to_str().unwrap();
            assert_eq!(answered.trim_end_matches("+proto"), content_type);
            assert_eq!(headers["grpc-status"], "16");
            assert_eq!(headers["grpc-message"], "no access token was sent");
            assert_eq!(Challenge::all(headers).len(), 1);
            assert!(response.body().is_empty());
        }
    }
}

#[tokio::test]
async fn a_browser_may_ask_without_a_token_whether_it_may_call_and_may_read_rejections() {
    const EXPOSED: [&str; 4] = [
        "grpc-status",
        "grpc-message",
        "www-authenticate",
        "dpop-nonce",
    ];
    let api = Api::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let sent = ["authorization", "content-type", "dpop", "x-grpc-web"];
    let cors = CorsLayer::new()
        .allow_origin(["https://app.test".parse().unwrap()])
        .allow_methods([http::Method::POST])
        .allow_headers(sent.map(http::HeaderName::from_static))
        .expose_headers(EXPOSED.map(http::HeaderName::from_static));
    let server = Server::builder()
        .accept_http1(true)
        .layer(cors)
        .layer(GrpcWebLayer::new())
        .layer(DpopLayer::new(api.config().build().unwrap()))
        .add_service(OrdersServer::new(OrderDesk));
    let incoming = TcpIncoming::from(listener);
    tokio::spawn(async move { server.serve_with_incoming(incoming).await.unwrap() });

    let preflight = http::Request::options("/")
        .header("origin", "https://app.test")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", sent.join(","));
    let response = raw(&address, preflight).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], "https://app.test");
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    assert!(allowed.split(',').any(|name| name == "dpop"), "{allowed}");

    let request = http::Request::post("/")
        .header("origin", "https://app.test")
        .header("content-type", "application/grpc-web+proto");
    let response = raw(&address, request).await;
    let headers = response.headers();
    assert_eq!(headers["grpc-status"], "16");
    assert_eq!(headers["access-control-allow-origin"], "https://app.test");
    let exposed = headers["access-control-expose-headers"].to_str().unwrap();
    assert_eq!(exposed, EXPOSED.join(","));
}

#[tokio::test]
async fn over_http_1_a_rejection_does_not_wait_for_the_body_and_closes_the_connection() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    let mut stream = TcpStream::connect(&service.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: api.test\r\ncontent-type: application/grpc-web\r\ncontent-length: 5\r\n\r\n",
        Kind::Unary.path()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    timeout(IN_VAIN, read).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\ngrpc-status: 16\r\n"), "{answer}");
}
