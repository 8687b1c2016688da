//! A protected API with an issuer, a client and a clock, and the ways to run a test against it.

use std::{collections::BTreeSet, convert::Infallible, fmt::Debug, sync::Mutex, time::Duration};

use axum::{Router, body::Body, middleware::map_response, routing::get};
use dpop_tower::{
    BoundToken, DpopConfig, DpopConfigBuilder, DpopLayer, Issuer, PolicyTable, PublicOrigin,
    clock::{ManualClock, TimeSource, UnixTime},
    crypto::{AwsLcRs, CryptoProvider, Josekit},
    nonce::{NonceSecret, StatelessNonces},
    rejection::Rejection,
    test_util::{ProofBuilder, TestClient, TestIssuer, TokenBuilder},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt as _;

/// The public origin of the API.
pub const ORIGIN: &str = "https://api.test";
/// The only resource of the API, for `GET` and `POST`.
pub const URL: &str = "https://api.test/orders";

/// How a test is run: the crypto backend and the transport.
#[derive(Clone, Copy, Debug)]
pub struct Way {
    pub backend: Backend,
    pub over: Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    AwsLcRs,
    Josekit,
}

#[derive(Clone, Copy, Debug)]
pub enum Over {
    /// Calls the router directly.
    Process,
    /// Sends HTTP/1.1 over loopback, with hyper on both sides.
    Socket,
    /// Sends HTTP/1.1 over loopback to a proxy, which forwards to a service that does not support DPoP.
    Proxy(&'static dyn Proxy),
    /// Calls the router directly, and shows each request with its verdict to an observer.
    Observed(&'static dyn Observer),
}

/// Watches requests to APIs with default settings, or with nonces.
pub trait Observer: Debug + Sync {
    /// Is called with a request to `api` and the response to it.
    fn observe(&self, api: &Api, request: &Request<()>, response: &Response<Body>);
}

/// A proxy that checks DPoP in front of a service that does not support it.
pub trait Proxy: Debug + Sync {
    /// Returns the proxy as a router in front of `upstream`. It identifies the caller in
    /// `x-dpop-subject` and other headers, and keeps what the layer puts into the extensions of a
    /// response.
    fn protect(&self, config: DpopConfig, table: Option<&PolicyTable>, upstream: &str) -> Router;
}

/// Makes two tests of each of these functions, which take a [`Backend`]: its name, followed by
/// `aws_lc_rs` and by `josekit`. For tests that send requests in a way of their own.
#[macro_export]
macro_rules! each_backend {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use $crate::support::Backend;

            #[tokio::test]
            async fn aws_lc_rs() {
                super::$test(Backend::AwsLcRs).await;
            }

            #[tokio::test]
            async fn josekit() {
                super::$test(Backend::Josekit).await;
            }
        }
    )+};
}

impl Way {
    pub const fn new(backend: Backend, over: Over) -> Self {
        Self { backend, over }
    }

    /// Returns an API with default settings and a clock that stands still.
    pub fn api(self) -> Api {
        let api = self.api_with(|tokens| tokens, |config| config);
        Api { way: self, ..api }
    }

    /// Returns an API that requires these nonces, and a clock that stands still.
    pub fn api_with_nonces(self, nonces: StatelessNonces) -> Api {
        let required = nonces.clone();
        let api = self.api_with(
            |tokens| tokens,
            |config| config.nonce_source(required).require_nonces(),
        );
        Api {
            way: self,
            nonces: Some(nonces),
            ..api
        }
    }

    /// An observer does not know the settings of a test's own.
    const fn unobserved(self) -> Self {
        match self.over {
            Over::Observed(_) => Self::new(self.backend, Over::Process),
            _ => self,
        }
    }

    /// Returns an API with the test's own settings.
    pub fn api_with(
        self,
        tokens: impl FnOnce(Issuer) -> Issuer,
        config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Api {
        let clock = ManualClock::new(UnixTime::from_secs(1_800_000_000));
        let issuer = TestIssuer::new().clock(clock.clone());
        let client = TestClient::new().clock(clock.clone());
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let builder = DpopConfig::builder(origin, tokens(issuer.tokens())).clock(clock.clone());
        Api {
            way: self.unobserved(),
            router: self.router(config(self.backend.chosen(builder)).build().unwrap()),
            issuer,
            client,
            clock,
            nonces: None,
        }
    }

    /// Returns an API that responds with the subject of the token.
    pub fn router(self, config: DpopConfig) -> Router {
        match self.over {
            Over::Process | Over::Socket | Over::Observed(_) => router(config),
            Over::Proxy(proxy) => behind(proxy, config, None, router_by_headers()),
        }
    }

    /// Puts handlers behind the layer, or handlers that use the headers of a proxy behind that proxy.
    pub fn protect(
        self,
        config: DpopConfig,
        handlers: Router,
        handlers_by_headers: Router,
    ) -> Router {
        match self.over {
            Over::Process | Over::Socket | Over::Observed(_) => {
                handlers.layer(DpopLayer::new(config))
            }
            Over::Proxy(proxy) => behind(proxy, config, None, handlers_by_headers),
        }
    }

    /// Puts handlers that ignore the caller's identity behind the layer or a proxy with this table.
    pub fn protect_by(self, config: DpopConfig, table: PolicyTable, handlers: Router) -> Router {
        match self.over {
            Over::Process | Over::Socket | Over::Observed(_) => {
                handlers.layer(DpopLayer::new(config).with_policy(table))
            }
            Over::Proxy(proxy) => behind(proxy, config, Some(&table), handlers),
        }
    }

    /// Returns the router's response.
    pub async fn send(self, router: Router, request: Request<()>) -> Response<Body> {
        match self.over {
            Over::Process | Over::Observed(_) => send(router, request).await,
            Over::Socket | Over::Proxy(_) => send_over_a_socket(router, request).await,
        }
    }
}

impl Backend {
    /// Returns an API with default settings and a clock that stands still.
    pub fn api(self) -> Api {
        let over = Over::Process;
        Way {
            backend: self,
            over,
        }
        .api()
    }

    pub fn verifier(self) -> &'static dyn CryptoProvider {
        match self {
            Self::AwsLcRs => &AwsLcRs,
            Self::Josekit => &Josekit,
        }
    }

    pub fn chosen(self, config: DpopConfigBuilder) -> DpopConfigBuilder {
        match self {
            Self::AwsLcRs => config.crypto(AwsLcRs),
            Self::Josekit => config.crypto(Josekit),
        }
    }
}

pub struct Api {
    pub way: Way,
    pub issuer: TestIssuer,
    pub client: TestClient,
    pub clock: ManualClock,
    /// The nonces that the API requires, if its settings are known.
    pub nonces: Option<StatelessNonces>,
    pub router: Router,
}

impl Api {
    /// Creates an API with default settings and a clock that stands still.
    pub fn new() -> Self {
        Self::with(|tokens| tokens, |config| config)
    }

    /// Creates an API with the test's own settings.
    pub fn with(
        tokens: impl FnOnce(Issuer) -> Issuer,
        config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Self {
        let way = Way {
            backend: Backend::Josekit,
            over: Over::Process,
        };
        way.api_with(tokens, config)
    }

    /// Returns a valid token for the client's key, for tests to break.
    pub fn token(&self) -> TokenBuilder {
        self.issuer.token().subject("alice").bound_to(&self.client)
    }

    /// Returns a valid proof for `GET` of [`URL`] with this token, for tests to break.
    pub fn proof(&self, token: &str) -> ProofBuilder {
        self.client.proof("GET", URL).access_token(token)
    }

    /// Sends a `GET` request for [`URL`] with this token and proof.
    pub async fn get(&self, token: &str, proof: &str) -> Verdict {
        self.send(
            self.client
                .request_with_proof(Method::GET, URL, token, proof),
        )
        .await
    }

    pub async fn send(&self, request: Request<()>) -> Verdict {
        Verdict::of(self.response(request).await)
    }

    pub async fn response(&self, request: Request<()>) -> Response<Body> {
        let Over::Observed(observer) = self.way.over else {
            return self.way.send(self.router.clone(), request).await;
        };
        let copy = request.clone();
        let response = self.way.send(self.router.clone(), request).await;
        observer.observe(self, &copy, &response);
        response
    }

    /// Returns a configuration with the same issuer, clock and backend, for another router.
    pub fn config(&self) -> DpopConfigBuilder {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, self.issuer.tokens()).clock(self.clock.clone());
        self.way.backend.chosen(config)
    }

    pub fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }

    pub fn now(&self) -> i64 {
        self.clock.now().as_secs()
    }
}

/// Returns nonces that are the same in every test.
pub fn nonces() -> StatelessNonces {
    StatelessNonces::new(NonceSecret::new([3; 32]).unwrap())
}

/// Returns an API that responds with the subject of the token.
pub fn router(config: DpopConfig) -> Router {
    async fn orders(token: BoundToken) -> String {
        token.claims().subject().unwrap().to_owned()
    }
    Router::new()
        .route("/orders", get(orders).post(orders))
        .layer(DpopLayer::new(config))
}

/// Returns the same API, which uses the headers of a proxy.
fn router_by_headers() -> Router {
    async fn orders(headers: HeaderMap) -> String {
        headers["x-dpop-subject"].to_str().unwrap().to_owned()
    }
    Router::new().route("/orders", get(orders).post(orders))
}

/// Puts a proxy in front of a service that listens on a socket of its own.
fn behind(
    proxy: &dyn Proxy,
    config: DpopConfig,
    table: Option<&PolicyTable>,
    upstream: Router,
) -> Router {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let listener = TcpListener::from_std(listener).unwrap();
    tokio::spawn(async move { axum::serve(listener, upstream).await });
    proxy.protect(config, table, &url)
}

pub async fn send(router: Router, request: Request<()>) -> Response<Body> {
    let response: Result<_, Infallible> = router.oneshot(request.map(|()| Body::empty())).await;
    response.unwrap()
}

/// Sends a request over a connection of its own. Headers carry what the response's extensions contain.
async fn send_over_a_socket(router: Router, request: Request<()>) -> Response<Body> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = TowerToHyperService::new(router.layer(map_response(Why::into_headers)));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let connection = hyper::server::conn::http1::Builder::new();
        // The client sees the errors of a connection.
        let _ = connection
            .serve_connection(TokioIo::new(stream), service)
            .await;
    });
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request.map(|()| Body::empty())).await;
    response.unwrap().map(Body::new)
}

/// The operator's view of a rejection, which the layer puts into the response's extensions.
pub struct Why {
    pub reason: &'static str,
    pub detail: String,
    /// The description that the client gets.
    pub description: &'static str,
}

const REASON: &str = "x-test-reason";
const DETAIL: &str = "x-test-detail";
const DESCRIPTION: &str = "x-test-description";

impl Why {
    pub fn of<B>(response: &Response<B>) -> Option<Self> {
        if let Some(rejection) = response.extensions().get::<Rejection>() {
            return Some(Self {
                reason: rejection.reason(),
                detail: rejection.to_string(),
                description: rejection.description(),
            });
        }
        let text = |name| {
            response
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap())
        };
        Some(Self {
            reason: constant(text(REASON)?),
            detail: text(DETAIL)?.to_owned(),
            description: constant(text(DESCRIPTION)?),
        })
    }

    async fn into_headers(mut response: Response<Body>) -> Response<Body> {
        if let Some(why) = Self::of(&response) {
            let headers = response.headers_mut();
            headers.insert(REASON, HeaderValue::from_static(why.reason));
            headers.insert(DETAIL, why.detail.parse().unwrap());
            headers.insert(DESCRIPTION, HeaderValue::from_static(why.description));
        }
        response
    }
}

/// Returns a leaked copy of the text, one for each of the few reasons and error codes.
fn constant(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock().unwrap();
    if let Some(known) = known.get(text) {
        return known;
    }
    let new: &'static str = text.to_owned().leak();
    known.insert(new);
    new
}

/// The outcome of a request: admitted, or rejected with this error code and reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admitted,
    Rejected {
        status: u16,
        /// The `error` of the `DPoP` challenge. It is empty if there is none.
        error: &'static str,
        /// The operator's reason code, from the response's extensions.
        reason: &'static str,
    },
}

impl Verdict {
    /// Also checks what every rejection must have.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a response has no further use, and tests read better without the borrow"
    )]
    pub fn of<B>(response: Response<B>) -> Self {
        let Some(why) = Why::of(&response) else {
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key(header::WWW_AUTHENTICATE));
            return Self::Admitted;
        };
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let challenges: Vec<_> = response
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        match (response.status().as_u16(), challenges.first()) {
            (503, None) => assert!(response.headers().contains_key(header::RETRY_AFTER)),
            (400 | 401 | 403, Some(first)) => {
                assert!(first.starts_with("DPoP "), "{first}");
                assert!(first.contains("algs=\""), "{first}");
            }
            (status, first) => panic!("{status} with {first:?}"),
        }
        let mut errors: Vec<_> = challenges
            .iter()
            .filter_map(|challenge| challenge.split_once("error=\"")?.1.split('"').next())
            .collect();
        errors.dedup();
        assert!(errors.len() <= 1, "{challenges:?}");
        let error = errors.first().map_or("", |error| constant(error));
        if let Some(rejection) = response.extensions().get::<Rejection>() {
            assert_eq!(response.status(), rejection.status());
            assert_eq!(error, rejection.kind().error_code().unwrap_or_default());
        }
        Self::Rejected {
            status: response.status().as_u16(),
            error,
            reason: why.reason,
        }
    }
}

pub const fn invalid_proof(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "invalid_dpop_proof",
        reason,
    }
}

pub const fn invalid_token(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 401,
        error: "invalid_token",
        reason,
    }
}

pub const fn invalid_request(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 400,
        error: "invalid_request",
        reason,
    }
}

pub const fn unavailable(reason: &'static str) -> Verdict {
    Verdict::Rejected {
        status: 503,
        error: "",
        reason,
    }
}
