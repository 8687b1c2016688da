//! The server: tools behind the layer, and the metadata in front of it.

use std::sync::Arc;

use axum::Router;
use dpop_tower::{
    ConfigError, DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    metadata::{self, ResourceMetadata},
};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};

use crate::{SCOPE, tools::Tools};

pub(crate) fn router(origin: &str, resource: &str, issuer: &str) -> Result<Router, ConfigError> {
    let config = DpopConfig::mcp(
        PublicOrigin::new(origin)?,
        // A real issuer has TLS.
        Issuer::discover(issuer)
            .audience(resource)
            .danger_allow_plain_http(),
    )
    .policy(Policy::strict().require_scope(SCOPE))
    .resource_metadata(
        ResourceMetadata::new()
            .resource(resource)
            .resource_name("Tools of the example")
            // As above: leave it out where the server is called by TLS.
            .danger_allow_plain_http(),
    )
    .build()?;
    let layer = DpopLayer::new(config);

    // Without sessions, nobody can use the session of somebody else.
    let http = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let sessions = Arc::new(NeverSessionManager::default());
    let tools = StreamableHttpService::new(|| Ok(Tools), sessions, http);
    Ok(Router::new()
        .route_service("/mcp", tools)
        .layer(layer.clone())
        // Behind `layer`, so clients without a token can read it.
        .merge(metadata::router(&layer)?))
}
