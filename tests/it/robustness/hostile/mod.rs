//! Everything that arrives over the wire is answered, rejected and forgotten.

mod connections;
mod mutations;
mod requests;

use std::{net::SocketAddr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{
    frameworks::axum_router::serve,
    rejection::challenge::Challenge,
    support::{Api, Backend},
};

/// The response that came back over a socket.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':')?;
            let name: HeaderName = name.parse().ok()?;
            headers.append(name, HeaderValue::from_str(value.trim()).ok()?);
        }
        Some(Self {
            status: status.parse().ok()?,
            headers,
        })
    }

    /// Whether the layer has rejected the request, and not the server below.
    fn is_ours(&self) -> bool {
        self.headers.contains_key(header::WWW_AUTHENTICATE)
    }
}

/// An API on a socket, with a token and a proof for `GET` of [`URL`] to misuse.
struct Target {
    api: Api,
    address: SocketAddr,
}

impl Target {
    async fn new(backend: Backend) -> Self {
        let api = backend.api();
        let address = serve(api.router.clone()).await;
        Self { api, address }
    }

    async fn exchange(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // The server may respond and close the connection before it has read everything.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer));
        let _ = read.await.expect("an answer");
        Answer::parse(&answer)
            .unwrap_or_else(|| panic!("not HTTP: {}", String::from_utf8_lossy(&answer)))
    }

    /// Returns the headers of a valid request.
    fn good(&self) -> [(&'static str, Vec<u8>); 3] {
        let token = self.api.token().mint();
        let proof = self.api.proof(&token).sign();
        [
            ("host", b"api.test".to_vec()),
            ("authorization", format!("DPoP {token}").into_bytes()),
            ("dpop", proof.into_bytes()),
        ]
    }

    async fn assert_serves(&self, after: &str) {
        let request = written("GET /orders", &self.good());
        let answer = self.exchange(&request).await;
        assert_eq!(answer.status, 200, "after {after}");
    }

    /// Sends the request. Checks that the rejection is valid and that the server still works.
    async fn rejected(&self, what: &str, request: &[u8]) -> Answer {
        let answer = self.exchange(request).await;
        assert!((400..500).contains(&answer.status), "{what}: {answer:?}");
        let challenges = Challenge::all(&answer.headers);
        if answer.status == 401 || answer.is_ours() {
            assert_eq!(challenges[0].scheme, "DPoP", "{what}");
            assert!(challenges[0].get("algs").is_some(), "{what}");
            assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store", "{what}");
        }
        self.assert_serves(what).await;
        answer
    }
}

fn written(line: &str, headers: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        request.extend_from_slice(name.as_bytes());
        request.extend_from_slice(b": ");
        request.extend_from_slice(value);
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    request
}
