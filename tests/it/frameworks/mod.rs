//! The layer combined with frameworks, servers and other layers.

pub(crate) mod axum_router;
mod cors;
mod grpc;
mod grpc_policies;
mod grpc_streams;
mod grpc_web;
pub(crate) mod layer;
pub(crate) mod orders;
mod proxies;
mod stacks;
