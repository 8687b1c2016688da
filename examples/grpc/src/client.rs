//! The client's side: a proof for every call, and a second try where the server wants a nonce.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use dpop_tower::test_util::TestClient;
use http::{HeaderValue, Method, Request, Response, header};
use tonic::{Status, body::Body, transport::Channel};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

/// A channel that adds token and proof to each call, for `OrdersClient::new`.
pub type ProvingChannel =
    BoxCloneSyncService<Request<Body>, Response<Body>, tonic::transport::Error>;

/// A token, the key that it is bound to, and the nonce that the server gave last.
///
/// An application has a signer of its own in place of [`TestClient`], whose key lives in memory.
#[derive(Clone)]
pub struct Credentials {
    key: TestClient,
    token: Arc<str>,
    origin: Arc<str>,
    nonce: Arc<Mutex<Option<String>>>,
}

impl Credentials {
    /// For calls of the server that clients know under this origin, such as `https://api.example.com`.
    pub fn new(key: TestClient, token: &str, origin: &str) -> Self {
        Self {
            key,
            token: token.into(),
            origin: origin.into(),
            nonce: Arc::default(),
        }
    }

    /// A channel that uses them. An interceptor would not see the nonces that come with answers.
    pub fn channel(&self, channel: Channel) -> ProvingChannel {
        let (calls, answers) = (self.clone(), self.clone());
        let proving = ServiceBuilder::new()
            .map_request(move |request| calls.sign(request))
            .map_response(move |response| answers.remember(response))
            .service(channel);
        BoxCloneSyncService::new(proving)
    }

    /// gRPC calls are all `POST` of `/package.Service/Method`.
    fn sign(&self, mut request: Request<Body>) -> Request<Body> {
        let htu = format!("{}{}", self.origin, request.uri().path());
        let proof = self.key.proof(Method::POST.as_str(), &htu);
        let proof = proof.access_token(&self.token);
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
        let proof = match nonce.as_deref() {
            Some(nonce) => proof.nonce(nonce),
            None => proof,
        };
        drop(nonce);
        let authorization = HeaderValue::try_from(format!("DPoP {}", self.token));
        // A token that fits no header is not sent, and the call is rejected.
        if let (Ok(mut authorization), Ok(proof)) = (authorization, proof.sign().try_into()) {
            authorization.set_sensitive(true);
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, authorization);
            headers.insert("dpop", proof);
        }
        request
    }

    /// A nonce also comes with good answers, before the one in use expires.
    fn remember(&self, response: Response<Body>) -> Response<Body> {
        let nonce = response.headers().get("dpop-nonce");
        if let Some(nonce) = nonce.and_then(|nonce| nonce.to_str().ok()) {
            let mut kept = self.nonce.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(nonce.to_owned());
        }
        response
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// Calls, and calls once more if all that was wrong is that the server wants a nonce, which the
/// channel then has. `call` makes its messages anew: those of a stream may have gone with the first
/// try.
///
/// # Errors
///
/// The status of the last try.
pub async fn with_nonce<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    match call().await {
        Err(status) if error_code(&status) == Some("use_dpop_nonce") => call().await,
        result => result,
    }
}

/// The `error` of the challenge, such as `invalid_token`.
pub fn error_code(status: &Status) -> Option<&str> {
    let challenge = status.metadata().get("www-authenticate")?.to_str().ok()?;
    let (_, error) = challenge.split_once("error=\"")?;
    error.split('"').next()
}
