//! Streams that end when their token expires or is revoked: event streams, gRPC streams, web sockets.
//!
//! A token is checked when a request arrives. A stream that is open for hours would be served long after
//! the token has expired. With [`end_streams_at_expiry`](crate::DpopLayer::end_streams_at_expiry), the layer
//! ends the stream at the time when a new request with the token would be rejected:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))] {
//! # use axum::Router;
//! # use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer};
//! # let origin = PublicOrigin::new("https://api.example.com")?;
//! # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
//! # let router: Router = Router::new();
//! let app = router.layer(DpopLayer::new(config).end_streams_at_expiry());
//! # let _: Router = app;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! | open stream | end |
//! |---|---|
//! | a gRPC response | trailers with `UNAUTHENTICATED` |
//! | a gRPC request, before there is a response | a response with `UNAUTHENTICATED` |
//! | another request of unknown length | its body ends with the error [`TokenExpired`], which the handler gets |
//! | server-sent events (`text/event-stream`) | the body ends normally; the browser reconnects and is challenged |
//! | another response of unknown length | the error [`TokenExpired`], which closes the connection (HTTP/1.1) or resets the stream (HTTP/2), so that the body does not look complete |
//! | a response of known length | none, since it is not a stream |
//! | a web socket | its handler has to end it; see [`TokenLifetime`] |
//!
//! A response always gets to send its first chunk, however late that is.
//!
//! # Request bodies
//!
//! The layer keeps the type of the request's body. It can wrap a body if its type is axum's `Body` (feature
//! `axum`) or tonic's `Body` (feature `tonic`), since these can hold any body. Routers of axum and servers of
//! tonic use these types.
//!
//! The layer cannot end a body of another type, such as hyper's `Incoming` or the body of an outer
//! `RequestBodyLimitLayer` of tower-http. If the token expires before there is a response, it rejects the
//! request as a whole, with 401 or with `UNAUTHENTICATED` for gRPC. It does so if the length of the request
//! is unknown: with `Transfer-Encoding` in HTTP/1.1, and without `Content-Length` in HTTP/2 if the method
//! usually has a body. Such bodies have two limits:
//!
//! - The layer cannot tell whether a handler is still reading the body. It also rejects requests whose
//!   handler has read everything and is slow. These include unary gRPC calls, whose length is unknown.
//! - Once there is a response, the layer only ends the response. A task that a handler has given the
//!   request's body to can go on reading.
//!
//! Both limits disappear with tower-http's `MapRequestBodyLayer::new(axum::body::Body::new)` outside this
//! layer, which turns any body into axum's.
//!
//! gRPC-web has its trailers in the body. Put a layer that translates it, such as tonic's, outside this one.
//! Otherwise its streams end as other responses of unknown length do.
//!
//! # Revoked tokens
//!
//! If the configuration has a [revocation list](crate::DpopConfigBuilder::revocation_list), a stream also ends when its
//! token is revoked, in the same way: at most five seconds later, plus the time that the list takes to answer. A list
//! that has a [version](crate::revocation::RevocationList::version) is asked when that has changed. A list that gives no
//! answer six times in a row, which takes about half a minute, ends the stream, since nobody knows whether the token is
//! still good.
//!
//! Status lists and the issuer of opaque tokens are not asked again.
//!
//! # Exceptions
//!
//! The layer ends streams if the policy is [strict](crate::Policy::strict) or
//! [optional](crate::Policy::optional). A policy with
//! [`danger_let_streams_outlive_tokens`](crate::Policy::danger_let_streams_outlive_tokens) exempts its
//! routes. If two layers are nested, streams end if either of them ends streams.
//!
//! # Runtime
//!
//! The layer needs a tokio runtime with its timer enabled. The clock of the configuration decides when a
//! token expires. The layer reads it for every chunk, and at least every 30 seconds. A stream ends at most
//! 100 milliseconds late, or 30 seconds late if somebody sets the clock.

mod request;
mod revoked;
mod token;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod upload;
mod watch;

pub(crate) use self::{request::Expiry, watch::Watch};
pub use self::{
    token::{Ended, TokenLifetime},
    watch::TokenExpired,
};
