//! The client: adds a proof to every call, and retries a call if the server requires a nonce.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use dpop_tower::test_util::TestClient;
use http::{HeaderValue, Method, Request, Response, header};
use tonic::{Status, body::Body, transport::Channel};
use tower::{ServiceBuilder, util::BoxCloneSyncService};

/// A channel that adds the token and a proof to each call, for `OrdersClient::new`.
pub type ProvingChannel =
    BoxCloneSyncService<Request<Body>, Response<Body>, tonic::transport::Error>;

/// A token, the key that it is bound to, and the latest nonce of the server.
///
/// The key of [`TestClient`] lives in memory. An application uses a signer of its own instead.
#[derive(Clone)]
pub struct Credentials {
    key: TestClient,
    token: Arc<str>,
    origin: Arc<str>,
    nonce: Arc<Mutex<Option<String>>>,
}

impl Credentials {
    /// Creates credentials for the server at this public origin, such as `https://api.example.com`.
    pub fn new(key: TestClient, token: &str, origin: &str) -> Self {
        Self {
            key,
            token: token.into(),
            origin: origin.into(),
            nonce: Arc::default(),
        }
    }

    /// Returns a channel that uses these credentials. It is not an interceptor, since an interceptor
    /// does not see the nonces in responses.
    pub fn channel(&self, channel: Channel) -> ProvingChannel {
        let (calls, answers) = (self.clone(), self.clone());
        let proving = ServiceBuilder::new()
            .map_request(move |request| calls.sign(request))
            .map_response(move |response| answers.remember(response))
            .service(channel);
        BoxCloneSyncService::new(proving)
    }

    /// Signs a call. Every gRPC call is a `POST` to `/package.Service/Method`.
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
        // A token that is not a valid header value is not sent, and the call is rejected.
        if let (Ok(mut authorization), Ok(proof)) = (authorization, proof.sign().try_into()) {
            authorization.set_sensitive(true);
            let headers = request.headers_mut();
            headers.insert(header::AUTHORIZATION, authorization);
            headers.insert("dpop", proof);
        }
        request
    }

    /// Remembers the nonce. Successful responses contain one as well, before the current one expires.
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

/// Makes a call, and repeats it if the server only requires a nonce, which the channel has by then.
/// `call` creates its messages each time, since the first attempt may have consumed those of a stream.
///
/// # Errors
///
/// Returns the status of the last attempt.
pub async fn with_nonce<T>(mut call: impl AsyncFnMut() -> Result<T, Status>) -> Result<T, Status> {
    match call().await {
        Err(status) if error_code(&status) == Some("use_dpop_nonce") => call().await,
        result => result,
    }
}

/// Returns the `error` parameter of the challenge, such as `invalid_token`.
pub fn error_code(status: &Status) -> Option<&str> {
    let challenge = status.metadata().get("www-authenticate")?.to_str().ok()?;
    let (_, error) = challenge.split_once("error=\"")?;
    error.split('"').next()
}
