//! An issuer's web server, and an API that uses its keys.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dpop_tower::{DpopConfigBuilder, Issuer, test_util::TestIssuer, token::KeyFetching};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use super::{ISSUER, OUT_OF_REACH, UNKNOWN};
use crate::support::{Api, ORIGIN, URL, Verdict, send};

/// What a [`Server`] answers; for a path without one, 404.
#[derive(Clone, Debug)]
pub(super) enum Page {
    Json(String),
    /// Text, with these lines in the head of the response.
    Headed(&'static str, String),
    /// So many blanks.
    Blanks(usize),
    /// Does not say that the connection is closed afterwards, and closes it at the next request.
    ClosedInSilence(String),
    Status(u16),
    Redirect(u16, String),
    /// Promises the whole text and closes the connection in the middle of it.
    CutOff(String),
    /// The same with `Transfer-Encoding: chunked`.
    CutOffInChunks(String),
    /// Without any word about the length, so that half of the text looks like all of it.
    Halved(String),
    HangUp,
    /// The first time.
    HangUpOnce(Box<Page>),
}

impl Page {
    fn response(self) -> Vec<u8> {
        let head = |status: u16, headers: &str| {
            format!("HTTP/1.1 {status} X\r\nconnection: close\r\n{headers}\r\n")
        };
        let half = |text: &str| text[..text.len() / 2].to_owned();
        match self {
            Self::Json(text) => head(200, &format!("content-length: {}\r\n", text.len())) + &text,
            Self::Headed(lines, text) => {
                let length = format!("{lines}content-length: {}\r\n", text.len());
                head(200, &length) + &text
            }
            Self::Blanks(len) => head(200, &format!("content-length: {len}\r\n")),
            Self::ClosedInSilence(text) => {
                let len = text.len();
                format!("HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{text}")
            }
            Self::Status(status) => head(status, "content-length: 0\r\n"),
            Self::Redirect(status, to) => {
                head(status, &format!("content-length: 0\r\nlocation: {to}\r\n"))
            }
            Self::CutOff(text) => {
                head(200, &format!("content-length: {}\r\n", text.len())) + &half(&text)
            }
            Self::CutOffInChunks(text) => {
                let half = half(&text);
                let chunk = format!("{:x}\r\n{half}\r\n", half.len());
                head(200, "transfer-encoding: chunked\r\n") + &chunk
            }
            Self::Halved(text) => head(200, "") + &half(&text),
            Self::HangUp | Self::HangUpOnce(_) => String::new(),
        }
        .into_bytes()
    }
}

/// An issuer's web server that says what it was asked for.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) origin: String,
    pages: Arc<Mutex<HashMap<String, Page>>>,
    hits: Arc<Mutex<Vec<String>>>,
    held: Arc<Mutex<BTreeSet<&'static str>>>,
    /// How many blanks have been written.
    blanks: Arc<AtomicUsize>,
    listening: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Server {
    pub(super) async fn start() -> Self {
        // A port that nobody else takes while the server is down.
        let port = dpop_test_servers::free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let server = Self {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            pages: Arc::default(),
            hits: Arc::default(),
            held: Arc::default(),
            blanks: Arc::default(),
            listening: Arc::default(),
        };
        server.listen(listener);
        server
    }

    fn listen(&self, listener: TcpListener) {
        let running = self.clone();
        let listening = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let server = running.clone();
                tokio::spawn(async move { server.answer(stream).await });
            }
        });
        *self.listening.lock().unwrap() = Some(listening);
    }

    /// Dies: connections are not accepted any more.
    pub(super) async fn stop(&self) {
        let listening = self.listening.lock().unwrap().take().unwrap();
        listening.abort();
        assert!(listening.await.unwrap_err().is_cancelled());
    }

    /// Comes back.
    pub(super) async fn restart(&self) {
        let address = self.origin.strip_prefix("http://").unwrap();
        self.listen(TcpListener::bind(address).await.unwrap());
    }

    pub(super) fn blanks(&self) -> usize {
        self.blanks.load(Ordering::SeqCst)
    }

    /// Writes blanks for as long as anyone takes them.
    async fn write_blanks(&self, stream: &mut TcpStream, len: usize) {
        let chunk = [b' '; 64 * 1024];
        for _ in 0..len / chunk.len() {
            if stream.write_all(&chunk).await.is_err() {
                return;
            }
            self.blanks.fetch_add(chunk.len(), Ordering::SeqCst);
        }
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let request = String::from_utf8(request).unwrap();
        let path = request.split(' ').nth(1).unwrap().to_owned();
        assert!(request.starts_with("GET "), "{request}");
        self.hits.lock().unwrap().push(path.clone());
        while self.is_held(&path) {
            sleep(Duration::from_millis(1)).await;
        }
        let page = self.pages.lock().unwrap().get(&path).cloned();
        if let Some(Page::HangUpOnce(then)) = &page {
            self.put(&path, (**then).clone());
        }
        let is_silent = matches!(page, Some(Page::ClosedInSilence(_)));
        let blanks = match page {
            Some(Page::Blanks(len)) => len,
            _ => 0,
        };
        let response = page.unwrap_or(Page::Status(404)).response();
        // The client may be gone.
        let _ = stream.write_all(&response).await;
        self.write_blanks(&mut stream, blanks).await;
        if is_silent {
            let _ = stream.read_u8().await;
        }
        let _ = stream.shutdown().await;
    }

    pub(super) fn put(&self, path: &str, page: Page) {
        self.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    pub(super) fn put_keys(&self, issuers: &[&TestIssuer]) {
        self.put("/jwks", Page::Json(merged(issuers)));
    }

    fn is_held(&self, path: &str) -> bool {
        let held = self.held.lock().unwrap();
        held.contains(path) || held.contains("*")
    }

    /// Makes requests wait, or lets them go on.
    pub(super) fn hold(&self, held: bool) {
        if held {
            self.hold_only(&["*"]);
        } else {
            self.hold_only(&[]);
        }
    }

    /// Makes requests for these paths wait, and lets others go on.
    pub(super) fn hold_only(&self, paths: &[&'static str]) {
        *self.held.lock().unwrap() = paths.iter().copied().collect();
    }

    pub(super) fn hits(&self) -> Vec<String> {
        self.hits.lock().unwrap().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.hits.lock().unwrap().len()
    }

    pub(super) async fn wait_for(&self, count: usize) {
        soon(async {
            while self.count() < count {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

/// What takes no longer than a slow day can make it take.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.unwrap()
}

/// Every request ends with this verdict.
pub(super) async fn all_end_with(expected: Verdict, requests: JoinSet<Verdict>) {
    for verdict in requests.join_all().await {
        assert_eq!(verdict, expected);
    }
}

/// One JWK Set of several issuers' keys.
pub(super) fn merged(issuers: &[&TestIssuer]) -> String {
    let keys: Vec<Value> = issuers
        .iter()
        .flat_map(|issuer| {
            let set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
            set["keys"].as_array().unwrap().clone()
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

/// An API whose keys are at a server.
pub(super) struct Remote {
    pub(super) api: Api,
    pub(super) server: Server,
    /// What its tokens have to say.
    issuer: String,
}

impl Remote {
    /// The keys are at a URL.
    pub(super) async fn at_url() -> Self {
        Self::at_url_with(|config| config).await
    }

    pub(super) async fn at_url_with(
        config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Self {
        Self::with(|tokens| tokens, config).await
    }

    /// The keys are at a URL, and fetched by these settings.
    pub(super) async fn fetching(fetching: KeyFetching) -> Self {
        Self::with(|tokens| tokens.key_fetching(fetching), |config| config).await
    }

    async fn with(
        tokens: impl FnOnce(Issuer) -> Issuer,
        config: impl FnOnce(DpopConfigBuilder) -> DpopConfigBuilder,
    ) -> Self {
        let server = Server::start().await;
        let url = server.url("/jwks");
        let api = Api::with(
            |_| {
                tokens(
                    Issuer::new(ISSUER)
                        .jwks_url(url)
                        .audience(ORIGIN)
                        .danger_allow_plain_http(),
                )
            },
            config,
        );
        server.put_keys(&[&api.issuer]);
        let issuer = ISSUER.to_owned();
        Self {
            api,
            server,
            issuer,
        }
    }

    /// The issuer is the server, at this path; its metadata is up to the test.
    pub(super) async fn discovered(path: &str) -> Self {
        let server = Server::start().await;
        let issuer = server.url(path);
        let mut api = Api::with(
            |_| {
                Issuer::discover(issuer.as_str())
                    .audience(ORIGIN)
                    .danger_allow_plain_http()
            },
            |config| config,
        );
        api.issuer = api.issuer.clone().issuer(issuer.as_str());
        server.put_keys(&[&api.issuer]);
        Self {
            api,
            server,
            issuer,
        }
    }

    pub(super) fn put_metadata(&self, path: &str) {
        let metadata = self.api.issuer.metadata(&self.server.url("/jwks"));
        self.server.put(path, Page::Json(metadata));
    }

    /// Outlives every test.
    pub(super) fn token(&self) -> String {
        let token = self.api.token();
        token.claim("exp", self.api.now() + 100_000).mint()
    }

    /// Another key of the same issuer, and a token signed with it.
    pub(super) fn another_key(&self) -> (TestIssuer, String) {
        let issuer = TestIssuer::new()
            .clock(self.api.clock.clone())
            .issuer(self.issuer.as_str());
        let token = issuer
            .token()
            .subject("alice")
            .bound_to(&self.api.client)
            .claim("exp", self.api.now() + 100_000)
            .mint();
        (issuer, token)
    }

    pub(super) async fn present(&self, token: &str) -> Verdict {
        self.api.get(token, &self.api.proof(token).sign()).await
    }

    /// Presents the token in many requests at a time.
    pub(super) fn present_often(&self, count: usize, token: &str) -> JoinSet<Verdict> {
        let mut requests = JoinSet::new();
        for _ in 0..count {
            let request = self.api.client.get(URL, token);
            let router = self.api.router.clone();
            requests.spawn(async move { Verdict::of(send(router, request).await) });
        }
        requests
    }

    /// Presents the token in many requests, and answers the issuer's server only when all of them wait.
    pub(super) async fn present_to_held(&self, token: &str) -> JoinSet<Verdict> {
        self.server.hold(true);
        let requests = self.present_often(50, token);
        self.server.wait_for(1).await;
        sleep(Duration::from_millis(20)).await;
        self.server.hold(false);
        requests
    }

    /// Waits until the attempt that is under way, if there is one, has come to its end. To be called
    /// within 30 seconds of its beginning.
    pub(super) async fn settle(&self) {
        let (_, unknown) = self.another_key();
        let verdict = soon(self.present(&unknown)).await;
        assert!([UNKNOWN, OUT_OF_REACH].contains(&verdict), "{verdict:?}");
    }

    /// Serves the token with keys that are due, and waits until they have been refreshed, or not.
    pub(super) async fn expect_refresh(&self, what: &str, token: &str, hits: usize) {
        assert_eq!(self.present(token).await, Verdict::Admitted, "{what}");
        // That request has begun it, and not the next one.
        self.server.wait_for(hits).await;
        self.settle().await;
        assert_eq!(self.server.count(), hits, "requests: {what}");
    }

    /// Has so many strangers present the token who hang up before they are answered.
    pub(super) async fn hang_up(&self, count: usize, token: &str) {
        for _ in 0..count {
            let mut stranger = self.present_often(1, token);
            sleep(Duration::from_millis(1)).await;
            stranger.abort_all();
            // Where nothing is to be waited for, the answer comes first.
            if let Ok(verdict) = stranger.join_next().await.unwrap() {
                assert_ne!(verdict, Verdict::Admitted);
            }
        }
    }

    pub(super) async fn expect(&self, what: &str, token: &str, expected: Verdict, hits: usize) {
        assert_eq!(self.present(token).await, expected, "{what}");
        assert_eq!(self.server.count(), hits, "requests: {what}");
    }
}
