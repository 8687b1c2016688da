//! An issuer and a client for the tests of services that this crate protects.
//!
//! [`TestIssuer`] mints access tokens and knows the keys they are verified with; [`TestClient`] has
//! a key and makes proofs. By default they make what is accepted. Any single part of a
//! [token](TokenBuilder) or [proof](ProofBuilder) can be changed, to see it rejected. For tests of
//! time, give both and the configuration one [`ManualClock`](crate::clock::ManualClock).
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
