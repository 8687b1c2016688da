use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request, header};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    jws::{Draft, breakable},
    key::{KeyKind, SigningKey, random},
};
use crate::{
    clock::{SystemClock, TimeSource},
    jose::base64url,
    jwk::Thumbprint,
};

/// A client with a key pair, which makes proofs.
///
/// ```
/// use dpop_tower::test_util::{KeyKind, TestClient, TestIssuer};
/// use http::Method;
///
/// let client = TestClient::with_key(KeyKind::Ed25519);
/// let token = TestIssuer::new().token().bound_to(&client).mint();
/// let request = client.request(Method::PUT, "https://api.example.com/orders/7?dry=1", &token);
/// assert_eq!(request.uri(), "/orders/7?dry=1");
/// assert_eq!(request.headers()["host"], "api.example.com");
/// assert!(request.headers().contains_key("dpop"));
/// ```
#[derive(Clone, Debug)]
pub struct TestClient {
    key: SigningKey,
    clock: Arc<dyn TimeSource>,
}

impl TestClient {
    /// Returns a client with a new P-256 key.
    pub fn new() -> Self {
        Self::with_key(KeyKind::P256)
    }

    /// Returns a client with a new key of this kind.
    pub fn with_key(kind: KeyKind) -> Self {
        Self {
            key: SigningKey::generate(kind),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the clock for the `iat` of proofs. Defaults to the clock of the operating system.
    ///
    /// ```
    /// use dpop_tower::{clock::ManualClock, test_util::TestClient};
    /// use std::time::Duration;
    ///
    /// let clock = ManualClock::starting_now();
    /// let client = TestClient::new().clock(clock.clone());
    /// let now = client.proof("GET", "https://api.example.com/").payload_json();
    /// clock.advance(Duration::from_secs(1));
    /// let later = client.proof("GET", "https://api.example.com/").payload_json();
    /// assert_ne!(now, later);
    /// ```
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the thumbprint of the client's key, which its tokens are bound to (RFC 7638).
    pub fn thumbprint(&self) -> Thumbprint {
        self.key.thumbprint()
    }

    /// Begins a proof for a request with this method and this URI.
    ///
    /// The proof has no `ath` yet; see [`ProofBuilder::access_token`]. Each proof gets a new random `jti`.
    /// `htu` is used as it is, so leave out a query, as RFC 9449 section 4.2 requires.
    ///
    /// # Panics
    ///
    /// Panics if `method` is not a method. [`ProofBuilder::claim`] sets `htm` to any value.
    #[expect(clippy::expect_used, reason = "test code, and documented")]
    pub fn proof(&self, method: &str, htu: &str) -> ProofBuilder {
        Method::from_bytes(method.as_bytes()).expect("`method` is a method");
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
            draft: Draft::new(self.key.clone(), header, payload),
            token: None,
        }
    }

    /// Returns a `GET` request with the token and a new proof.
    ///
    /// `uri` is the URI that the client calls. The target of the request is the path alone, as in
    /// HTTP/1.1, and the authority is in `Host`.
    ///
    /// # Panics
    ///
    /// Panics for the reasons of [`request_with_proof`](Self::request_with_proof).
    pub fn get(&self, uri: &str, token: &str) -> Request<()> {
        self.request(Method::GET, uri, token)
    }

    /// Returns a request with the token and a new proof.
    ///
    /// # Panics
    ///
    /// Panics for the reasons of [`request_with_proof`](Self::request_with_proof).
    pub fn request(&self, method: Method, uri: &str, token: &str) -> Request<()> {
        let proof = self.proof(method.as_str(), uri).access_token(token).sign();
        self.request_with_proof(method, uri, token, &proof)
    }

    /// Returns a request with the token and this proof.
    ///
    /// Use it to send a wrong proof, or one proof twice:
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin};
    /// use dpop_tower::test_util::{TestClient, TestIssuer};
    /// use http::{Method, Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(DpopLayer::new(config))
    ///     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
    ///
    /// let uri = "https://api.example.com/orders";
    /// let token = issuer.token().bound_to(&client).mint();
    /// let proof = client.proof("GET", uri).access_token(&token).sign();
    /// for status in [200, 401] {
    ///     let request = client.request_with_proof(Method::GET, uri, &token, &proof);
    ///     assert_eq!(service.clone().oneshot(request).await?.status(), status);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if `uri` is not an absolute URI, or if the token or the proof cannot be the value of a header.
    #[expect(clippy::expect_used, reason = "test code, and documented")]
    pub fn request_with_proof(
        &self,
        method: Method,
        uri: &str,
        token: &str,
        proof: &str,
    ) -> Request<()> {
        let uri: http::Uri = uri.parse().expect("`uri` is a URI");
        let path = uri.path_and_query().expect("`uri` is absolute");
        let host = uri.authority().expect("`uri` is absolute");
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.insert(header::HOST, value(host.as_str()));
        insert_credentials(headers, Some(token), proof);
        *request.method_mut() = method;
        *request.uri_mut() = path.clone().into();
        request
    }
}

fn insert_credentials(headers: &mut HeaderMap, token: Option<&str>, proof: &str) {
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, value(&format!("DPoP {token}")));
    }
    headers.insert("dpop", value(proof));
}

#[expect(clippy::expect_used, reason = "test code, and documented")]
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("fits a header")
}

impl Default for TestClient {
    fn default() -> Self {
        Self::new()
    }
}

/// A proof that has not been signed yet; see [`TestClient::proof`].
///
/// Every setter replaces one part of a valid proof. [`sign`](Self::sign) always succeeds, whatever the
/// parts are.
#[derive(Clone)]
#[must_use]
pub struct ProofBuilder {
    draft: Draft,
    token: Option<String>,
}

impl ProofBuilder {
    /// Sets `ath` to the hash of an access token (RFC 9449 section 4.2).
    pub fn access_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self.claim("ath", base64url::encode(&Sha256::digest(token)))
    }

    /// Sets `nonce` to the value of a `DPoP-Nonce` header (RFC 9449 section 8).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, DpopLayer, PublicOrigin};
    /// use dpop_tower::test_util::{TestClient, TestIssuer};
    /// use http::{Method, Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// let config = DpopConfig::builder(origin, issuer.tokens()).require_nonces().build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(DpopLayer::new(config))
    ///     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
    ///
    /// let uri = "https://api.example.com/orders";
    /// let token = issuer.token().bound_to(&client).mint();
    /// let challenge = service.clone().oneshot(client.get(uri, &token)).await?;
    /// let nonce = challenge.headers()["dpop-nonce"].to_str()?;
    ///
    /// let proof = client.proof("GET", uri).access_token(&token).nonce(nonce).sign();
    /// let request = client.request_with_proof(Method::GET, uri, &token, &proof);
    /// assert_eq!(service.oneshot(request).await?.status(), 200);
    /// # Ok(()) }
    /// ```
    pub fn nonce(self, nonce: &str) -> Self {
        self.claim("nonce", nonce)
    }

    /// Signs with the key of another client. The header keeps the key of the first client.
    pub fn signed_by(mut self, other: &TestClient) -> Self {
        self.draft.key = other.key.clone();
        self
    }

    /// Signs the proof and returns it in compact serialisation, the value of a `DPoP` header.
    pub fn sign(self) -> String {
        self.draft.sign()
    }

    /// Signs the proof and puts it into the headers of a request.
    ///
    /// It also sets `Authorization`, if the proof has an [access token](Self::access_token). Use it for
    /// requests with a body or with further headers.
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
    /// Panics if the token cannot be the value of a header.
    pub fn sign_into(self, headers: &mut HeaderMap) {
        insert_credentials(headers, self.token.as_deref(), &self.draft.sign());
    }

    /// Signs the proof and puts it into the metadata of a tonic request, as
    /// [`sign_into`](Self::sign_into) does.
    ///
    /// The proof of a gRPC call is for `POST` and the origin of the server followed by the path of the
    /// method.
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
    /// Panics if the token cannot be the value of a header.
    #[cfg(feature = "tonic")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
    pub fn sign_into_grpc<T>(self, request: &mut tonic::Request<T>) {
        self.sign_into(request.metadata_mut().as_mut());
    }
}

breakable!(ProofBuilder);
