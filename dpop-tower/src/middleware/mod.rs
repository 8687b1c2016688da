//! The tower middleware: [`DpopLayer`] and [`RequireScopeLayer`], their services, futures and bodies.
//!
//! A [`DpopLayer`] verifies a request. A [`RequireScopeLayer`] checks the token that it has verified.

mod body;
mod future;
mod layer;
mod scope;
mod service;
mod token_endpoint;
#[cfg(not(feature = "lifetime"))]
mod unlimited;

pub(crate) use self::service::{original_uri, peer_address};
pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::DpopLayer,
    scope::{RequireScope, RequireScopeLayer},
    service::Dpop,
    token_endpoint::{TokenEndpoint, TokenEndpointLayer},
};
