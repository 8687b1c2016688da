//! Support for tonic: the layer on single services, and the token of a request.
//!
//! # The layer
//!
//! A [`DpopLayer`](crate::DpopLayer) can protect a whole server, with `Server::builder().layer(…)`. Use a
//! [`PolicyTable`](crate::PolicyTable) to keep health checks or reflection open:
//!
//! ```
//! use dpop_tower::{Policy, PolicyTable};
//!
//! let table = PolicyTable::builder()
//!     .route("/grpc.health.v1.Health/{*method}", Policy::off())
//!     .route("/shop.Orders/Cancel", Policy::strict().require_scope("orders:write"))
//!     .route("/shop.Orders/{*method}", Policy::strict().require_scope("orders:read"))
//!     .otherwise(Policy::deny())
//!     .build()?;
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! A proof is made for `POST` and the configured origin followed by the path of the method, such as
//! `https://api.example.com/shop.Orders/Cancel`. It is checked when a call begins. A stream is one call.
//!
//! The layer can also protect a single service:
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
//! # The token
//!
//! In a method, [`RequestExt`] returns the token. You can read its claims into a type of your own:
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
//! [`RequestExt`] also works in an interceptor of tonic that is inside the layer. An interceptor cannot
//! replace the layer, since it sees neither the method nor the path:
//!
//! ```
//! use dpop_tower::grpc::RequestExt as _;
//! use tonic::{Request, Status};
//!
//! fn only_alice(request: Request<()>) -> Result<Request<()>, Status> {
//!     match request.bound_token()?.claims().subject() {
//!         Some("alice") => Ok(request),
//!         _ => Err(Status::permission_denied("only alice may do this")),
//!     }
//! }
//!
//! // Without a layer, there is no token.
//! let status = only_alice(Request::new(())).unwrap_err();
//! assert_eq!(status.code(), tonic::Code::Internal);
//! ```
//!
//! # Rejections
//!
//! A rejected call gets a response without a body. Its `grpc-status` is `UNAUTHENTICATED`,
//! `PERMISSION_DENIED` or `UNAVAILABLE`. The metadata has the challenge in `www-authenticate`, a nonce in
//! `dpop-nonce`, and the [reason](crate::rejection::Rejection::reason) in `dpop-reason`.
//!
//! # The peer
//!
//! With the server of tonic, a [`ForwardedTarget`](crate::target::ForwardedTarget) knows the address of the
//! peer. You need not configure it.

use http::{HeaderValue, Method};
use tonic::{
    Code, Request, Status,
    metadata::{MetadataMap, MetadataValue},
    server::NamedService,
};

use crate::{
    middleware::{Dpop, RequireScope},
    rejection::{Rejection, grpc::DPOP_REASON},
    token::{BearerToken, BoundToken, CertificateBoundToken, ClaimsMismatch, TokenErrorKind},
    verifier::{Admitted, RequestShape},
};

/// Uses the name of the inner service, so that its routes stay the same.
impl<S: NamedService> NamedService for Dpop<S> {
    const NAME: &'static str = S::NAME;
}

/// Uses the name of the inner service, so that its routes stay the same.
impl<S: NamedService> NamedService for RequireScope<S> {
    const NAME: &'static str = S::NAME;
}

/// Converts the error into `UNAUTHENTICATED`, for the `?` operator.
///
/// The message does not contain the claims. The error itself may quote them, and is logged.
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

/// Returns the token that a layer has verified, in the methods of a service.
///
/// ```
/// use dpop_tower::grpc::RequestExt as _;
/// use tonic::{Request, Response, Status};
///
/// // Behind a layer with `Policy::optional()`.
/// async fn whoami(request: Request<()>) -> Result<Response<String>, Status> {
///     let claims = match request.bearer_token() {
///         Some(unbound) => unbound.claims(),
///         None => request.bound_token()?.claims(),
///     };
///     Ok(Response::new(claims.subject().unwrap_or("a service").to_owned()))
/// }
/// ```
pub trait RequestExt: sealed::Sealed {
    /// Returns the token, which is bound to the client's key.
    ///
    /// # Errors
    ///
    /// - `UNAUTHENTICATED`, with the challenge in its metadata, if the policy of the layer admitted the
    ///   request without a bound token.
    /// - `INTERNAL` if there is no layer in front of the service.
    fn bound_token(&self) -> Result<&BoundToken, Status>;

    /// Returns the token if it is not bound to a key.
    ///
    /// Only an [optional](crate::Policy::optional) layer admits such a token.
    fn bearer_token(&self) -> Option<&BearerToken>;

    /// Returns the token if it is bound to the client's certificate and to no key.
    ///
    /// Only a layer that [accepts such tokens](crate::Policy::accept_certificate_bound) admits it.
    fn certificate_bound_token(&self) -> Option<&CertificateBoundToken>;

    /// Returns the remaining time of the token, and `None` if there is no layer in front of the service.
    ///
    /// The layer [ends the streams](crate::DpopLayer::end_streams_at_expiry) of a call itself. Use this
    /// method for a task that you start beside the call:
    ///
    /// ```
    /// use dpop_tower::grpc::RequestExt as _;
    /// use tonic::{Request, Status};
    ///
    /// # #[allow(dead_code)]
    /// async fn watch(request: Request<()>) -> Result<(), Status> {
    ///     let lifetime = request.token_lifetime().ok_or_else(|| Status::internal("no layer"))?;
    ///     tokio::spawn(async move {
    ///         tokio::select! {
    ///             () = lifetime.ended() => println!("the token has expired"),
    ///             () = work() => {}
    ///         }
    ///     });
    ///     Ok(())
    /// }
    /// # async fn work() {}
    /// ```
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
        // A client need not know that the layer is missing.
        Err(Status::internal("internal error"))
    }

    fn bearer_token(&self) -> Option<&BearerToken> {
        self.extensions().get()
    }

    fn certificate_bound_token(&self) -> Option<&CertificateBoundToken> {
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
