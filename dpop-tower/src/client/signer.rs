use std::{error::Error, fmt, sync::Arc};

use crate::{crypto::Algorithm, error::BoxError, future::MaybeReady, jwk::PublicJwk};

/// A key that signs proofs: a [`ClientKey`](super::ClientKey) of this process, or one in a hardware module
/// or a key service.
///
/// # Security
///
/// Anyone who can call [`sign`](Self::sign) can use the tokens that are bound to the key.
///
/// # Example
///
/// A key in a service, over a connection of your own:
///
/// ```
/// use dpop_tower::{
///     client::{ProofSigner, SignerError},
///     crypto::Algorithm,
///     future::MaybeReady,
///     jwk::PublicJwk,
/// };
///
/// # #[derive(Clone, Debug)] struct Connection;
/// # impl Connection {
/// #     async fn sign(&self, _: &str, _: &[u8]) -> Result<Vec<u8>, std::io::Error> { Ok(Vec::new()) }
/// # }
/// #[derive(Debug)]
/// struct KeyService {
///     connection: Connection,
///     public: PublicJwk,
/// }
///
/// impl ProofSigner for KeyService {
///     fn algorithm(&self) -> Algorithm {
///         Algorithm::Es256
///     }
///
///     fn public_jwk(&self) -> &PublicJwk {
///         &self.public
///     }
///
///     fn sign(&self, input: &[u8]) -> MaybeReady<Result<Vec<u8>, SignerError>> {
///         let (connection, input) = (self.connection.clone(), input.to_vec());
///         MaybeReady::pending(async move {
///             connection.sign("orders-key", &input).await.map_err(SignerError::new)
///         })
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not sign proofs",
    label = "does not implement `ProofSigner`",
    note = "`dpop_tower::client::ClientKey` does, and a type of your own that implements `ProofSigner`; a \
            value that implements it is given as it is, or in an `Arc`"
)]
pub trait ProofSigner: fmt::Debug + Send + Sync + 'static {
    /// Returns the algorithm of the signatures, which is the `alg` of the proofs.
    fn algorithm(&self) -> Algorithm;

    /// Returns the public half, which is the `jwk` of the proofs.
    fn public_jwk(&self) -> &PublicJwk;

    /// Signs `input` in the format of RFC 7518 section 3. For ECDSA, this is the concatenation of R and S,
    /// not DER.
    ///
    /// # Errors
    ///
    /// Returns a [`SignerError`] if there is no signature. The request is then not sent.
    fn sign(&self, input: &[u8]) -> MaybeReady<Result<Vec<u8>, SignerError>>;
}

impl<T: ProofSigner + ?Sized> ProofSigner for Arc<T> {
    fn algorithm(&self) -> Algorithm {
        (**self).algorithm()
    }

    fn public_jwk(&self) -> &PublicJwk {
        (**self).public_jwk()
    }

    fn sign(&self, input: &[u8]) -> MaybeReady<Result<Vec<u8>, SignerError>> {
        (**self).sign(input)
    }
}

/// The error of a [`ProofSigner`] that could not sign.
#[derive(Debug)]
pub struct SignerError(BoxError);

impl SignerError {
    /// Wraps the error of a key service or a hardware module. It must not contain a part of the key.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for SignerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the signer failed: {}", self.0)
    }
}

impl Error for SignerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
