//! Connections with TLS, and connections that fail to use it.

use std::time::Duration;

use http::Version;
use openssl::ssl::{SslConnector, SslMethod, SslVersion};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Http, TlsRig};
use crate::{Seen, error_of, json, soon, streams};

const BOTH: [(&str, Version); 2] = [("h2", Version::HTTP_2), ("http/1.1", Version::HTTP_11)];

#[tokio::test]
async fn a_proof_for_the_https_origin_is_admitted_over_both_versions_of_http() {
    let rig = TlsRig::new().await;
    for (protocol, version) in BOTH {
        let client = rig.client(protocol);
        let stream = rig.connect(&client).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed.as_deref(), Some(protocol.as_bytes()));
        let mut http = Http::over(stream).await;
        let response = http.send(rig.rig.get("/orders")).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), response.version()),
            (200, version)
        );
        let seen = Seen(json(response).await);
        assert_eq!(seen.header("x-dpop-subject"), Some("alice"));
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        // A request without a proof is rejected, with TLS as without it.
        let mut bare = rig.rig.get("/orders");
        bare.headers_mut().remove("dpop");
        let response = http.send(bare).await.unwrap();
        assert_eq!(error_of(&response).as_deref(), Some("invalid_dpop_proof"));
    }
}

/// The client uses OpenSSL, and both versions of TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_openssl_is_served_with_either_version_of_tls() {
    use std::io::{Read as _, Write as _};

    let rig = TlsRig::new().await;
    let authority = rig.folder.path().join("authority.pem");
    std::fs::write(&authority, rig.authority.pem()).unwrap();
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let request = rig.rig.get("/orders");
        let header = |name| request.headers()[name].to_str().unwrap();
        let text = format!(
            "GET /orders HTTP/1.1\r\nhost: api.test\r\nconnection: close\r\n\
             authorization: {}\r\ndpop: {}\r\n\r\n",
            header("authorization"),
            header("dpop"),
        );
        let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
        connector.set_ca_file(&authority).unwrap();
        connector.set_min_proto_version(Some(version)).unwrap();
        connector.set_max_proto_version(Some(version)).unwrap();
        let (connector, address) = (connector.build(), rig.rig.address);
        let answer = tokio::task::spawn_blocking(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let mut stream = connector.connect("api.test", stream).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = soon(answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{version:?}: {answer}");
    }
}

#[tokio::test]
async fn a_version_before_1_2_is_rejected() {
    let rig = TlsRig::new().await;
    let mut connector = SslConnector::builder(SslMethod::tls()).unwrap();
    connector.set_security_level(0);
    let old = Some(SslVersion::TLS1_1);
    connector
        .set_min_proto_version(Some(SslVersion::TLS1))
        .unwrap();
    connector.set_max_proto_version(old).unwrap();
    let (connector, address) = (connector.build(), rig.rig.address);
    let connected = tokio::task::spawn_blocking(move || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        connector.connect("api.test", stream).map(drop)
    });
    let error = soon(connected).await.unwrap().unwrap_err().to_string();
    // The gateway has sent an alert. If the client rejected the unknown authority, there would be none.
    assert!(error.contains("alert"), "{error}");
}

/// Many handshakes hang forever, and other connections are served.
#[tokio::test]
async fn a_handshake_that_hangs_does_not_block_others() {
    let rig = TlsRig::with("", "[limits]\nheader_timeout = 600").await;
    let mut hanging = Vec::new();
    for start in [&b""[..], &[22], &[22, 3, 1, 2, 0], &[22, 3, 1, 2, 0, 1, 0]] {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(rig.rig.address).await.unwrap();
            stream.write_all(start).await.unwrap();
            hanging.push(stream);
        }
    }
    for (protocol, _) in BOTH {
        let response = rig.get(&rig.client(protocol)).await;
        assert_eq!(response.status(), 200);
    }
}

#[tokio::test]
async fn a_handshake_has_as_long_as_the_headers_of_a_request() {
    let rig = TlsRig::with("", "[limits]\nheader_timeout = 1").await;
    for start in [&b""[..], &[22, 3, 1, 2, 0, 1]] {
        let mut stream = TcpStream::connect(rig.rig.address).await.unwrap();
        stream.write_all(start).await.unwrap();
        let mut rest = Vec::new();
        // The connection is cut off without an answer or an alert.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert_eq!(rest, b"");
    }
}

#[tokio::test]
async fn a_handshake_counts_among_the_connections() {
    let rig = TlsRig::with("", "[limits]\nconnections = 1\nheader_timeout = 600").await;
    let hanging = TcpStream::connect(rig.rig.address).await.unwrap();
    // This is far longer than a handshake takes.
    let client = rig.client("h2");
    let second = tokio::time::timeout(Duration::from_secs(2), rig.connect(&client)).await;
    assert!(second.is_err());
    drop(hanging);
    assert_eq!(rig.get(&client).await.status(), 200);
}

#[tokio::test]
async fn what_is_no_handshake_is_cut_off() {
    let rig = TlsRig::with("", "[limits]\nheader_timeout = 600").await;
    for garbage in [
        &b"GET /orders HTTP/1.1\r\nhost: api.test\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x00\x00\x00\x00\x00\x00\x00",
        &[0xff; 64],
        // The first message of this handshake has an unknown type.
        &[22, 3, 1, 0, 4, 99, 0, 0, 0],
    ] {
        let mut stream = TcpStream::connect(rig.rig.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        let mut answer = Vec::new();
        // The connection may be reset, because the gateway has not read everything.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        // The gateway sends an alert or nothing, and above all no response of the upstream.
        assert!(answer.is_empty() || answer[0] == 21, "{answer:?}");
    }
    assert_eq!(rig.get(&rig.client("h2")).await.status(), 200);
}

#[tokio::test]
async fn connections_within_tls_end_with_the_gateway() {
    let mut rig = TlsRig::new().await;
    let client = rig.client("h2");
    let mut http = Http::over(rig.connect(&client).await.unwrap()).await;
    assert_eq!(
        http.send(rig.rig.get("/orders")).await.unwrap().status(),
        200
    );
    // Another connection is in the middle of its handshake.
    let _hanging = TcpStream::connect(rig.rig.address).await.unwrap();
    rig.rig.stop.take().unwrap().send(()).unwrap();
    soon(&mut rig.rig.served).await.unwrap().unwrap();
    assert!(http.send(rig.rig.get("/orders")).await.is_err());
}

/// RFC 9440 section 4: only the server that ends TLS knows the certificate of a client.
#[tokio::test]
async fn a_client_cannot_write_the_headers_of_its_certificate() {
    let rig = TlsRig::new().await;
    let client = rig.client("http/1.1");
    let mut http = Http::over(rig.connect(&client).await.unwrap()).await;
    let mut request = rig.rig.get("/orders");
    for name in ["client-cert", "client_cert", "client-cert-chain", "x-other"] {
        request
            .headers_mut()
            .insert(name, "mallory".parse().unwrap());
    }
    let seen = Seen(json(http.send(request).await.unwrap()).await);
    assert_eq!(seen.header("x-other"), Some("mallory"));
    let written = seen.0["headers"].to_string();
    assert!(
        !written.contains("client-cert") && !written.contains("client_cert"),
        "{written}"
    );
}

#[tokio::test]
async fn a_websocket_passes_within_tls() {
    use futures_util::{SinkExt as _, StreamExt as _};

    let rig = TlsRig::before(streams::websocket(), "", "").await;
    let stream = rig.connect(&rig.client("http/1.1")).await.unwrap();
    let request = streams::handshake(rig.rig.get("/ws").headers());
    let connected = tokio_tungstenite::client_async(request, stream);
    let (mut socket, _) = soon(connected).await.unwrap();
    soon(socket.send("hello".into())).await.unwrap();
    let answer = soon(socket.next()).await.unwrap().unwrap();
    assert_eq!(answer.into_text().unwrap(), "HELLO");
}
