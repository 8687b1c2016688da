//! The tower middleware: [`DpopLayer`] and the service it makes.

mod body;
mod future;
mod layer;
mod scope;
mod service;
#[cfg(not(feature = "lifetime"))]
mod unlimited;

pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::DpopLayer,
    scope::{RequireScope, RequireScopeLayer},
    service::Dpop,
};
