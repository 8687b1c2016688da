//! The protected API. Its layer has the settings that any API would have, except for the body of rejections.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, Method, Response, header},
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::{any, get, post},
};
use dpop_tower::{
    BoundToken, ConfigError, DpopConfig, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin,
    lifetime::TokenLifetime, rejection::Rejection,
};
use futures_util::{Stream, stream};
use serde_json::{Value, json};

use crate::{checks, socket, tickets::Tickets};

/// What the page can call.
struct Endpoint {
    method: Method,
    path: &'static str,
    scope: &'static str,
    needs_nonce: bool,
}

fn endpoints() -> [Endpoint; 4] {
    [
        (Method::GET, "/api/orders", "orders:read", false),
        (Method::POST, "/api/orders", "orders:write", false),
        (Method::POST, "/api/payments", "orders:write", true),
        // The issuer gives nobody this scope.
        (Method::GET, "/api/audit", "audit:read", false),
    ]
    .map(|(method, path, scope, needs_nonce)| Endpoint {
        method,
        path,
        scope,
        needs_nonce,
    })
}

impl Endpoint {
    fn policy(&self) -> Result<Policy, ConfigError> {
        let policy = Policy::strict().require_scope(self.scope);
        if self.needs_nonce {
            policy.require_nonce().build()
        } else {
            policy.build()
        }
    }
}

/// Both names of this computer, since either may be in the address bar. The request's host selects one.
pub(crate) fn public_origin(url: &str) -> Result<PublicOrigin, ConfigError> {
    PublicOrigin::new(url)?.with_alias(&url.replace("127.0.0.1", "localhost"))
}

pub(crate) fn router(url: &str, issuer: Issuer) -> Result<Router, ConfigError> {
    let config = DpopConfig::builder(public_origin(url)?, issuer).build()?;
    let mut table = PolicyTable::builder().otherwise(Policy::strict());
    for endpoint in endpoints() {
        let policy = endpoint.policy()?;
        table = table.methods(endpoint.path, [endpoint.method], policy);
    }
    let layer = DpopLayer::new(config)
        .with_policy(table.build()?)
        .with_rejection_response(diagnosis)
        .end_streams_at_expiry();

    let tickets = Arc::new(Tickets::default());
    Ok(Router::new()
        .route("/api/orders", get(admitted).post(admitted))
        .route("/api/payments", post(admitted))
        .route("/api/audit", get(admitted))
        .route("/api/events", get(events))
        .route("/api/tickets", post(ticket))
        .layer(layer)
        // Added after the layer. A browser sends no headers here, so the ticket is the credential.
        .route("/socket", any(socket::open))
        .route("/checks", get(what_is_checked))
        .with_state(tickets))
}

/// Tells the page what it can call, and which checks the layer makes.
async fn what_is_checked() -> Json<Value> {
    let endpoints = endpoints().map(|endpoint| {
        json!({
            "method": endpoint.method.as_str(),
            "path": endpoint.path,
            "needs_nonce": endpoint.needs_nonce,
            "scope": endpoint.scope,
        })
    });
    Json(json!({ "endpoints": endpoints, "checks": checks::all() }))
}

/// Says which check a request failed, and why, in the words of the server's log.
///
/// The log is for the operator. A public API sends `ProblemDetails` instead.
fn diagnosis(rejection: &Rejection) -> Response<String> {
    let body = json!({
        "reason": rejection.reason(),
        "error": rejection.kind().error_code(),
        "detail": rejection.to_string(),
    });
    let mut response = Response::new(body.to_string());
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Runs only if every check has passed.
async fn admitted(token: BoundToken) -> Json<Value> {
    Json(json!({
        "subject": token.claims().subject(),
        "thumbprint": token.thumbprint().to_string(),
        "scopes": token.scopes().collect::<Vec<_>>(),
        "token_expires_at": token.expires_at().as_secs(),
    }))
}

/// Sends an event at once and then every second. The layer ends the stream with the token.
async fn events(token: BoundToken) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let expires_at = token.expires_at().as_secs();
    let second = tokio::time::interval(Duration::from_secs(1));
    Sse::new(stream::unfold(
        (second, 1),
        move |(mut second, count)| async move {
            second.tick().await;
            let data = json!({ "event": count, "token_expires_at": expires_at });
            let event = Event::default().data(data.to_string());
            Some((Ok(event), (second, count + 1)))
        },
    ))
}

/// Issues a ticket for one web socket, which ends with the token of this request.
async fn ticket(
    State(tickets): State<Arc<Tickets>>,
    token: BoundToken,
    lifetime: TokenLifetime,
) -> impl IntoResponse {
    let ticket = tickets.issue(&token, lifetime)?;
    let body = Json(json!({ "ticket": ticket, "expires_in": Tickets::LIFETIME.as_secs() }));
    Ok::<_, axum::http::StatusCode>(([(header::CACHE_CONTROL, "no-store")], body))
}
