//! An API that requires nonces, on a socket of its own, and the clients that call it.

use std::{
    collections::{HashSet, VecDeque},
    fmt::Debug,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    middleware::{self, Next},
    response::{IntoResponse as _, Redirect},
    routing::any,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, PublicOrigin,
    client::{
        AccessToken, ApiOrigin, ClientKey, DpopClient, DpopClientLayer, DpopClientService,
        RequestBody,
    },
    crypto::Algorithm,
    test_util::TestIssuer,
};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tower::Layer as _;

/// The client of hyper-util, behind the layer.
pub(super) type Http<B = Full<Bytes>> = DpopClientService<Client<HttpConnector, RequestBody<B>>>;

/// What happens to a request before it gets to the layer.
#[derive(Debug)]
pub(super) enum Step {
    Pass,
    Status(StatusCode),
    Redirect(String),
    /// The server never responds.
    Hang,
}

/// A request as the server has seen it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) authorization: String,
    pub(super) jti: String,
    pub(super) nonce: Option<String>,
}

impl Seen {
    /// Reads a request with exactly one token and one proof.
    pub(super) fn new(headers: &HeaderMap) -> Self {
        let only = |name: &str| {
            let values: Vec<_> = headers.get_all(name).iter().collect();
            assert_eq!(values.len(), 1, "{name}");
            values[0].to_str().unwrap().to_owned()
        };
        let claims = payload(&only("dpop"));
        Self {
            authorization: only(header::AUTHORIZATION.as_str()),
            jti: claims["jti"].as_str().unwrap().to_owned(),
            nonce: claims["nonce"].as_str().map(str::to_owned),
        }
    }
}

fn payload(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// Asserts that no two of these requests had the same proof.
pub(super) fn assert_unique(seen: &[Seen]) {
    let unique: HashSet<_> = seen.iter().map(|seen| &seen.jti).collect();
    assert_eq!(unique.len(), seen.len(), "{seen:?}");
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    all: Mutex<usize>,
    script: Mutex<VecDeque<Step>>,
    hung: Notify,
}

pub(super) struct Server {
    pub(super) origin: String,
    pub(super) key: ClientKey,
    pub(super) issuer: TestIssuer,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts an API that requires nonces and responds with the body of the request.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let issuer = TestIssuer::new();
        let public = PublicOrigin::new(&origin).unwrap();
        let config = DpopConfig::builder(public, issuer.tokens()).require_nonces();
        let shared = Arc::<Shared>::default();
        let app = Router::new()
            .route("/orders", any(async |_: BoundToken, body: Bytes| body))
            .layer(DpopLayer::new(config.build().unwrap()))
            .layer(middleware::from_fn_with_state(Arc::clone(&shared), observe));
        Self {
            origin,
            key: ClientKey::generate(Algorithm::Es256).unwrap(),
            issuer,
            shared,
            task: tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }),
        }
    }

    /// Sets what happens to the next requests. All others pass.
    pub(super) fn then(&self, steps: impl IntoIterator<Item = Step>) {
        self.shared.script.lock().unwrap().extend(steps);
    }

    /// Waits until a request [hangs](Step::Hang).
    pub(super) async fn hung(&self) {
        self.shared.hung.notified().await;
    }

    /// Returns the requests so far, and forgets them.
    pub(super) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.shared.seen.lock().unwrap())
    }

    /// Returns how many requests there were, with or without credentials.
    pub(super) fn count(&self) -> usize {
        *self.shared.all.lock().unwrap()
    }

    pub(super) fn url(&self) -> String {
        format!("{}/orders", self.origin)
    }

    pub(super) fn token(&self) -> AccessToken {
        let thumbprint = self.key.thumbprint();
        AccessToken::new(&self.issuer.token().bound_to_thumbprint(&thumbprint).mint()).unwrap()
    }

    pub(super) fn dpop(&self) -> DpopClient {
        DpopClient::new(self.key.clone()).unwrap()
    }

    pub(super) fn layer(&self) -> DpopClientLayer {
        let origin = ApiOrigin::new(&self.origin).unwrap();
        DpopClientLayer::new(self.dpop(), self.token(), origin)
    }

    /// Returns a client with a new layer, which has no nonce yet.
    pub(super) fn client(&self) -> Http {
        client(&self.layer())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn observe(
    State(shared): State<Arc<Shared>>,
    request: Request<Body>,
    next: Next,
) -> Response<Body> {
    *shared.all.lock().unwrap() += 1;
    if request.headers().contains_key("dpop") {
        let seen = Seen::new(request.headers());
        shared.seen.lock().unwrap().push(seen);
    }
    let step = shared.script.lock().unwrap().pop_front();
    match step {
        None | Some(Step::Pass) => next.run(request).await,
        Some(Step::Status(status)) => status.into_response(),
        Some(Step::Redirect(location)) => Redirect::temporary(&location).into_response(),
        Some(Step::Hang) => {
            shared.hung.notify_one();
            std::future::pending().await
        }
    }
}

/// Returns the client of hyper-util behind this layer.
pub(super) fn client<B>(layer: &DpopClientLayer) -> Http<B>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<tower::BoxError> + Debug,
{
    layer.layer(Client::builder(TokioExecutor::new()).build_http())
}

/// Returns a request with this body.
pub(super) fn post(url: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(url).body(Full::from(body)).unwrap()
}

pub(super) fn get(url: &str) -> Request<Full<Bytes>> {
    Request::get(url).body(Full::default()).unwrap()
}
