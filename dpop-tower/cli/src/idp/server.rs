//! The endpoints of the issuer.

use std::{future::Future, io};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use dpop_tower::{cors::cors_layer, crypto::Algorithm};
use http::{HeaderValue, StatusCode, Uri, header};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    authorize, device, introspect,
    issuer::{Idp, Inner},
    settings::Grant,
    token::token,
};

/// No request is as large as this.
const MAX_BODY_LEN: usize = 64 * 1024;

impl Idp {
    /// Returns the endpoints of the issuer.
    ///
    /// A request for another host than that of the issuer, or than this machine, is rejected. Otherwise a web page
    /// whose name is changed to the address of this machine could use the issuer.
    pub fn router(&self) -> Router {
        self.endpoints()
            .layer(from_fn_with_state(self.clone(), check_host))
    }

    /// Returns the endpoints of the issuer, for requests to any host.
    pub fn danger_router_for_any_host(&self) -> Router {
        self.endpoints()
    }

    fn endpoints(&self) -> Router {
        let settings = &self.0.settings;
        let origins = settings.cors_origins.iter();
        let origins: Vec<_> = origins
            .filter_map(|origin| HeaderValue::from_str(origin).ok())
            .collect();
        let with_proof = Router::new()
            .route("/token", post(token))
            .route("/par", post(authorize::push))
            .route_layer(self.0.layer.clone());
        Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/jwks", get(jwks))
            .merge(with_proof)
            .route("/introspect", post(introspect::introspect))
            .route("/revoke", post(introspect::revoke))
            .route("/device_authorization", post(device::authorize))
            .layer(cors_layer(origins))
            // Web pages send people here. They do not call these.
            .route("/authorize", get(authorize::show).post(authorize::sign_in))
            .route("/device", get(device::show).post(device::decide))
            .layer(DefaultBodyLimit::max(MAX_BODY_LEN))
            .with_state(self.clone())
    }
}

/// Serves the issuer until `signal` completes.
///
/// # Errors
///
/// Returns an error if the socket cannot be used.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    signal: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(signal)
        .await
}

async fn check_host(State(idp): State<Idp>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let is_known = |host: &str| {
        let own: Option<Uri> = idp.0.url.parse().ok();
        let own = own.as_ref().and_then(Uri::authority);
        let name: Option<http::uri::Authority> = host.parse().ok();
        let name = name.as_ref().map(http::uri::Authority::host);
        own.is_some_and(|own| own.as_str().eq_ignore_ascii_case(host))
            || name.is_some_and(|name| matches!(name, "127.0.0.1" | "[::1]" | "localhost"))
    };
    match authority.or(host).is_some_and(is_known) {
        true => next.run(request).await,
        false => StatusCode::MISDIRECTED_REQUEST.into_response(),
    }
}

async fn jwks(State(idp): State<Idp>) -> Json<Value> {
    Json(idp.0.jwks())
}

/// The metadata of RFC 8414 and OpenID Connect Discovery.
async fn metadata(State(idp): State<Idp>) -> Json<Value> {
    let Inner { url, settings, .. } = &*idp.0;
    let endpoint = |path: &str| format!("{url}{path}");
    let methods = ["client_secret_basic", "client_secret_post", "none"];
    Json(json!({
        "issuer": url,
        "authorization_endpoint": endpoint("/authorize"),
        "token_endpoint": endpoint("/token"),
        "jwks_uri": endpoint("/jwks"),
        "device_authorization_endpoint": endpoint("/device_authorization"),
        "introspection_endpoint": endpoint("/introspect"),
        "pushed_authorization_request_endpoint": endpoint("/par"),
        "revocation_endpoint": endpoint("/revoke"),
        "scopes_supported": settings.scopes,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": Grant::ALL.map(Grant::as_str),
        "token_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": &methods[..2],
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": Algorithm::DEFAULT.map(Algorithm::as_str),
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [settings.signing_algorithm],
    }))
}
