//! gRPC with every kind of method: the generated code of the example's proto, tonic's client, and the
//! bytes on the wire.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use dpop_tower::nonce::{NonceSecret, StatelessNonces};
use grpc_example::{
    calls::{self, pears},
    client::{Credentials, error_code, with_nonce},
    proto::orders_client::OrdersClient,
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body as _, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, IntoStreamingRequest as _, metadata::MetadataMap};

use crate::{
    frameworks::orders::{
        IN_VAIN, KINDS, Kind, Sent, Service, call, challenge, quote, rejected,
        service_that_needs_scope,
    },
    rejection::challenge::Challenge,
    support::{Api, ORIGIN},
};

use Kind::{Bidirectional, ClientStreaming, ServerStreaming};

fn nonces() -> StatelessNonces {
    let secret = NonceSecret::new([3; 32]).unwrap();
    StatelessNonces::new(secret).period(Duration::from_secs(120))
}

#[tokio::test]
async fn every_kind_of_method_is_served_with_a_proof_for_it_and_once_for_each_proof() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    let channel = service.channel().await;
    for (before, kind) in KINDS.into_iter().enumerate() {
        let sent = Sent::good(&api, kind);
        let (_, answers) = call(channel.clone(), kind, &sent).await.unwrap();
        assert_eq!(answers, kind.answers(), "{kind:?}");
        assert_eq!(service.served(), before + 1);

        let status = call(channel.clone(), kind, &sent).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{kind:?}");
        assert_eq!(status.message(), "the proof was used before", "{kind:?}");
        assert_eq!(challenge(&status).get("error"), Some("invalid_dpop_proof"));
        assert_eq!(service.served(), before + 1);
    }
}

#[tokio::test]
async fn a_rejection_of_any_kind_of_method_has_code_message_and_challenge_and_reaches_no_method() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    let channel = service.channel().await;
    for kind in KINDS {
        for (what, sent, code, error, message) in rejected(&api, kind) {
            let status = call(channel.clone(), kind, &sent).await.unwrap_err();
            assert_eq!(status.code(), code, "{kind:?}: {what}");
            assert_eq!(status.message(), message, "{kind:?}: {what}");
            let challenge = challenge(&status);
            assert_eq!(challenge.get("error"), error, "{kind:?}: {what}");
            assert!(challenge.get("algs").unwrap().contains("ES256"));
            assert!(status.metadata().get("dpop-nonce").is_none());
        }
    }
    assert_eq!(service.served(), 0);
}

#[tokio::test]
async fn a_nonce_is_asked_for_and_renewed_with_every_kind_of_method() {
    let api = Api::new();
    let service = Service::of(
        api.config()
            .nonce_source(nonces())
            .require_nonces()
            .build()
            .unwrap(),
    )
    .await;
    let channel = service.channel().await;
    let nonce = |metadata: &MetadataMap| {
        let nonce = metadata.get("dpop-nonce")?;
        Some(nonce.to_str().unwrap().to_owned())
    };
    for (before, kind) in KINDS.into_iter().enumerate() {
        let sent = Sent::good(&api, kind);
        let status = call(channel.clone(), kind, &sent).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{kind:?}");
        assert_eq!(status.message(), "the proof needs a nonce", "{kind:?}");
        assert_eq!(challenge(&status).get("error"), Some("use_dpop_nonce"));
        assert_eq!(service.served(), 2 * before);
        let given = nonce(status.metadata()).unwrap();

        let with_nonce = || {
            let token = api.token().mint();
            let proof = api.client.proof("POST", &kind.htu()).access_token(&token);
            Sent::new(&token, &proof.nonce(&given).sign())
        };
        let (metadata, answers) = call(channel.clone(), kind, &with_nonce()).await.unwrap();
        assert_eq!(answers, kind.answers(), "{kind:?}");
        assert_eq!(nonce(&metadata), None, "{kind:?}");
        // The nonce is about to retire, so that the beginning of the answer brings the next.
        api.advance(120);
        let (metadata, _) = call(channel.clone(), kind, &with_nonce()).await.unwrap();
        let renewed = nonce(&metadata).unwrap();
        assert_ne!(renewed, given, "{kind:?}");
        assert_eq!(service.served(), 2 * before + 2);
    }
}

#[tokio::test]
async fn a_client_that_tries_again_with_the_nonce_needs_one_more_call_in_all() {
    let api = Api::new();
    let service = Service::of(
        api.config()
            .nonce_source(nonces())
            .require_nonces()
            .build()
            .unwrap(),
    )
    .await;
    let credentials = Credentials::new(api.client.clone(), &api.token().mint(), ORIGIN);
    let client = OrdersClient::new(credentials.channel(service.channel().await));
    let mut tries = 0;
    let placed = with_nonce(async || {
        tries += 1;
        client.clone().place(pears(3)).await
    });
    assert_eq!(placed.await.unwrap().into_inner().quantity, 3);
    assert_eq!(tries, 2);
    calls::watch(&client).await.unwrap();
    calls::place_all(&client).await.unwrap();
    calls::quote(&client).await.unwrap();
    assert_eq!(service.served(), 4);

    // What is wrong otherwise is not tried again.
    let mut tries = 0;
    let rejected = with_nonce(async || {
        tries += 1;
        OrdersClient::new(service.channel().await)
            .place(pears(3))
            .await
    });
    let status = rejected.await.unwrap_err();
    assert_eq!((error_code(&status), tries), (None, 1));
}

#[tokio::test]
async fn a_rejected_call_ends_the_stream_that_the_client_has_open() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    for (what, sent, code, ..) in rejected(&api, Bidirectional) {
        let mut client = OrdersClient::new(service.channel().await);
        let (sender, requests) = mpsc::channel(1);
        sender.send(quote(1)).await.unwrap();
        let requests = ReceiverStream::new(requests).into_streaming_request();
        let status = timeout(IN_VAIN, client.quote(sent.on(requests))).await;
        assert_eq!(status.expect(what).unwrap_err().code(), code, "{what}");
        // Nobody waits for more of it.
        timeout(IN_VAIN, sender.closed()).await.expect(what);
    }
    for (what, sent, code, ..) in rejected(&api, ClientStreaming) {
        let mut client = OrdersClient::new(service.channel().await);
        let (sender, orders) = mpsc::channel(1);
        sender.send(pears(1)).await.unwrap();
        let orders = ReceiverStream::new(orders).into_streaming_request();
        let status = timeout(IN_VAIN, client.place_all(sent.on(orders))).await;
        assert_eq!(status.expect(what).unwrap_err().code(), code, "{what}");
        timeout(IN_VAIN, sender.closed()).await.expect(what);
    }
    assert_eq!(service.served(), 0);
}

#[tokio::test]
async fn a_bidirectional_call_goes_on_in_both_directions_after_its_proof_has_become_too_old() {
    let api = Api::new();
    let service = Service::of(api.config().build().unwrap()).await;
    let mut client = OrdersClient::new(service.channel().await);
    let (sender, requests) = mpsc::channel(1);
    let requests = ReceiverStream::new(requests).into_streaming_request();
    let request = Sent::good(&api, Bidirectional).on(requests);
    let mut offers = client.quote(request).await.unwrap().into_inner();
    for quantity in 1..4 {
        sender.send(quote(quantity)).await.unwrap();
        let offer = offers.message().await.unwrap().unwrap();
        assert_eq!(offer.cents, 250 * u64::from(quantity));
        api.advance(90);
    }
    drop(sender);
    assert_eq!(offers.message().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_proof_sent_many_times_at_once_over_one_connection_one_is_served() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    let channel = service.channel().await;
    for (before, kind) in KINDS.into_iter().enumerate() {
        let sent = Sent::good(&api, kind);
        let mut calls = JoinSet::new();
        for _ in 0..32 {
            let (channel, sent) = (channel.clone(), sent.clone());
            calls.spawn(async move { call(channel, kind, &sent).await.map(|_| ()) });
        }
        let outcomes = calls.join_all().await;
        let rejected: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
        assert_eq!(rejected.len(), 31, "{kind:?}");
        for status in rejected {
            assert_eq!(status.message(), "the proof was used before", "{kind:?}");
        }
        assert_eq!(service.served(), before + 1, "{kind:?}");
    }
}

/// A proxy may have the calls of many clients on one connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_outlives_thousands_of_rejected_streams() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    // Unlike a channel, this does not connect anew.
    let stream = TokioIo::new(TcpStream::connect(&service.address).await.unwrap());
    let (mut connection, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(driver);
    let request = |sent: &Sent| {
        let uri = Bidirectional.htu().replace("https", "http");
        let mut request = http::Request::post(uri).header("content-type", "application/grpc");
        let headers = request.headers_mut().unwrap();
        headers.extend(sent.metadata().into_headers());
        // It never ends by itself.
        let body = tokio_stream::pending::<Result<Frame<Bytes>, Infallible>>();
        request.body(StreamBody::new(body)).unwrap()
    };
    for _ in 0..5000 {
        connection.ready().await.unwrap();
        let response = connection.send_request(request(&Sent::default())).await;
        assert_eq!(response.unwrap().headers()["grpc-status"], "16");
    }
    let good = request(&Sent::good(&api, Bidirectional));
    let response = connection.send_request(good).await.unwrap();
    assert_eq!(response.headers().get("grpc-status"), None);
    assert_eq!(service.served(), 1);
}

/// Passes bytes on, and keeps what the server sent.
async fn recording_proxy(to: String) -> (String, Arc<Mutex<Vec<u8>>>) {
    let recorded = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&recorded);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(to).await.unwrap();
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
        let mut buffer = [0; 4096];
        loop {
            let read = from_server.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                break;
            }
            kept.lock().unwrap().extend_from_slice(&buffer[..read]);
            if to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    });
    (address, recorded)
}

/// The type and the flags of each frame of the first stream (RFC 9113 section 4.1).
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8)> {
    let mut frames = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<9>() {
        let [a, b, c, kind, flags, stream @ ..] = *header;
        if u32::from_be_bytes(stream) == 1 {
            frames.push((kind, flags));
        }
        let length = u32::from_be_bytes([0, a, b, c]);
        bytes = rest.get(usize::try_from(length).unwrap()..).unwrap_or(&[]);
    }
    frames
}

/// A message with nothing in it, as gRPC frames it.
const EMPTY_MESSAGE: &[u8] = &[0; 5];
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const END_STREAM: u8 = 1;

/// What hyper makes of the answer to a call, and the frames it came in.
async fn raw(service: &Service, kind: Kind, sent: &Sent) -> (http::Response<Bytes>, Vec<(u8, u8)>) {
    let (address, recorded) = recording_proxy(service.address.clone()).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
    tokio::spawn(connection);
    let mut request = http::Request::post(kind.htu().replace("https", "http"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(EMPTY_MESSAGE)))
        .unwrap();
    request.headers_mut().extend(sent.metadata().into_headers());
    let (parts, mut body) = sender.send_request(request).await.unwrap().into_parts();
    let ended = body.is_end_stream();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            // An answer of headers alone has none.
            Err(trailers) => assert!(!ended, "{trailers:?}"),
        }
    }
    let frames = frames(&recorded.lock().unwrap());
    (http::Response::from_parts(parts, bytes.into()), frames)
}

#[tokio::test]
async fn a_rejection_is_one_frame_of_headers_that_ends_the_stream() {
    let api = Api::new();
    let service = service_that_needs_scope(&api).await;
    for kind in KINDS {
        for (what, sent, code, error, message) in rejected(&api, kind) {
            let (response, frames) = raw(&service, kind, &sent).await;
            let headers = response.headers();
            assert_eq!(response.status(), 200, "{what}");
            assert_eq!(headers["content-type"], "application/grpc", "{what}");
            assert_eq!(headers["grpc-status"], (code as i32).to_string(), "{what}");
            assert_eq!(headers["grpc-message"], message, "{what}");
            assert_eq!(headers["cache-control"], "no-store", "{what}");
            let challenges = Challenge::all(headers);
            assert_eq!(challenges.len(), 1, "{what}");
            assert_eq!(challenges[0].get("error"), error, "{what}");
            assert!(response.body().is_empty(), "{what}");
            let of = |wanted| frames.iter().filter(move |(kind, _)| *kind == wanted);
            let flags: Vec<_> = of(HEADERS).map(|(_, flags)| flags & END_STREAM).collect();
            assert_eq!(flags, [END_STREAM], "{what}: {frames:?}");
            assert_eq!(of(DATA).count(), 0, "{what}: {frames:?}");
        }
    }
    assert_eq!(service.served(), 0);

    // So it is seen when it is otherwise.
    let sent = Sent::good(&api, ServerStreaming);
    let (response, frames) = raw(&service, ServerStreaming, &sent).await;
    assert_eq!(response.headers().get("grpc-status"), None);
    assert!(!response.body().is_empty());
    assert!(frames.iter().any(|(kind, _)| *kind == DATA), "{frames:?}");
}
