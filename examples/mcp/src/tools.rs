//! The tools. They learn from the layer who calls.

use dpop_tower::BoundToken;
use http::request::Parts;
use rmcp::{
    handler::server::{common::Extension, wrapper::Parameters},
    schemars, tool, tool_router,
};
use serde::Deserialize;

pub(crate) struct Tools;

#[derive(Deserialize, schemars::JsonSchema)]
pub(crate) struct Terms {
    left: i64,
    right: i64,
}

#[tool_router(server_handler)]
impl Tools {
    #[tool(description = "Says who calls, and with which key")]
    fn whoami(&self, Extension(request): Extension<Parts>) -> String {
        // The request has passed the layer, so it has a token.
        let Some(token) = request.extensions.get::<BoundToken>() else {
            return "nobody".to_owned();
        };
        let subject = token.claims().subject().unwrap_or("a service");
        format!("{subject} with key {}", token.thumbprint())
    }

    #[tool(description = "Adds two numbers")]
    fn add(&self, Parameters(Terms { left, right }): Parameters<Terms>) -> String {
        left.saturating_add(right).to_string()
    }
}
