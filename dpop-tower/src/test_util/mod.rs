//! An issuer and a client for tests of protected services, and a [test kit for replay stores](replay).
//!
//! A [`TestIssuer`] mints access tokens and publishes its keys. A [`TestClient`] has a key and makes proofs.
//! By default, their tokens and proofs are valid. For negative tests, you can change any part of a
//! [token](TokenBuilder) or a [proof](ProofBuilder).
//!
//! # Security
//!
//! Never use this module in production, since nothing in it keeps a secret.
//!
//! # A first test
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
//! # Negative tests
//!
//! A table of wrong proofs shows that the service is protected. Compare the
//! [reason](crate::rejection::Rejection::reason), not only the status. Otherwise a test can pass because of
//! another mistake:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin, rejection::Rejection};
//! use dpop_tower::test_util::{TestClient, TestIssuer};
//! use http::{Method, Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! let (issuer, client, thief) = (TestIssuer::new(), TestClient::new(), TestClient::new());
//! let origin = PublicOrigin::new("https://api.example.com")?;
//! let service = ServiceBuilder::new()
//!     .layer(DpopLayer::new(DpopConfig::builder(origin, issuer.tokens()).build()?))
//!     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
//!
//! let uri = "https://api.example.com/orders";
//! let token = issuer.token().bound_to(&client).mint();
//! let good = || client.proof("GET", uri).access_token(&token);
//!
//! for (proof, reason) in [
//!     (good().claim("htm", "POST"), "proof_htm_mismatch"),
//!     (good().claim("htu", "https://api.example.org/orders"), "proof_htu_mismatch"),
//!     (good().claim("iat", 0), "proof_too_old"),
//!     (good().without_claim("jti"), "proof_missing_claim"),
//!     (good().header("typ", "JWT"), "proof_typ_invalid"),
//!     (good().access_token("another token"), "proof_ath_mismatch"),
//!     (good().corrupt_signature(), "proof_signature_invalid"),
//!     (good().signed_by(&thief), "proof_signature_invalid"),
//!     (thief.proof("GET", uri).access_token(&token), "token_binding_mismatch"),
//! ] {
//!     let request = client.request_with_proof(Method::GET, uri, &token, &proof.sign());
//!     let response = service.clone().oneshot(request).await?;
//!     let rejection: &Rejection = response.extensions().get().expect("rejected");
//!     assert_eq!(rejection.reason(), reason);
//! }
//! # Ok(()) }
//! ```
//!
//! # Time
//!
//! A test has two clocks. Dates (`iat`, `exp`) come from a [`ManualClock`], which the issuer, the client and
//! the configuration have to share. Timers come from tokio, whose time stands still after
//! `tokio::time::pause` (feature `test-util` of tokio). They end streams and fetches. Advance both by the
//! same duration, the `ManualClock` first:
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
//! [`ManualClock::advance`] lets time pass, and [`ManualClock::set`] sets the clock. A paused runtime
//! advances
//! its own clock whenever it is idle, so advance the `ManualClock` before your test waits for a timer.
//!
//! [`ManualClock`]: crate::clock::ManualClock
//! [`ManualClock::advance`]: crate::clock::ManualClock::advance
//! [`ManualClock::set`]: crate::clock::ManualClock::set

mod client;
mod issuer;
mod jws;
mod key;
pub mod replay;

pub use self::{
    client::{ProofBuilder, TestClient},
    issuer::{TestIssuer, TokenBuilder},
    key::KeyKind,
};
