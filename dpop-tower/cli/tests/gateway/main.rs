//! The gateway, run in this process on real sockets, with an upstream that does not support DPoP; and the other
//! commands of the program.

mod access;
#[cfg(feature = "tls")]
mod certificates;
mod commands;
mod conformance;
mod cors;
mod documentation;
mod encrypted;
mod ext_authz;
mod fence;
mod forward_auth;
mod identity;
mod idle;
mod idp;
mod inspect;
mod introspection;
mod issuers;
mod malformed;
mod metadata;
mod nginx;
mod nodes;
mod nonces;
mod paths;
mod probes;
mod program;
mod proxying;
mod reload;
mod retries;
mod revocation;
mod settings;
mod several_issuers;
mod stores;
mod streams;
#[cfg(feature = "tls")]
mod tls;
mod told;
mod upstreams;
mod walkthrough;

use std::{fs, future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use axum::{Json, Router, body::Body};
use dpop_cli::gateway::{self, Gateway, Settings, Shutdown};
use dpop_tower::test_util::{TestClient, TestIssuer};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

/// The origin by which clients call the gateway, whatever its socket's address.
const ORIGIN: &str = "https://api.test";

/// Longer than any working operation takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A gateway with its file, issuer and upstream, and a client.
struct Rig {
    folder: TempDir,
    issuer: TestIssuer,
    client: TestClient,
    upstream: String,
    gateway: Gateway,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<std::io::Result<()>>,
}

/// What a test adds to the file: lines at its head and tables at its end.
#[derive(Clone, Copy, Default)]
struct Wanted<'w> {
    head: &'w str,
    tables: &'w str,
}

impl<'w> Wanted<'w> {
    const fn head(head: &'w str) -> Self {
        Self { head, tables: "" }
    }

    const fn tables(tables: &'w str) -> Self {
        Self { head: "", tables }
    }
}

impl Rig {
    async fn new(upstream: Router) -> Self {
        Self::with(upstream, Wanted::default()).await
    }

    async fn with(upstream: Router, wanted: Wanted<'_>) -> Self {
        let upstream = serve(upstream).await;
        Self::before(&upstream, wanted).await
    }

    /// Starts a gateway in front of an upstream that the test runs itself.
    async fn before(upstream: &str, wanted: Wanted<'_>) -> Self {
        let folder = TempDir::new().unwrap();
        let issuer = TestIssuer::new();
        fs::write(folder.path().join("jwks.json"), issuer.jwks()).unwrap();
        let text = file(upstream, wanted);
        let path = folder.path().join("gateway.toml");
        fs::write(&path, text).unwrap();
        let settings = Settings::read(&path).unwrap_or_else(|error| panic!("{error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = settings.limits();
        let timeout = settings.shutdown_timeout();
        let gateway = Gateway::new(settings).unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = Shutdown {
            signal: async move {
                let _ = stopped.await;
            },
            timeout,
        };
        let served = tokio::spawn(gateway::serve(listener, gateway.clone(), limits, shutdown));
        Self {
            folder,
            issuer,
            client: TestClient::new(),
            upstream: upstream.to_owned(),
            gateway,
            address,
            stop: Some(stop),
            served,
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Rewrites the file with other contents.
    fn write(&self, wanted: Wanted<'_>) {
        fs::write(self.path(), file(&self.upstream, wanted)).unwrap();
    }

    /// Rewrites the file and makes the gateway load it.
    fn reload(&self, wanted: Wanted<'_>) {
        self.write(wanted);
        self.gateway
            .replace(Settings::read(&self.path()).unwrap())
            .unwrap();
    }

    fn token(&self) -> String {
        self.issuer
            .token()
            .subject("alice")
            .scope("f1:read")
            .bound_to(&self.client)
            .mint()
    }

    /// Returns a valid request, for tests to break.
    fn request(&self, method: Method, path: &str) -> Request<Body> {
        let url = format!("{ORIGIN}{path}");
        self.client
            .request(method, &url, &self.token())
            .map(|()| Body::empty())
    }

    fn get(&self, path: &str) -> Request<Body> {
        self.request(Method::GET, path)
    }

    /// Returns a request with a proof made by the test, and the token that the proof is for.
    fn with_proof(&self, path: &str, token: &str, proof: &str) -> Request<Body> {
        let url = format!("{ORIGIN}{path}");
        let request = self
            .client
            .request_with_proof(Method::GET, &url, token, proof);
        request.map(|()| Body::empty())
    }

    /// Sends a request over a connection of its own.
    async fn send(&self, request: Request<Body>) -> Response<Incoming> {
        send(self.address, request).await
    }

    async fn status(&self, request: Request<Body>) -> u16 {
        self.send(request).await.status().as_u16()
    }

    /// Returns what the upstream saw of a request that reached it.
    async fn seen(&self, request: Request<Body>) -> Seen {
        let response = self.send(request).await;
        assert_eq!(response.status(), 200);
        Seen(json(response).await)
    }
}

fn file(upstream: &str, Wanted { head, tables }: Wanted<'_>) -> String {
    format!(
        "\
listen = \"127.0.0.1:0\"
upstream = \"{upstream}\"
public_origins = [\"{ORIGIN}\"]
{head}

[[issuer]]
url = \"https://issuer.test\"
audiences = [\"https://api.test\"]
jwks_file = \"jwks.json\"

{tables}
"
    )
}

/// Runs another gateway until the test ends.
async fn serve_gateway(settings: Settings) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = settings.limits();
    let shutdown = Shutdown {
        signal: std::future::pending(),
        timeout: settings.shutdown_timeout(),
    };
    let gateway = Gateway::new(settings).unwrap();
    tokio::spawn(gateway::serve(listener, gateway, limits, shutdown));
    address
}

/// Runs a service until the test ends.
async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Sends a request over a connection of its own, which may be upgraded. Every request has a `Host`.
async fn send(address: SocketAddr, mut request: Request<Body>) -> Response<Incoming> {
    let host = request.headers_mut().entry(header::HOST);
    host.or_insert(HeaderValue::from_static("api.test"));
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request);
    soon(response).await.unwrap()
}

/// Returns the output of a future that must finish in time.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = soon(response.into_body().collect()).await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

async fn json(response: Response<Incoming>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// An upstream that reports what it received.
fn mirror() -> Router {
    async fn seen(
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        body: axum::body::Bytes,
    ) -> Json<Value> {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
            .collect();
        let body = String::from_utf8_lossy(&body);
        Json(json!({
            "method": method.as_str(),
            "uri": uri.to_string(),
            "headers": headers,
            "body": body,
        }))
    }
    Router::new().fallback(seen)
}

/// The report of a [`mirror`].
#[derive(Debug)]
struct Seen(Value);

impl Seen {
    /// Returns all values of a header, in order.
    fn all(&self, name: &str) -> Vec<&str> {
        let headers = self.0["headers"].as_array().unwrap();
        let of_this_name = headers.iter().filter(|header| header[0] == name);
        of_this_name
            .map(|header| header[1].as_str().unwrap())
            .collect()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name}: {all:?}");
        all.first().copied()
    }

    fn has_anywhere(&self, text: &str) -> bool {
        self.0.to_string().contains(text)
    }
}

/// Returns the error code of a challenge.
fn error_of<B>(response: &Response<B>) -> Option<String> {
    let challenge = response.headers().get(header::WWW_AUTHENTICATE)?;
    let challenge = challenge.to_str().unwrap();
    let (_, rest) = challenge.split_once("error=\"")?;
    Some(rest.split('"').next().unwrap().to_owned())
}
