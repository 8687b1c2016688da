//! The strict parsers that proofs and access tokens share: algorithms, base64url, JSON, the compact JWS
//! and its header, and the compact JWE.

pub(crate) mod algorithm;
pub(crate) mod base64url;
pub(crate) mod compact;
#[cfg(feature = "josekit")]
pub(crate) mod encrypted;
pub(crate) mod header;
pub(crate) mod json;
pub(crate) mod media_type;
