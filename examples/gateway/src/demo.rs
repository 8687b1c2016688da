//! What it takes to see the gateway work: an API, an identity provider, and a story.

pub mod f1_results;
pub mod identity_provider;
pub mod story;
