//! An issuer and a client for the tests of services that this crate protects.
//!
//! [`TestIssuer`] mints access tokens and knows the keys they are verified with; [`TestClient`] has
//! a key and makes proofs. By default they make what is accepted. Any single part of a
//! [token](TokenBuilder) or [proof](ProofBuilder) can be changed, to see it rejected.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, test_util::{TestClient, TestIssuer}};
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let (issuer, client) = (TestIssuer::new(), TestClient::new());
//! let origin = PublicOrigin::new("https://api.example.com")?;
//! let service = ServiceBuilder::new()
//!     .layer(DpopLayer::new(DpopConfig::builder(origin, issuer.tokens()).build()?))
//!     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
//!
//! let token = issuer.token().bound_to(&client).mint();
//! let good = client.get("https://api.example.com/orders", &token);
//! assert_eq!(service.clone().oneshot(good).await?.status(), 200);
//!
//! let stolen = TestClient::new().get("https://api.example.com/orders", &token);
//! assert_eq!(service.oneshot(stolen).await?.status(), 401);
//! # Ok(()) }
//! ```
//!
//! # Time
//!
//! Two clocks count. That of dates (`iat`, `exp`) is a [`ManualClock`], which the issuer, the client and the
//! configuration have to share. That of timers is tokio's, which stands still after `tokio::time::pause`
//! (feature `test-util` of tokio): streams end and fetches are given up by it. Move both by the same, the
//! one of dates first:
//!
//! ```
//! # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use dpop_tower::{
//!     DpopConfig, DpopLayer, PublicOrigin,
//!     clock::ManualClock,
//!     test_util::{TestClient, TestIssuer},
//! };
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! async fn pass(clock: &ManualClock, time: Duration) {
//!     clock.advance(time);
//!     tokio::time::advance(time).await;
//! }
//!
//! // `#[tokio::test(start_paused = true)]` does it in a test.
//! tokio::time::pause();
//! let clock = ManualClock::starting_now();
//! let issuer = TestIssuer::new().clock(clock.clone());
//! let client = TestClient::new().clock(clock.clone());
//! let origin = PublicOrigin::new("https://api.example.com")?;
//! let config = DpopConfig::builder(origin, issuer.tokens()).clock(clock.clone()).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(DpopLayer::new(config))
//!     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
//!
//! let minute = Duration::from_secs(60);
//! let token = issuer.token().bound_to(&client).expires_in(minute).mint();
//! let get = || client.get("https://api.example.com/orders", &token);
//! assert_eq!(service.clone().oneshot(get()).await?.status(), 200);
//!
//! pass(&clock, minute).await;
//! assert_eq!(service.oneshot(get()).await?.status(), 401);
//! # Ok(()) }
//! # #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))] fn main() {}
//! ```
//!
//! Time that passes is [`ManualClock::advance`]; a clock that somebody sets is [`ManualClock::set`]. A paused
//! runtime moves its own clock whenever it has nothing else to do, so a test that waits for a timer moves
//! the `ManualClock` before it waits.
//!
//! [`ManualClock`]: crate::clock::ManualClock
//! [`ManualClock::advance`]: crate::clock::ManualClock::advance
//! [`ManualClock::set`]: crate::clock::ManualClock::set
//!
//! Never use this in production: nothing here keeps a secret.

mod client;
mod issuer;
mod jws;
mod key;

pub use self::{
    client::{ProofBuilder, TestClient},
    issuer::{TestIssuer, TokenBuilder},
    key::KeyKind,
};
