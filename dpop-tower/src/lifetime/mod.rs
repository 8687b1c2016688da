//! Ending what outlives its token: event streams, gRPC streams, web sockets.
//!
//! A token is looked at when a request comes. A stream that is open for hours would go on being served
//! long after it has expired, unless something ends it. A layer that is told to does, when a new request
//! with the token would be rejected:
//!
//! ```
//! # #[cfg(all(feature = "axum", feature = "test-util"))] {
//! # use axum::Router;
//! # use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, test_util::TestIssuer};
//! # let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens()).build()?;
//! # let router: Router = Router::new();
//! let app = router.layer(DpopLayer::new(config).end_streams_at_expiry());
//! # let _: Router = app;
//! # }
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```
//!
//! | what is open | how it ends |
//! |---|---|
//! | a gRPC response | with trailers that say `UNAUTHENTICATED` |
//! | a gRPC request, before there is a response | with a response of that status |
//! | another request of unknown length | its body ends with [`TokenExpired`], and the handler goes on from there |
//! | server-sent events (`text/event-stream`) | in an orderly way: the browser connects again, and is asked for a token |
//! | another body of unknown length | with [`TokenExpired`], which breaks the connection (HTTP/1.1) or resets the stream (HTTP/2), since it must not look complete |
//! | a body whose length was announced | not at all: it is one answer, and not a stream |
//! | a web socket | when its handler says so; see [`TokenLifetime`] |
//!
//! An answer is never cut off before its first piece, however long it took.
//!
//! # Request bodies
//!
//! The layer leaves the type of the request's body as it is. It puts another body of the same type in its
//! place if that type is axum's `Body` (feature `axum`) or tonic's `Body` (feature `tonic`), which can be
//! made of any body: that covers routers and servers of both.
//!
//! A body of another type cannot be ended alone: hyper's `Incoming` is one, and what a layer outside of this
//! one has made of a body, such as tower-http's `RequestBodyLimitLayer`. If the token expires while there is
//! no response, the request as a whole is ended: with 401, or with `UNAUTHENTICATED` for gRPC. That goes for
//! requests of unknown length, which have `Transfer-Encoding` in HTTP/1.1, and in HTTP/2 no `Content-Length`
//! and a method that usually has a body. What is left:
//!
//! - With such a body, the layer cannot tell a handler that still reads from one that has read everything
//!   and takes its time. Both are ended; a unary call of gRPC, whose length is unknown, too.
//! - Once there is a response, only its end is watched. What a handler has given the body of the request
//!   to, a task of its own for instance, may go on reading.
//!
//! tower-http's `MapRequestBodyLayer::new(axum::body::Body::new)` outside of this layer makes axum's body of
//! any, and nothing is left.
//!
//! gRPC-web has its trailers in the body. A layer that translates it, such as tonic's, goes outside of
//! this one; otherwise its streams end as bodies of unknown length do.
//!
//! # Exceptions
//!
//! Streams are ended where the policy is [strict](crate::Policy::strict) or
//! [optional](crate::Policy::optional), unless it says
//! [`danger_let_streams_outlive_tokens`](crate::Policy::danger_let_streams_outlive_tokens). Of two layers
//! around one handler, either one is enough to have them ended.
//!
//! # Runtime
//!
//! Waiting needs a tokio runtime with its timer enabled. The layer's clock decides; it is looked at for
//! every piece, and at least every 30 seconds in between. A stream ends at most a tenth of a second
//! late, or those 30 seconds if somebody sets the clock.

mod request;
mod token;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod upload;
mod watch;

pub(crate) use self::{request::Expiry, watch::Watch};
pub use self::{
    token::{Ended, TokenLifetime},
    watch::TokenExpired,
};
