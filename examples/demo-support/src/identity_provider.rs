//! A miniature identity provider, so that nothing else has to run. Unlike a real one, it issues
//! DPoP-bound tokens to anyone who asks.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use dpop_tower::{
    ConfigError, DpopConfig, PublicOrigin,
    test_util::{TestClient, TestIssuer, TokenBuilder},
    token_endpoint::{TokenEndpointLayer, TokenRequest, TokenRequestRejection},
};
use serde_json::{Value, json};

/// The identity provider, and the requests that `/try` returns.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    url: Arc<str>,
    issuer: TestIssuer,
    scope: Option<&'static str>,
    api: Arc<str>,
    resource: &'static str,
}

impl IdentityProvider {
    /// Creates an identity provider at `url` whose tokens are for this audience.
    #[must_use]
    pub fn new(url: &str, audience: &str) -> Self {
        Self {
            url: url.into(),
            issuer: TestIssuer::new().issuer(url).audience(audience),
            scope: None,
            api: "".into(),
            resource: "",
        }
    }

    /// Sets the scope of its tokens.
    #[must_use]
    pub fn scope(mut self, scope: &'static str) -> Self {
        self.scope = Some(scope);
        self
    }

    /// Sets the API at `api` and the resource that the requests of `/try` ask for.
    #[must_use]
    pub fn try_with(mut self, api: &str, resource: &'static str) -> Self {
        self.api = api.into();
        self.resource = resource;
        self
    }

    /// Serves `/token`, which binds a token to the key of the proof in the request; `/try`, which
    /// returns a complete request to paste into a shell; `/try/{path}`, the same for another path; and
    /// `/try/stolen`, the request of a thief.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is no origin.
    pub fn router(self) -> Result<Router, ConfigError> {
        let origin = PublicOrigin::new(&self.url)?;
        let config = DpopConfig::authorization_server(origin).build()?;
        let router = Router::new()
            .route("/token", post(token).layer(TokenEndpointLayer::new(config)))
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/jwks", get(jwks))
            .route("/try", get(try_it))
            .route("/try/{path}", get(try_path))
            .route("/try/stolen", get(try_stolen))
            .with_state(self);
        Ok(router)
    }

    fn token(&self) -> TokenBuilder {
        let token = self.issuer.token().subject("alice");
        match self.scope {
            None => token,
            Some(scope) => token.scope(scope),
        }
    }

    /// Returns a request whose token is bound to the key of `owner` and whose proof is made by `caller`.
    fn request(&self, path: &str, owner: &TestClient, caller: &TestClient) -> String {
        let url = format!("{}/{path}", self.api);
        let token = self.token().bound_to(owner).mint();
        let proof = caller.proof("GET", &url).access_token(&token).sign();
        format!("curl -si {url} \\\n  -H 'Authorization: DPoP {token}' \\\n  -H 'DPoP: {proof}'\n")
    }
}

async fn metadata(State(provider): State<IdentityProvider>) -> Json<Value> {
    let url = &provider.url;
    Json(json!({
        "issuer": &**url,
        "jwks_uri": format!("{url}/jwks"),
        // No grant needs it, but the client of MCP rejects metadata without it.
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "none"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
    }))
}

async fn jwks(State(provider): State<IdentityProvider>) -> Response {
    as_json(provider.issuer.jwks())
}

fn as_json(document: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

/// Issues a token. RFC 9449 section 5: the client proves possession of a key, and the token is bound to
/// it. A real identity provider authenticates the client before it redeems the proof.
async fn token(
    State(provider): State<IdentityProvider>,
    request: TokenRequest,
) -> Result<Response, TokenRequestRejection> {
    let binding = request.redeem("alice").await?;
    let token = provider.token();
    let token = match binding.thumbprint() {
        Some(thumbprint) => token.bound_to_thumbprint(thumbprint),
        None => token,
    };
    let body = json!({
        "access_token": token.mint(),
        "token_type": binding.token_type(),
        "expires_in": 300,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Returns a request to paste into a shell: curl can send a proof but cannot create one.
async fn try_it(State(provider): State<IdentityProvider>) -> String {
    let client = TestClient::new();
    provider.request(provider.resource, &client, &client)
}

async fn try_path(State(provider): State<IdentityProvider>, Path(path): Path<String>) -> String {
    let client = TestClient::new();
    provider.request(&path, &client, &client)
}

/// Returns the request of a thief, who has the token and a different key.
async fn try_stolen(State(provider): State<IdentityProvider>) -> String {
    provider.request(provider.resource, &TestClient::new(), &TestClient::new())
}
