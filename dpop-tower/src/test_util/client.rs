use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    issuer::object,
    jws::{Draft, breakable},
    key::{KeyKind, SigningKey, random},
};
use crate::{
    clock::{SystemClock, TimeSource},
    jose::base64url,
    jwk::Thumbprint,
};

/// A client with a key, which makes proofs.
#[derive(Clone)]
pub struct TestClient {
    key: SigningKey,
    clock: Arc<dyn TimeSource>,
}

impl TestClient {
    /// A client with a new P-256 key.
    pub fn new() -> Self {
        Self::with_key(KeyKind::P256)
    }

    /// A client with a new key of this kind.
    pub fn with_key(kind: KeyKind) -> Self {
        Self {
            key: SigningKey::generate(kind),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the clock that `iat` is taken from.
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The thumbprint of its key: what its tokens are bound to.
    pub fn thumbprint(&self) -> Thumbprint {
        self.key.thumbprint()
    }

    /// A proof for a request with this method to this URI, without an access token.
    pub fn proof(&self, method: &str, htu: &str) -> ProofBuilder {
        let header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm().as_str(),
            "jwk": self.key.public_jwk(),
        });
        let payload = json!({
            "jti": base64url::encode(&random::<16>().unwrap_or_default()),
            "htm": method,
            "htu": htu,
            "iat": self.clock.now().as_secs(),
        });
        ProofBuilder {
            draft: Draft::new(self.key.clone(), object(header), object(payload)),
            token: None,
        }
    }

    /// A `GET` request with the token and a fresh proof. The target is of the form that HTTP/1.1 has
    /// (a path alone); `uri` is what the client calls.
    pub fn get(&self, uri: &str, token: &str) -> Request<()> {
        self.request(Method::GET, uri, token)
    }

    /// A request with the token and a fresh proof.
    pub fn request(&self, method: Method, uri: &str, token: &str) -> Request<()> {
        let proof = self.proof(method.as_str(), uri).access_token(token).sign();
        self.request_with_proof(method, uri, token, &proof)
    }

    /// A request with the token and this proof.
    ///
    /// # Panics
    ///
    /// If `uri` is not a URI, or token or proof do not fit a header.
    #[expect(clippy::expect_used, reason = "test code, and documented")]
    pub fn request_with_proof(
        &self,
        method: Method,
        uri: &str,
        token: &str,
        proof: &str,
    ) -> Request<()> {
        let uri: http::Uri = uri.parse().expect("`uri` is a URI");
        let host = uri.authority().map(http::uri::Authority::as_str);
        let mut request = Request::new(());
        let value = |text: &str| HeaderValue::from_str(text).expect("fits a header");
        let headers = request.headers_mut();
        if let Some(host) = host {
            headers.insert(header::HOST, value(host));
        }
        headers.insert(header::AUTHORIZATION, value(&format!("DPoP {token}")));
        headers.insert("dpop", value(proof));
        *request.method_mut() = method;
        *request.uri_mut() = match uri.path_and_query() {
            Some(path) => path.clone().into(),
            None => uri,
        };
        request
    }
}

impl Default for TestClient {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A proof about to be signed. See [`TestClient::proof`].
#[derive(Clone)]
#[must_use]
pub struct ProofBuilder {
    draft: Draft,
    token: Option<String>,
}

impl ProofBuilder {
    /// Adds the `ath` of an access token.
    pub fn access_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self.claim("ath", base64url::encode(&Sha256::digest(token)))
    }

    /// Adds the nonce that the server gave.
    pub fn nonce(self, nonce: &str) -> Self {
        self.claim("nonce", nonce)
    }

    /// Signs with another client's key; the header goes on showing the first one's.
    pub fn signed_by(mut self, other: &TestClient) -> Self {
        self.draft.key = other.key.clone();
        self
    }

    /// Signs the proof.
    pub fn sign(self) -> String {
        self.draft.sign()
    }

    /// Signs the proof and puts it into the headers of a request, together with the
    /// [access token](Self::access_token), if there is one: for clients that make requests of their own.
    ///
    /// ```
    /// use dpop_tower::test_util::{TestClient, TestIssuer};
    ///
    /// let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// let token = issuer.token().bound_to(&client).mint();
    /// let mut request = http::Request::post("https://api.example.com/orders").body("{}")?;
    /// client
    ///     .proof("POST", "https://api.example.com/orders")
    ///     .access_token(&token)
    ///     .sign_into(request.headers_mut());
    /// assert!(request.headers().contains_key("dpop"));
    /// # Ok::<(), http::Error>(())
    /// ```
    ///
    /// # Panics
    ///
    /// If the token does not fit a header.
    #[expect(clippy::expect_used, reason = "test code, and documented")]
    pub fn sign_into(self, headers: &mut HeaderMap) {
        let value = |text: &str| HeaderValue::from_str(text).expect("fits a header");
        if let Some(token) = &self.token {
            headers.insert(header::AUTHORIZATION, value(&format!("DPoP {token}")));
        }
        headers.insert("dpop", value(&self.sign()));
    }

    /// As [`sign_into`](Self::sign_into), for a request of tonic's. Its proof is for `POST` and the origin
    /// of the server followed by the path of the method.
    ///
    /// ```
    /// use dpop_tower::test_util::{TestClient, TestIssuer};
    ///
    /// let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// let token = issuer.token().bound_to(&client).mint();
    /// let mut request = tonic::Request::new(());
    /// client
    ///     .proof("POST", "https://api.example.com/orders.Orders/List")
    ///     .access_token(&token)
    ///     .sign_into_grpc(&mut request);
    /// assert!(request.metadata().contains_key("dpop"));
    /// ```
    ///
    /// # Panics
    ///
    /// If the token does not fit a header.
    #[cfg(feature = "tonic")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
    pub fn sign_into_grpc<T>(self, request: &mut tonic::Request<T>) {
        self.sign_into(request.metadata_mut().as_mut());
    }
}

breakable!(ProofBuilder);
