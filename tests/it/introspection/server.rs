//! An issuer's web server, whose answers a test chooses.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::ConnectInfo,
};
use http::{Request, Response, StatusCode, header, request::Parts};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::watch,
    time::{sleep, timeout},
};

type Script = Arc<dyn Fn(&Seen) -> Response<Body> + Send + Sync>;

/// A request for the endpoint.
pub(super) struct Seen {
    pub(super) head: Parts,
    pub(super) body: String,
    /// The client's end of the connection.
    pub(super) peer: SocketAddr,
}

impl Seen {
    pub(super) fn form(&self) -> Vec<(String, String)> {
        let url = reqwest::Url::parse(&format!("http://form.test/?{}", self.body)).unwrap();
        url.query_pairs().into_owned().collect()
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        let mut values = self.form().into_iter().filter(|(key, _)| key == name);
        let value = values.next().map(|(_, value)| value);
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }
}

#[derive(Clone)]
pub(super) struct Idp {
    origin: String,
    script: Arc<Mutex<Script>>,
    /// What is at other paths than the endpoint's.
    pages: Arc<Mutex<HashMap<String, String>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    /// The paths that were asked for and that are not the endpoint's.
    fetched: Arc<Mutex<Vec<String>>>,
    held: watch::Sender<bool>,
}

impl Idp {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let idp = Self {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            script: Arc::new(Mutex::new(Arc::new(|_: &Seen| status(404)))),
            pages: Arc::default(),
            seen: Arc::default(),
            fetched: Arc::default(),
            held: watch::Sender::new(false),
        };
        let running = idp.clone();
        let handler = move |ConnectInfo(peer), request| {
            let idp = running.clone();
            async move { idp.respond(peer, request).await }
        };
        let app = Router::new()
            .fallback(handler)
            .into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, app).await });
        idp
    }

    async fn respond(&self, peer: SocketAddr, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        if path != "/introspect" {
            self.fetched.lock().unwrap().push(path.clone());
            return match self.pages.lock().unwrap().get(&path) {
                Some(page) => answer("application/json", page.clone()),
                None => status(404),
            };
        }
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let seen = Seen { head, body, peer };
        let script = Arc::clone(&self.script.lock().unwrap());
        let response = script(&seen);
        self.seen.lock().unwrap().push(seen);
        let mut held = self.held.subscribe();
        held.wait_for(|held| !held).await.unwrap();
        response
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// Has every call answered like this.
    pub(super) fn answer(&self, script: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub(super) fn answer_json(&self, value: &Value) {
        let text = value.to_string();
        self.answer(move |_| answer("application/json", text.clone()));
    }

    pub(super) fn answer_text(&self, content_type: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.answer(move |_| answer(content_type, text.clone()));
    }

    pub(super) fn answer_status(&self, code: u16) {
        self.answer(move |_| status(code));
    }

    pub(super) fn put(&self, path: &str, page: impl Into<String>) {
        let mut pages = self.pages.lock().unwrap();
        pages.insert(path.to_owned(), page.into());
    }

    /// Makes calls wait, or lets them go on.
    pub(super) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    pub(super) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub(super) fn fetched(&self) -> Vec<String> {
        self.fetched.lock().unwrap().clone()
    }

    /// What was seen of each call.
    pub(super) fn each<T>(&self, of: impl Fn(&Seen) -> T) -> Vec<T> {
        self.seen.lock().unwrap().iter().map(of).collect()
    }

    pub(super) async fn wait_for(&self, calls: usize) {
        soon(async {
            while self.calls() < calls {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

pub(super) fn status(code: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

pub(super) fn answer(content_type: &str, text: impl Into<Bytes>) -> Response<Body> {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(text.into()))
        .unwrap()
}

/// What takes no longer than a slow day can make it take.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.unwrap()
}
