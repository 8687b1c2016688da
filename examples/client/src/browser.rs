//! The backend of a browser app: the browser has a cookie, and the tokens and keys stay here.
//!
//! The page sends the CSRF token of its session with every request. Another site can make the browser send a
//! request, but it can neither read this token nor set a header without the consent of a CORS preflight.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use dpop_tower::test_util::TestIssuer;
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_body_util::Full;
use subtle::ConstantTimeEq as _;

use crate::api::Api;

/// `__Host-` makes the browser insist on `Secure`, on the path `/`, and on this host alone.
const COOKIE: &str = "__Host-session";
const CSRF: HeaderName = HeaderName::from_static("x-csrf-token");
const MAX_SESSIONS: usize = 10_000;

/// A user who has logged in. The key and the token are in the client.
#[derive(Clone)]
struct Session {
    orders: Api,
    csrf: String,
}

#[derive(Clone)]
struct App {
    orders_url: Arc<str>,
    issuer: TestIssuer,
    sessions: Arc<Mutex<HashMap<String, Session>>>,
}

pub(crate) fn router(orders_url: &str, issuer: &TestIssuer) -> Router {
    let app = App {
        orders_url: orders_url.into(),
        issuer: issuer.clone(),
        sessions: Arc::default(),
    };
    Router::new()
        .route("/login", post(login))
        .route("/logout", post(logout))
        .route("/api/orders", get(orders))
        .with_state(app)
}

impl App {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the session of a request, and its identifier.
    fn session(&self, headers: &HeaderMap) -> Result<(String, Session), StatusCode> {
        let id = cookie(headers).ok_or(StatusCode::UNAUTHORIZED)?;
        let session = self.sessions().get(id).cloned();
        let session = session.ok_or(StatusCode::UNAUTHORIZED)?;
        let sent = headers.get(CSRF).ok_or(StatusCode::FORBIDDEN)?;
        if !bool::from(sent.as_bytes().ct_eq(session.csrf.as_bytes())) {
            return Err(StatusCode::FORBIDDEN);
        }
        Ok((id.to_owned(), session))
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let cookies = cookies.filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split("; "))
        .find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name == COOKIE).then_some(value)
        })
}

fn set_cookie(id: &str, rest: &str) -> String {
    format!("{COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict{rest}")
}

fn random() -> Result<String, StatusCode> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// Begins a session with a key of its own, and responds with the CSRF token.
///
/// In a real application, this is the end of the authorization code flow: the issuer has sent the browser back
/// with a code, which the backend exchanges for a token.
async fn login(State(app): State<App>) -> Result<Response, StatusCode> {
    let orders = Api::new(&app.orders_url, "alice", &app.issuer);
    let orders = orders.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let (id, csrf) = (random()?, random()?);
    let session = Session {
        orders,
        csrf: csrf.clone(),
    };
    let mut sessions = app.sessions();
    if sessions.len() >= MAX_SESSIONS {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    sessions.insert(id.clone(), session);
    let headers = [
        (header::SET_COOKIE, set_cookie(&id, "")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, csrf).into_response())
}

/// Ends the session, and forgets its key.
async fn logout(State(app): State<App>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let (id, _) = app.session(&headers)?;
    app.sessions().remove(&id);
    let removed = [(header::SET_COOKIE, set_cookie("", "; Max-Age=0"))];
    Ok((StatusCode::NO_CONTENT, removed).into_response())
}

/// Calls the API for the user. The browser gets the body, and no header of the API.
async fn orders(State(app): State<App>, headers: HeaderMap) -> Result<Response, StatusCode> {
    let (_, session) = app.session(&headers)?;
    let request = session.orders.get("/orders").body(Full::<Bytes>::default());
    let request = request.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let response = session.orders.send(request).await;
    let response = response.map_err(|_| StatusCode::BAD_GATEWAY)?;
    match response.status() {
        // The token has expired or was revoked, so the user has to log in again.
        StatusCode::UNAUTHORIZED => Err(StatusCode::UNAUTHORIZED),
        status if status.is_success() => {
            Ok(([(header::CACHE_CONTROL, "no-store")], response.into_body()).into_response())
        }
        _ => Err(StatusCode::BAD_GATEWAY),
    }
}
