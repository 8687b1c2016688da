//! The client side: keys, proofs, and a layer that sends both with the requests of an HTTP client (RFC 9449
//! sections 4, 7 and 8).
//!
//! A [`DpopClient`] has one key and makes a new [proof](DpopClient::proof) for each request. The key is a
//! [`ClientKey`] of this process, or another [`ProofSigner`], such as a hardware module or a key service.
//!
//! ```
//! # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{client::{ClientKey, DpopClient}, crypto::Algorithm};
//! use http::{Method, Uri};
//!
//! let client = DpopClient::new(ClientKey::generate(Algorithm::Es256)?)?;
//! let uri = Uri::from_static("https://api.example.com/orders?page=2");
//! let proof = client.proof(&Method::GET, &uri)?.access_token("an access token").sign().await?;
//! assert_eq!(proof.split('.').count(), 3);
//! # Ok(()) }
//! # #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))] fn main() {}
//! ```
//!
//! # Calling a protected API
//!
//! A [`DpopClientLayer`] makes an HTTP client send the token and a proof with every request. It works with every
//! tower service of `http` requests, such as the clients of hyper-util and the channels of tonic.
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), tower::BoxError> {
//! use dpop_tower::{
//!     client::{AccessToken, ApiOrigin, ClientKey, DpopClient, DpopClientLayer},
//!     crypto::Algorithm,
//! };
//! use http::Request;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! let key = ClientKey::generate(Algorithm::Es256)?;
//! # let issuer = dpop_tower::test_util::TestIssuer::new();
//! # let token = issuer.token().bound_to_thumbprint(&key.thumbprint()).mint();
//! # let origin = dpop_tower::PublicOrigin::new("https://api.example.com")?;
//! # let config = dpop_tower::DpopConfig::builder(origin, issuer.tokens()).require_nonces().build()?;
//! # let http = ServiceBuilder::new()
//! #     .layer(dpop_tower::DpopLayer::new(config))
//! #     .service_fn(async |_| Ok::<_, std::io::Error>(http::Response::new(())));
//! let origin = ApiOrigin::new("https://api.example.com")?;
//! let layer = DpopClientLayer::new(DpopClient::new(key)?, AccessToken::new(&token)?, origin);
//! // `http` is the client of hyper-util, for example.
//! let mut api = ServiceBuilder::new().layer(layer).service(http);
//!
//! let request = Request::post("https://api.example.com/orders").body(String::from("3 apples"))?;
//! let response = api.ready().await?.call(request).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! What the layer does with a request:
//!
//! 1. A request to an origin other than the [`ApiOrigin`] is not sent. The call fails with a [`ClientError`] of
//!    the kind [`Origin`](ClientErrorKind::Origin). So neither the token nor a proof gets to a server that a
//!    redirect or a link in a response names.
//! 2. It asks the [`TokenSource`] for the token. This is an [`AccessToken`] that never changes, or a source that
//!    renews its tokens.
//! 3. It replaces all values of `Authorization` and `DPoP`. A request that a service passes on carries none of
//!    the credentials of its own caller. The new values are marked as
//!    [sensitive](http::HeaderValue::set_sensitive).
//! 4. It keeps the `DPoP-Nonce` of every response, whatever its status, for the next proof to the same origin
//!    (RFC 9449 section 8.2).
//! 5. If the server requires a nonce (`use_dpop_nonce`), it sends the request once more with the nonce of this
//!    response. It repeats nothing else.
//!
//! The body is sent as it is read. The first 64 KiB are kept until the response arrives, and sent again if need
//! be. See [`resend_limit`](DpopClientLayer::resend_limit) for what happens to longer ones.
//!
//! # The order of layers
//!
//! A proof is for one attempt, so layers that send a request again belong outside the `DpopClientLayer`: retries,
//! redirects and hedging. Each attempt then gets a new proof. After a time-out or a broken connection, nobody knows
//! whether the server has seen the proof of the first attempt, and a second use would be rejected as a replay
//! (RFC 9449 section 11.1).
//!
//! ```
//! # use dpop_tower::client::{DpopClientLayer, RequestBody};
//! # use http::{Request, Response};
//! # use std::{future::{Ready, ready}, io};
//! # use tower::{Service, ServiceBuilder, retry::{Policy, RetryLayer}};
//! # #[derive(Clone)]
//! # struct Twice;
//! # impl<B: Clone, R, E> Policy<Request<B>, R, E> for Twice {
//! #     type Future = Ready<()>;
//! #     fn retry(&mut self, _: &mut Request<B>, result: &mut Result<R, E>) -> Option<Ready<()>> {
//! #         result.is_err().then(|| ready(()))
//! #     }
//! #     fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
//! #         Some(request.clone())
//! #     }
//! # }
//! # fn client<S: Service<Request<String>>>(service: S) -> S { service }
//! # fn stack<H>(dpop: DpopClientLayer, http: H)
//! # where H: Service<Request<RequestBody<String>>, Response = Response<()>, Error = io::Error> + Clone {
//! # let _ = client(
//! ServiceBuilder::new()
//!     .layer(RetryLayer::new(Twice))
//!     .layer(dpop)
//!     .service(http)
//! # );
//! # }
//! ```
//!
//! The wrong order does not compile, since the [`RequestBody`] of an attempt is not `Clone`:
//!
//! ```compile_fail,E0277
//! # use dpop_tower::client::{DpopClientLayer, RequestBody};
//! # use http::{Request, Response};
//! # use std::{future::{Ready, ready}, io};
//! # use tower::{Service, ServiceBuilder, retry::{Policy, RetryLayer}};
//! # #[derive(Clone)]
//! # struct Twice;
//! # impl<B: Clone, R, E> Policy<Request<B>, R, E> for Twice {
//! #     type Future = Ready<()>;
//! #     fn retry(&mut self, _: &mut Request<B>, result: &mut Result<R, E>) -> Option<Ready<()>> {
//! #         result.is_err().then(|| ready(()))
//! #     }
//! #     fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
//! #         Some(request.clone())
//! #     }
//! # }
//! # fn client<S: Service<Request<String>>>(service: S) -> S { service }
//! # fn stack<H>(dpop: DpopClientLayer, http: H)
//! # where H: Service<Request<RequestBody<String>>, Response = Response<()>, Error = io::Error> + Clone {
//! # let _ = client(
//! ServiceBuilder::new()
//!     .layer(dpop)
//!     .layer(RetryLayer::new(Twice))
//!     .service(http)
//! # );
//! # }
//! ```
//!
//! Two things are beyond the reach of types. A retry policy must not copy the headers of an attempt onto a new
//! body. And an HTTP client that follows redirects by itself has to be told not to: it would send the proof to
//! the next URI, and reqwest removes only `Authorization` when the origin changes. Put
//! tower-http's `FollowRedirect` outside the layer instead.
//!
//! # Security
//!
//! A proof is for one request. Make a new one for every attempt, also when you send the same request again:
//! a server that has seen the first proof rejects it (RFC 9449 section 11.1), and it cannot tell a retry
//! from an attack.

mod body;
mod challenge;
mod error;
mod future;
mod htu;
mod jti;
mod key;
mod layer;
mod nonce;
#[cfg(feature = "client-tokens")]
#[cfg_attr(docsrs, doc(cfg(feature = "client-tokens")))]
pub mod oauth;
mod origin;
mod proof;
mod service;
mod signer;
mod token;

pub use self::{
    body::RequestBody,
    error::{ClientError, ClientErrorKind},
    future::ResponseFuture,
    key::{ClientKey, ExportedKey},
    layer::DpopClientLayer,
    origin::ApiOrigin,
    proof::{DpopClient, ProofBuilder},
    service::DpopClientService,
    signer::{ProofSigner, SignerError},
    token::{AccessToken, TokenSource},
};
