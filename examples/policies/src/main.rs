//! Routes with different policies in one app, and the outcomes of different requests.
//!
//! ```text
//! cargo run -p policies    fails unless every outcome is as expected here
//! ```

mod app;

use std::process::ExitCode;

use axum::{Router, body::Body};
use dpop_tower::test_util::{TestClient, TestIssuer};
use http::{HeaderMap, Method, Request, Response, header};
use tower::ServiceExt as _;

/// A client whose tokens are bound to its key, and the requests that it sends.
struct Play {
    app: Router,
    issuer: TestIssuer,
    client: TestClient,
    all_as_expected: bool,
}

impl Play {
    async fn send(&self, request: Request<()>) -> Response<Body> {
        let request = request.map(|()| Body::empty());
        match self.app.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    async fn tell(&mut self, who: &str, request: Request<()>, expected: &str) -> HeaderMap {
        let line = format!("{} {}", request.method(), request.uri());
        let response = self.send(request).await;
        let outcome = outcome(&response);
        println!("{line:<16} {who:<42} {outcome}");
        if outcome != expected {
            println!("{:<16} expected: {expected}", "");
            self.all_as_expected = false;
        }
        response.headers().clone()
    }
}

/// Returns the status, and the error code of the challenge if there is one.
fn outcome(response: &Response<Body>) -> String {
    let status = response.status().as_u16();
    let mut challenges = response.headers().get_all(header::WWW_AUTHENTICATE).iter();
    let error = challenges.find_map(|value| {
        let (_, error) = value.to_str().ok()?.split_once("error=\"")?;
        error.split('"').next()
    });
    error.map_or_else(|| status.to_string(), |error| format!("{status} {error}"))
}

fn plain(path: &str, authorization: Option<String>) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = path.parse().unwrap_or_default();
    if let Some(value) = authorization.and_then(|value| value.parse().ok()) {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    request
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (issuer, client) = (TestIssuer::new(), TestClient::new());
    let issuer = issuer.audience(app::ORIGIN);
    let mut play = Play {
        app: app::router(issuer.tokens())?,
        issuer,
        client,
        all_as_expected: true,
    };
    let url = |path: &str| format!("{}{path}", app::ORIGIN);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;

    let token = |play: &Play, scope: &str| {
        let token = play.issuer.token().subject("alice").scope(scope);
        token.bound_to(&play.client).mint()
    };
    let (reader, writer) = (token(&play, "orders:read"), token(&play, "orders:write"));
    let unbound = play.issuer.token().mint();
    let client = play.client.clone();

    play.tell("anybody", plain("/health", None), "200").await;
    play.tell("anybody", plain("/catalogue", None), "401").await;
    play.tell(
        "with an unbound bearer token",
        plain("/catalogue", Some(format!("Bearer {unbound}"))),
        "200",
    )
    .await;
    play.tell(
        "with a stolen bound token",
        plain("/catalogue", Some(format!("Bearer {reader}"))),
        "401 invalid_token",
    )
    .await;
    let request = client.get(&url("/catalogue"), &reader);
    play.tell("with a proof", request, "200").await;

    play.tell(
        "with an unbound bearer token",
        plain("/orders", Some(format!("Bearer {unbound}"))),
        "401 invalid_token",
    )
    .await;
    let request = client.get(&url("/orders"), &reader);
    play.tell("with a proof", request, "200").await;
    for (who, token, expected) in [
        ("without the scope", &reader, "403 insufficient_scope"),
        ("with the scope", &writer, "200"),
    ] {
        let request = client.request(Method::POST, &url("/orders"), token);
        play.tell(who, request, expected).await;
    }

    let payment = |token: &str, nonce: &str| {
        let url = url("/payments");
        let proof = client.proof("POST", &url).access_token(token).nonce(nonce);
        client.request_with_proof(Method::POST, &url, token, &proof.sign())
    };
    let request = client.request(Method::POST, &url("/payments"), &writer);
    let headers = play
        .tell("without a nonce", request, "401 use_dpop_nonce")
        .await;
    let nonce = headers
        .get("dpop-nonce")
        .and_then(|nonce| nonce.to_str().ok());
    let nonce = nonce.unwrap_or_default();
    let step_up = "401 insufficient_user_authentication";
    play.tell(
        "with a nonce, without step-up",
        payment(&writer, nonce),
        step_up,
    )
    .await;
    let stepped_up = play.issuer.token().bound_to(&client);
    let stepped_up = stepped_up
        .claim("acr", "urn:example:mfa")
        .claim("auth_time", now.as_secs());
    let request = payment(&stepped_up.mint(), nonce);
    play.tell("with a nonce and step-up", request, "200").await;

    Ok(match play.all_as_expected {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
