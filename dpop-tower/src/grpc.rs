//! For tonic: the layer on single services, and the token of a request.
//!
//! The layer goes around a whole server (`Server::builder().layer(…)`), with a
//! [`PolicyTable`](crate::PolicyTable) where health checks or reflection are to stay open, or around one
//! service, as here. A proof is for `POST` and the configured origin followed by the path of the method,
//! `/pkg.Service/Method`. It is checked when a call begins; a stream is one call.
//!
//! ```
//! # use dpop_tower::DpopLayer;
//! # fn example<S>(layer: &DpopLayer, orders: S) -> impl tonic::server::NamedService
//! # where S: tonic::server::NamedService {
//! use tower_layer::Layer as _;
//!
//! // Server::builder().add_service(
//! layer.layer(orders)
//! // )
//! # }
//! ```
//!
//! In a method, [`RequestExt`] gives the token, whose claims can be read into a type of your own:
//!
//! ```
//! use dpop_tower::grpc::RequestExt as _;
//! use tonic::{Request, Response, Status};
//!
//! #[derive(serde::Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! async fn whoami(request: Request<()>) -> Result<Response<String>, Status> {
//!     let token = request.bound_token()?.typed::<Claims>()?;
//!     Ok(Response::new(token.claims().sub.clone()))
//! }
//! ```
//!
//! An interceptor of tonic's cannot do what the layer does: it sees neither method nor path. Inside the
//! layer it sees the token: [`RequestExt`] is for its requests as well.
//!
//! With the server of tonic, a [`ForwardedTarget`](crate::target::ForwardedTarget) knows the address of the
//! peer.

use http::{HeaderValue, Method};
use tonic::{
    Code, Request, Status,
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
};

use crate::{
    middleware::{Dpop, RequireScope},
    rejection::{Rejection, grpc::DPOP_REASON},
    token::{BearerToken, BoundToken, ClaimsMismatch, TokenErrorKind},
    verifier::{Admitted, RequestShape},
};

/// The routes of the service behind the layer are those of the service.
impl<S: NamedService> NamedService for Dpop<S> {
    const NAME: &'static str = S::NAME;
}

/// The routes of the service behind the layer are those of the service.
impl<S: NamedService> NamedService for RequireScope<S> {
    const NAME: &'static str = S::NAME;
}

/// For the `?` operator: `UNAUTHENTICATED`. The message says nothing of the claims, which the error itself
/// may quote.
impl From<ClaimsMismatch> for Status {
    fn from(mismatch: ClaimsMismatch) -> Self {
        let error = mismatch.explained("the type that a method asks for");
        tracing::info!(
            target: "dpop_tower::rejection",
            reason = error.kind().as_str(),
            detail = %error,
            "rejected request"
        );
        let mut status = Self::unauthenticated(error.kind().description());
        let code = MetadataValue::from_static(error.kind().as_str());
        status.metadata_mut().insert(DPOP_REASON, code);
        status
    }
}

/// The tokens that a layer has verified, for methods of a service.
pub trait RequestExt: sealed::Sealed {
    /// The token, which is bound to the client's key.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED`, with the challenge in its metadata, if the request was admitted without one,
    /// which only policies do that say so; `INTERNAL` if no layer is in front of the service.
    fn bound_token(&self) -> Result<&BoundToken, Status>;

    /// The token, if it is bound to nothing: what an [optional](crate::Policy::optional) layer admits
    /// too.
    fn bearer_token(&self) -> Option<&BearerToken>;

    /// How long the token is good for; `None` if no layer is in front of the service.
    ///
    /// Streams end by themselves where the layer
    /// [ends them](crate::DpopLayer::end_streams_at_expiry); this is for what a method has started beside.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    fn token_lifetime(&self) -> Option<crate::lifetime::TokenLifetime>;
}

impl<T> RequestExt for Request<T> {
    fn bound_token(&self) -> Result<&BoundToken, Status> {
        let extensions = self.extensions();
        if let Some(token) = extensions.get() {
            return Ok(token);
        }
        if let Some(admitted) = extensions.get::<Admitted>() {
            // gRPC has no other method.
            let shape = RequestShape::of(&Method::POST, self.metadata().as_ref());
            let (rejection, _) = admitted.reject(TokenErrorKind::SchemeNotAccepted, true, shape);
            return Err(status(&rejection));
        }
        tracing::error!("no DpopLayer in front of a service that asks for a token");
        // That the layer is missing is none of the client's business.
        Err(Status::internal("internal error"))
    }

    fn bearer_token(&self) -> Option<&BearerToken> {
        self.extensions().get()
    }

    #[cfg(feature = "lifetime")]
    fn token_lifetime(&self) -> Option<crate::lifetime::TokenLifetime> {
        crate::lifetime::TokenLifetime::of(self.extensions())
    }
}

/// Returns the status of a rejection, with its code, the challenge and the nonce in its metadata.
fn status(rejection: &Rejection) -> Status {
    let code = Code::from(i32::from(rejection.kind().grpc_status()));
    let mut headers = rejection.headers();
    headers.insert(DPOP_REASON, HeaderValue::from_static(rejection.reason()));
    let metadata = MetadataMap::from_headers(headers);
    Status::with_metadata(code, rejection.description(), metadata)
}

mod sealed {
    pub trait Sealed {}

    impl<T> Sealed for tonic::Request<T> {}
}
