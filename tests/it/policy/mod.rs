//! Which rule a request meets: policies, paths, scopes, and layers inside layers.

mod layering;
mod paths;
mod policies;
mod scopes;
