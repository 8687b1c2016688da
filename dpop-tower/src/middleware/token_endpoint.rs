use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    ResponseBody, ResponseFuture,
    service::{mark_sensitive, peer_address, request_head, take_ready},
};
use crate::{config::DpopConfig, policy::LayerPolicy, verifier::Verifier};

/// Verifies the proofs of requests to the token endpoint of an authorization server.
///
/// It puts a [`TokenRequest`](crate::token_endpoint::TokenRequest) into the extensions of the request, rejects invalid proofs with the
/// [error response](crate::token_endpoint::TokenRequestRejection) of RFC 6749, and adds a `DPoP-Nonce` to responses when the client's
/// nonce is about to retire. Put it around the token endpoint and the endpoint for pushed authorization requests only;
/// see [`token_endpoint`](crate::token_endpoint) for an example.
///
/// Layers of one configuration share its replay store.
#[derive(Clone, Debug)]
pub struct TokenEndpointLayer {
    verifier: Verifier,
}

impl TokenEndpointLayer {
    /// Returns a layer with this configuration and its policy.
    ///
    /// It is that of [`DpopConfig::authorization_server`], or that of a server that also has protected resources.
    pub fn new(config: impl Into<DpopConfig>) -> Self {
        Self {
            verifier: Verifier::new(config),
        }
    }

    /// Sets the policy of this layer, which decides whether requests need a proof; see
    /// [policies](crate::token_endpoint#policies).
    ///
    /// Defaults to the policy of the configuration.
    #[must_use]
    pub fn with_policy(mut self, policy: impl LayerPolicy) -> Self {
        self.verifier = self.verifier.with_policy(policy);
        self
    }

    /// Returns a verifier with the configuration and the policy of this layer.
    pub fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }
}

impl<S> Layer<S> for TokenEndpointLayer {
    type Service = TokenEndpoint<S>;

    fn layer(&self, inner: S) -> TokenEndpoint<S> {
        TokenEndpoint {
            inner,
            verifier: self.verifier.clone(),
        }
    }
}

/// The service of a [`TokenEndpointLayer`].
///
/// The body of its responses is a [`ResponseBody`]. The values of `Authorization` and `DPoP` are marked as
/// [sensitive](http::HeaderValue::set_sensitive).
#[derive(Clone, Debug)]
pub struct TokenEndpoint<S> {
    inner: S,
    verifier: Verifier,
}

impl<S> TokenEndpoint<S> {
    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the inner service, without the checks of the layer.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for TokenEndpoint<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    ReqBody: 'static,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let inner = take_ready(&mut self.inner);
        let peer = peer_address(request.extensions_mut());
        let verified = (self.verifier).verify_token_request(request_head(&request, peer));
        mark_sensitive(request.headers_mut());
        match verified {
            Ok(token_request) => {
                let new_nonce = token_request.new_nonce();
                request.extensions_mut().insert(token_request);
                ResponseFuture::passed_with_nonce(inner, request, new_nonce)
            }
            Err(rejection) => ResponseFuture::answered(rejection.into_response()),
        }
    }
}
