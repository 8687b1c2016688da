//! The client side: keys, and proofs for the requests that they sign (RFC 9449 section 4).
//!
//! A [`DpopClient`] has one key and makes a new [proof](DpopClient::proof) for each request. The key is a
//! [`ClientKey`] of this process, or another [`ProofSigner`], such as a hardware module or a key service.
//!
//! # Example
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
