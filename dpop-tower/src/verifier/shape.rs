use http::{HeaderMap, Method, header};

use super::Admitted;
use crate::{
    credentials::{Presented, RequestErrorKind},
    jwk::Thumbprint,
    proof::ProofErrorKind,
    rejection::{Cause, Hint, grpc},
};

/// The properties of a request that a rejection depends on, besides its cause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestShape {
    pub(super) presented: Presented,
    /// Is `true` if a handler needs a bound token, whatever the policy admits.
    pub(super) only_bound: bool,
    /// The content type of the response to a gRPC request, and `None` for any other request.
    pub(super) grpc: Option<&'static str>,
    is_preflight: bool,
    /// Is `true` if an outer layer of another configuration has accepted the proof.
    has_used_proof: bool,
    /// Is `true` if an outer layer has accepted the nonce of the proof.
    has_good_nonce: bool,
    /// The thumbprint that a nonce in the response is bound to.
    pub(super) nonce_key: Option<Thumbprint>,
    /// The number of the resource that is called, of those that have metadata.
    pub(super) resource: usize,
}

impl RequestShape {
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Self {
        Self {
            presented: Presented::in_headers(headers),
            only_bound: false,
            grpc: grpc::response_type(headers),
            is_preflight: method == Method::OPTIONS
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
            has_used_proof: false,
            has_good_nonce: false,
            nonce_key: None,
            resource: 0,
        }
    }

    /// Adds the verdict of the outer layer, if there is one.
    pub(super) fn inside(mut self, outer: Option<&Admitted>) -> Self {
        if let Some(outer) = outer {
            self.has_used_proof = outer.bound_token().is_some();
            self.has_good_nonce = outer.has_good_nonce();
        }
        self
    }

    pub(super) const fn with_nonce_key(mut self, thumbprint: Option<Thumbprint>) -> Self {
        self.nonce_key = thumbprint;
        self
    }

    pub(crate) const fn of_resource(mut self, resource: usize) -> Self {
        self.resource = resource;
        self
    }

    /// Sets the scheme that the client used, as an outer layer has found it, and what a handler needs.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(super) const fn for_handler(mut self, presented: Presented, only_bound: bool) -> Self {
        self.presented = presented;
        self.only_bound = only_bound;
        self
    }

    pub(super) fn hint(&self, cause: &Cause) -> Option<Hint> {
        match cause {
            Cause::Request(RequestErrorKind::CredentialsMissing) if self.is_preflight => {
                Some(Hint::Preflight)
            }
            Cause::Proof(error) => match error.kind() {
                ProofErrorKind::NonceUnknown if self.has_good_nonce => Some(Hint::TwoNonceSources),
                ProofErrorKind::Replayed if self.has_used_proof => Some(Hint::TwoConfigurations),
                _ => None,
            },
            _ => None,
        }
    }
}
