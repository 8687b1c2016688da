//! Which nonce goes into a proof, and when a request is sent again.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use dpop_tower::{
    client::{AccessToken, ApiOrigin, ClientKey, DpopClient, DpopClientLayer, RequestBody},
    crypto::Algorithm,
};
use futures_util::FutureExt as _;
use http::{Request, Response, response::Builder};
use tokio::sync::{mpsc, oneshot};
use tower::{BoxError, Layer as _, Service, ServiceExt as _, limit::ConcurrencyLimit, service_fn};

use super::server::Seen;

const URL: &str = "https://api.test/orders";
const CHALLENGE: &str = r#"DPoP error="use_dpop_nonce""#;

/// The responses that a server gives one after the other, and the requests that it has seen.
#[derive(Clone)]
struct Script {
    responses: Arc<Mutex<VecDeque<Response<()>>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Script {
    fn new(responses: impl IntoIterator<Item = Builder>) -> Self {
        let responses = responses.into_iter();
        let responses = responses
            .map(|response| response.body(()).unwrap())
            .collect();
        Self {
            responses: Arc::new(Mutex::new(responses)),
            seen: Arc::default(),
        }
    }

    fn respond<B>(&self, request: &Request<B>) -> Response<()> {
        assert!(request.headers()["dpop"].is_sensitive());
        assert!(request.headers()["authorization"].is_sensitive());
        let seen = Seen::new(request.headers());
        self.seen.lock().unwrap().push(seen);
        let response = self.responses.lock().unwrap().pop_front();
        response.unwrap_or_default()
    }

    /// Returns the nonces of the proofs so far.
    fn nonces(&self) -> Vec<Option<String>> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|seen| seen.nonce.clone()).collect()
    }
}

fn layer() -> DpopClientLayer {
    let client = DpopClient::new(ClientKey::generate(Algorithm::Es256).unwrap()).unwrap();
    let origin = ApiOrigin::new("https://api.test").unwrap();
    DpopClientLayer::new(client, AccessToken::new("token").unwrap(), origin)
}

fn scripted(
    responses: impl IntoIterator<Item = Builder>,
) -> (
    Script,
    impl Service<Request<String>, Response = Response<()>, Error = BoxError, Future: Send> + Clone,
) {
    let script = Script::new(responses);
    let inner = script.clone();
    let service = service_fn(move |request: Request<RequestBody<String>>| {
        std::future::ready(Ok::<_, Infallible>(inner.respond(&request)))
    });
    (script, layer().layer(service))
}

fn status(status: u16) -> Builder {
    Response::builder().status(status)
}

fn challenge() -> Builder {
    status(401).header("www-authenticate", CHALLENGE)
}

fn some(nonces: &[&str]) -> Vec<Option<String>> {
    let text = |nonce: &&str| (!nonce.is_empty()).then(|| (*nonce).to_owned());
    nonces.iter().map(text).collect()
}

fn request() -> Request<String> {
    Request::post(URL).body("3 apples".to_owned()).unwrap()
}

#[tokio::test]
async fn the_nonce_of_every_response_is_kept() {
    let responses = [200, 204, 304, 401, 403, 404, 429, 500, 503];
    let with_nonce = |code: u16| status(code).header("dpop-nonce", format!("after-{code}"));
    let (script, service) = scripted(responses.map(with_nonce));
    for code in responses {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), code);
    }
    service.oneshot(request()).await.unwrap();
    let mut expected = vec![None];
    expected.extend(responses.map(|code| Some(format!("after-{code}"))));
    assert_eq!(script.nonces(), expected);
}

#[tokio::test]
async fn the_nonce_of_the_retried_response_is_kept() {
    let (script, service) = scripted([
        challenge().header("dpop-nonce", "a"),
        status(200).header("dpop-nonce", "b"),
    ]);
    for _ in 0..2 {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    assert_eq!(script.nonces(), some(&["", "a", "b"]));
}

#[tokio::test]
async fn a_response_without_a_usable_nonce_leaves_the_kept_one() {
    let (script, service) = scripted([
        status(200).header("dpop-nonce", "a"),
        status(200),
        status(200)
            .header("dpop-nonce", "b")
            .header("dpop-nonce", "c"),
        status(200).header("dpop-nonce", "not one\"\\"),
        status(200).header("dpop-nonce", ""),
        status(200).header("dpop-nonce", "x".repeat(1025)),
    ]);
    for _ in 0..7 {
        service.clone().oneshot(request()).await.unwrap();
    }
    assert_eq!(script.nonces(), some(&["", "a", "a", "a", "a", "a", "a"]));
}

#[tokio::test]
async fn a_request_is_sent_again_once() {
    let (script, service) = scripted(["a", "b", "c"].map(|n| challenge().header("dpop-nonce", n)));
    let response = service.oneshot(request()).await.unwrap();
    assert_eq!(response.status(), 401);
    assert_eq!(script.nonces(), some(&["", "a"]));
}

#[tokio::test]
async fn a_challenge_that_brings_no_new_nonce_is_not_followed() {
    let (script, service) = scripted([
        status(200).header("dpop-nonce", "a"),
        challenge().header("dpop-nonce", "a"),
        challenge(),
        challenge()
            .header("dpop-nonce", "b")
            .header("dpop-nonce", "c"),
    ]);
    for code in [200, 401, 401, 401] {
        let response = service.clone().oneshot(request()).await.unwrap();
        assert_eq!(response.status(), code);
    }
    assert_eq!(script.nonces(), some(&["", "a", "a", "a"]));
}

#[tokio::test]
async fn only_a_challenge_of_the_scheme_is_followed() {
    for (code, challenge) in [
        (401, r#"Bearer error="use_dpop_nonce""#),
        (401, r#"DPoP error="invalid_dpop_proof""#),
        (400, CHALLENGE),
        (403, CHALLENGE),
        (407, CHALLENGE),
        (200, CHALLENGE),
    ] {
        let first = status(code)
            .header("www-authenticate", challenge)
            .header("dpop-nonce", "a");
        let (script, service) = scripted([first]);
        let response = service.oneshot(request()).await.unwrap();
        assert_eq!(response.status(), code, "{challenge}");
        assert_eq!(script.nonces().len(), 1, "{challenge}");
    }
}

type Held = (Seen, oneshot::Sender<Response<()>>);

/// Returns a service that does one call at a time, with a response that the test gives.
fn held() -> (
    mpsc::UnboundedReceiver<Held>,
    impl Service<Request<String>, Response = Response<()>, Error = BoxError, Future: Send> + Clone,
) {
    let (calls, received) = mpsc::unbounded_channel();
    let service = service_fn(move |request: Request<RequestBody<String>>| {
        let (respond, response) = oneshot::channel();
        let seen = Seen::new(request.headers());
        calls.send((seen, respond)).unwrap();
        async { Ok::<_, Infallible>(response.await.unwrap()) }
    });
    let service = ConcurrencyLimit::new(service, 1);
    (received, layer().layer(service))
}

#[tokio::test]
async fn a_challenged_request_has_the_nonce_of_its_own_challenge() {
    let (mut received, service) = held();
    let first = tokio::spawn(service.clone().oneshot(request()));
    let (_, respond_to_first) = received.recv().await.unwrap();
    // The other request waits until the first attempt is over, and is before the second one in the queue.
    let mut other = service.clone();
    assert!(other.ready().now_or_never().is_none());
    let response = challenge().header("dpop-nonce", "own").body(()).unwrap();
    respond_to_first.send(response).unwrap();
    let other = tokio::spawn(other.oneshot(request()));
    let (seen, respond_to_other) = received.recv().await.unwrap();
    assert_eq!(seen.nonce.as_deref(), Some("own"));
    let response = status(200).header("dpop-nonce", "newest").body(()).unwrap();
    respond_to_other.send(response).unwrap();
    other.await.unwrap().unwrap();

    let (seen, respond_to_first) = received.recv().await.unwrap();
    assert_eq!(seen.nonce.as_deref(), Some("own"));
    respond_to_first.send(Response::default()).unwrap();
    assert_eq!(first.await.unwrap().unwrap().status(), 200);

    let third = tokio::spawn(service.oneshot(request()));
    let (seen, respond_to_third) = received.recv().await.unwrap();
    assert_eq!(seen.nonce.as_deref(), Some("newest"));
    respond_to_third.send(Response::default()).unwrap();
    third.await.unwrap().unwrap();
}
