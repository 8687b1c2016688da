//! The strict parsers that proofs and access tokens share: algorithms, base64url, JSON, the compact JWS
//! and its header.

pub(crate) mod algorithm;
pub(crate) mod base64url;
pub(crate) mod compact;
pub(crate) mod header;
pub(crate) mod json;
