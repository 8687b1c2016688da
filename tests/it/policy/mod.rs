//! Which rule applies to a request: policies, paths, scopes, and nested layers.

mod layering;
mod paths;
mod policies;
mod scopes;
