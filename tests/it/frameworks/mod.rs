//! The layer among the frameworks, servers and layers that it is used with.

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
