//! The strict parts of JOSE that proofs and access tokens share: algorithms, base64url, JSON, compact
//! JWS and its header.

pub(crate) mod algorithm;
pub(crate) mod base64url;
pub(crate) mod compact;
pub(crate) mod header;
pub(crate) mod json;
