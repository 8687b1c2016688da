use std::{fmt, sync::Arc};

use http::{Method, Uri};
use serde::Serialize;

use super::{ClientError, ClientErrorKind, ProofSigner, htu::htu, jti::new_jti, key::no_backend};
use crate::{
    clock::{SystemClock, TimeSource},
    crypto::{CryptoProvider, default_provider},
    future::MaybeReady,
    jose::base64url,
    jwk::Thumbprint,
    proof::Ath,
};

/// Room for a signature with an elliptic curve in base64url. The text grows for a longer one.
const SIGNATURE_LEN: usize = 128;

/// A client with one key, which makes proofs.
///
/// Clones share the key. `Debug` shows its thumbprint only.
#[derive(Clone)]
pub struct DpopClient {
    signer: Arc<dyn ProofSigner>,
    crypto: Arc<dyn CryptoProvider>,
    clock: Arc<dyn TimeSource>,
    thumbprint: Thumbprint,
    /// The header of every proof, encoded.
    header: Arc<str>,
}

impl DpopClient {
    /// Returns a client with this key, and the default crypto backend and the system's clock.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Crypto`](ClientErrorKind::Crypto) if no backend is compiled in, or of
    /// the kind [`Key`](ClientErrorKind::Key) if the key does not fit its algorithm.
    pub fn new(signer: impl ProofSigner) -> Result<Self, ClientError> {
        Self::with_crypto(signer, default_provider().ok_or_else(no_backend)?)
    }

    /// Returns a client that hashes access tokens with this crypto backend.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Key`](ClientErrorKind::Key) if the key does not fit its algorithm.
    pub fn with_crypto(
        signer: impl ProofSigner,
        crypto: impl CryptoProvider,
    ) -> Result<Self, ClientError> {
        let (algorithm, jwk) = (signer.algorithm(), signer.public_jwk());
        if !jwk.fits(algorithm) {
            return Err(ClientError::new(
                ClientErrorKind::Key,
                format!("the key does not sign with {algorithm}"),
            ));
        }
        // RFC 9449 section 4.2
        let header = format!(
            r#"{{"typ":"dpop+jwt","alg":"{algorithm}","jwk":{}}}"#,
            jwk.required_members()
        );
        Ok(Self {
            thumbprint: Thumbprint::of(jwk, &crypto),
            header: base64url::encode(header.as_bytes()).into(),
            signer: Arc::new(signer),
            crypto: Arc::new(crypto),
            clock: Arc::new(SystemClock),
        })
    }

    /// Sets the clock for the `iat` of proofs. Defaults to the clock of the operating system.
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the thumbprint of the key, which is the `dpop_jkt` of an authorization request (RFC 9449
    /// section 10).
    pub const fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Returns the algorithm of the proofs.
    #[cfg(feature = "client-tokens")]
    pub(super) fn algorithm(&self) -> crate::crypto::Algorithm {
        self.signer.algorithm()
    }

    /// Returns the hash of an access token, for [`ProofBuilder::ath`].
    pub fn ath(&self, access_token: &str) -> Ath {
        Ath::of(access_token, &*self.crypto)
    }

    /// Begins a proof for a request with this method to this URI, which has to be absolute. Its query and
    /// fragment do not enter the proof.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Target`](ClientErrorKind::Target) if the URI is not an absolute `http`
    /// or `https` URI, or contains user information.
    pub fn proof(&self, method: &Method, uri: &Uri) -> Result<ProofBuilder, ClientError> {
        Ok(self.proof_for(method, htu(uri)?))
    }

    /// Begins a proof for this `htu`, which [`htu`] has made.
    pub(super) fn proof_for(&self, method: &Method, htu: String) -> ProofBuilder {
        ProofBuilder {
            client: self.clone(),
            htm: method.clone(),
            htu,
            ath: None,
            nonce: None,
        }
    }
}

impl fmt::Debug for DpopClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopClient")
            .field("thumbprint", &self.thumbprint)
            .finish_non_exhaustive()
    }
}

/// A proof that has not been signed yet; see [`DpopClient::proof`].
///
/// [`sign`](Self::sign) consumes it and gives the proof a new random `jti` of 128 bits, so that each proof is
/// sent once.
#[must_use]
pub struct ProofBuilder {
    client: DpopClient,
    htm: Method,
    htu: String,
    ath: Option<Arc<str>>,
    nonce: Option<Arc<str>>,
}

impl ProofBuilder {
    /// Binds the proof to the access token that is sent with it (RFC 9449 section 4.2, `ath`).
    ///
    /// A proof for a token endpoint is not bound to a token.
    pub fn access_token(self, access_token: &str) -> Self {
        let ath = self.client.ath(access_token);
        self.ath(ath)
    }

    /// Binds the proof to the access token with this [hash](DpopClient::ath), which you can keep with the
    /// token.
    pub fn ath(mut self, ath: Ath) -> Self {
        self.ath = Some(ath.to_string().into());
        self
    }

    /// Sets the newest `DPoP-Nonce` of the server (RFC 9449 section 8).
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into().into());
        self
    }

    /// Sets the text of both claims.
    pub(super) fn with(mut self, ath: Option<Arc<str>>, nonce: Option<Arc<str>>) -> Self {
        (self.ath, self.nonce) = (ath, nonce);
        self
    }

    /// Signs the proof and returns it in compact serialisation, which is the value of the `DPoP` header.
    ///
    /// With a [`ClientKey`](super::ClientKey), the future is ready at once.
    ///
    /// # Errors
    ///
    /// The future resolves to an error of the kind [`Signer`](ClientErrorKind::Signer) or
    /// [`Randomness`](ClientErrorKind::Randomness).
    pub fn sign(self) -> MaybeReady<Result<String, ClientError>> {
        let input = match self.signing_input() {
            Ok(input) => input,
            Err(error) => return MaybeReady::ready(Err(error)),
        };
        let signed = self.client.signer.sign(input.as_bytes());
        signed.map(move |signature| {
            let signature = signature.map_err(|error| {
                ClientError::new(ClientErrorKind::Signer, "the proof could not be signed")
                    .with_source(error)
            })?;
            let mut proof = input;
            proof.push('.');
            base64url::encode_onto(&signature, &mut proof);
            Ok(proof)
        })
    }

    fn signing_input(&self) -> Result<String, ClientError> {
        let jti = new_jti()?;
        let claims = Claims {
            jti: &jti,
            htm: self.htm.as_str(),
            htu: &self.htu,
            iat: self.client.clock.now().as_secs(),
            ath: self.ath.as_deref(),
            nonce: self.nonce.as_deref(),
        };
        let mut payload = Vec::with_capacity(320 + self.htu.len());
        serde_json::to_writer(&mut payload, &claims).map_err(|error| {
            let message = "the claims of the proof could not be written";
            ClientError::new(ClientErrorKind::Target, message).with_source(error)
        })?;
        let header = &*self.client.header;
        let parts = header.len() + payload.len().div_ceil(3) * 4 + 2;
        let mut input = String::with_capacity(parts + SIGNATURE_LEN);
        input.push_str(header);
        input.push('.');
        base64url::encode_onto(&payload, &mut input);
        Ok(input)
    }
}

/// Hides the nonce and the hash of the token.
impl fmt::Debug for ProofBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProofBuilder")
            .field("htm", &self.htm)
            .field("htu", &self.htu)
            .finish_non_exhaustive()
    }
}

/// The claims of RFC 9449 section 4.2.
#[derive(Serialize)]
struct Claims<'a> {
    jti: &'a str,
    htm: &'a str,
    htu: &'a str,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ath: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
}
