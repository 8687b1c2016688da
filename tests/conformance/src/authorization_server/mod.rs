//! An authorization server on a real socket, for the tests of clients. It verifies proofs, binds codes and refresh
//! tokens to keys, and reports what it was asked.

mod grants;
mod proof;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{Query, State as Shared},
    response::IntoResponse,
    routing::{get, post},
};
use dpop_tower::{jwk::Thumbprint, test_util::TestIssuer};
use futures_util::stream;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore};

pub type Form = HashMap<String, String>;

/// What the server does when a refresh token is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// It stays valid, and the answer has none.
    #[default]
    Never,
    /// It dies, and the answer has a new one.
    Strict,
    /// There is a new one, and the old one stays valid.
    WithGrace,
}

/// How the server differs from a simple one.
#[derive(Clone, Debug)]
pub struct Settings {
    pub requires_nonces: bool,
    pub rotation: Rotation,
    pub requires_pushed_requests: bool,
    pub token_type: &'static str,
    pub lifetime: Duration,
    /// How often a device is told that the user has not answered yet.
    pub pending: usize,
    /// Members of the metadata that are replaced.
    pub metadata: Value,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            requires_nonces: true,
            rotation: Rotation::Never,
            requires_pushed_requests: false,
            token_type: "DPoP",
            lifetime: Duration::from_secs(300),
            pending: 1,
            metadata: json!({}),
        }
    }
}

/// A request that the server received.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: &'static str,
    pub form: Form,
    pub headers: HeaderMap,
    /// The claims of the proof, if there was a valid one.
    pub proof: Option<Value>,
}

/// What an answer becomes instead.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Another answer, and nothing happens.
    Answer(StatusCode, String),
    /// The request has its effect, and the connection ends in the middle of the answer.
    Lost,
}

/// A running server, which ends with the test.
#[derive(Clone)]
pub struct AuthorizationServer {
    pub issuer: String,
    state: Arc<State>,
}

struct State {
    issuer: String,
    tokens: TestIssuer,
    settings: Settings,
    /// Requests to the token endpoint wait for a permit.
    gate: Semaphore,
    changing: Mutex<Changing>,
}

#[derive(Default)]
struct Changing {
    asked: Vec<Asked>,
    faults: VecDeque<Fault>,
    nonce: usize,
    used_proofs: HashSet<String>,
    count: usize,
    codes: HashMap<String, Form>,
    pushed: HashMap<String, Form>,
    refresh_tokens: HashMap<String, Thumbprint>,
    device_requests: usize,
}

impl AuthorizationServer {
    /// Starts a server whose access tokens are those of `tokens`.
    pub async fn start(tokens: TestIssuer, settings: Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            issuer: issuer.clone(),
            tokens,
            settings,
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
            changing: Mutex::default(),
        });
        let router = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/token", post(grants::token))
            .route("/device", post(grants::device))
            .route("/par", post(grants::push))
            .route("/authorize", get(authorize))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { issuer, state }
    }

    /// Returns what was asked so far, without requests for metadata.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.changing().asked.clone()
    }

    /// Returns the requests to the token endpoint that were not about a missing nonce.
    pub fn grants(&self) -> Vec<Asked> {
        let asked = self.asked().into_iter();
        asked
            .filter(|asked| asked.path == "/token" && asked.proof.is_some())
            .collect()
    }

    /// Lets the next request to the token endpoint fail.
    pub fn fail_next(&self, fault: Fault) {
        self.state.changing().faults.push_back(fault);
    }

    /// Makes the nonces that clients have useless.
    pub fn change_nonce(&self) {
        self.state.changing().nonce += 1;
    }

    /// Makes requests to the token endpoint wait for [`let_through`](Self::let_through).
    pub fn close_gate(&self) {
        self.state.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    pub fn let_through(&self, requests: usize) {
        self.state.gate.add_permits(requests);
    }

    /// Returns a valid refresh token that is bound to this key.
    pub fn refresh_token(&self, thumbprint: Thumbprint) -> String {
        self.state.new_refresh_token(thumbprint)
    }
}

impl State {
    fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap()
    }

    fn nonce(&self) -> String {
        format!("as-nonce-{}", self.changing().nonce)
    }

    fn next(&self, prefix: &str) -> String {
        let mut changing = self.changing();
        changing.count += 1;
        format!("{prefix}-{}", changing.count)
    }

    fn new_refresh_token(&self, thumbprint: Thumbprint) -> String {
        let token = self.next("refresh");
        let mut changing = self.changing();
        changing.refresh_tokens.insert(token.clone(), thumbprint);
        token
    }

    /// Records a request and verifies its proof.
    fn receive(
        &self,
        path: &'static str,
        headers: &HeaderMap,
        form: &Form,
    ) -> Result<Option<Thumbprint>, Answer> {
        let proof = proof::verify(headers, &format!("{}{path}", self.issuer));
        let claims = proof.as_ref().ok().and_then(Clone::clone);
        let claims = claims.map(|(_, claims)| claims);
        let lacks_nonce = self.settings.requires_nonces
            && (claims.as_ref()).is_some_and(|claims| claims["nonce"] != self.nonce());
        let mut changing = self.changing();
        changing.asked.push(Asked {
            path,
            form: form.clone(),
            headers: headers.clone(),
            proof: claims.clone().filter(|_| !lacks_nonce),
        });
        if let Some(claims) = &claims {
            let is_new = changing.used_proofs.insert(claims["jti"].to_string());
            if !is_new {
                return Err(error("invalid_dpop_proof"));
            }
        }
        if lacks_nonce {
            return Err(error("use_dpop_nonce"));
        }
        match proof {
            Ok(proof) => Ok(proof.map(|(thumbprint, _)| thumbprint)),
            Err(why) => Err((
                StatusCode::BAD_REQUEST,
                json!({ "error": "invalid_dpop_proof", "error_description": why }),
            )),
        }
    }

    fn answer(&self, (status, json): Answer) -> Response<Body> {
        let nonce = self.nonce();
        (status, [("dpop-nonce", nonce)], Json(json)).into_response()
    }
}

type Answer = (StatusCode, Value);

fn error(code: &str) -> Answer {
    (StatusCode::BAD_REQUEST, json!({ "error": code }))
}

/// An answer whose connection ends in the middle.
fn lost() -> Response<Body> {
    let parts = [
        Ok(Bytes::from_static(b"{\"access_token\":")),
        Err(std::io::Error::other("lost")),
    ];
    Response::new(Body::from_stream(stream::iter(parts)))
}

async fn metadata(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let issuer = &state.issuer;
    let mut metadata = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}/token"),
        "authorization_endpoint": format!("{issuer}/authorize"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "require_pushed_authorization_requests": state.settings.requires_pushed_requests,
        "authorization_response_iss_parameter_supported": true,
        "dpop_signing_alg_values_supported": ["ES256", "Ed25519"],
    });
    for (name, value) in state.settings.metadata.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    Json(metadata)
}

/// Consents at once, as a user would with a click, and redirects.
async fn authorize(
    Shared(state): Shared<Arc<State>>,
    Query(mut query): Query<Form>,
) -> impl IntoResponse {
    let pushed = query.get("request_uri");
    if let Some(pushed) = pushed.and_then(|uri| state.changing().pushed.remove(uri)) {
        query.extend(pushed);
    } else {
        assert!(!state.settings.requires_pushed_requests, "{query:?}");
    }
    let code = state.next("code");
    let location = format!(
        "{}?code={code}&state={}&iss={}",
        query["redirect_uri"],
        query["state"],
        state.issuer.replace(':', "%3A").replace('/', "%2F"),
    );
    state.changing().codes.insert(code, query);
    (StatusCode::FOUND, [(header::LOCATION, location)])
}
