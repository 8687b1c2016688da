//! The layer around the client of hyper-util, against an API that requires nonces.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use dpop_tower::{
    client::{AccessToken, ApiOrigin, ClientError, ClientErrorKind, DpopClientLayer, TokenSource},
    future::MaybeReady,
    test_util::TestIssuer,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use tower::{BoxError, ServiceExt as _};

use super::server::{Http, Server, Step, assert_unique, client, get, post};

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}

fn kind(error: &BoxError) -> ClientErrorKind {
    error.downcast_ref::<ClientError>().unwrap().kind()
}

#[tokio::test]
async fn the_first_request_learns_the_nonce_and_the_next_one_has_it() {
    let server = Server::start().await;
    let http = server.client();
    for attempts in [2, 1] {
        let response = http.clone().oneshot(get(&server.url())).await.unwrap();
        assert_eq!(response.status(), 200);
        let seen = server.seen();
        assert_eq!(seen.len(), attempts);
        assert_unique(&seen);
        assert!(seen.last().unwrap().nonce.is_some());
    }
}

#[tokio::test]
async fn a_body_is_sent_again_with_the_nonce() {
    let server = Server::start().await;
    let response = server.client().oneshot(post(&server.url(), "3 apples"));
    assert_eq!(text(response.await.unwrap()).await, "3 apples");
    assert_eq!(server.seen().len(), 2);

    // A stream has no length and cannot be cloned.
    let parts = ["3 ", "pears"].map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from(part))));
    let body = StreamBody::new(tokio_stream::iter(parts));
    let request = Request::post(server.url()).body(body).unwrap();
    let response = client(&server.layer()).oneshot(request).await.unwrap();
    assert_eq!(text(response).await, "3 pears");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_sent_again_but_the_next_request_has_the_nonce() {
    let server = Server::start().await;
    let http: Http = client(&server.layer().resend_limit(3));
    let response = http.clone().oneshot(post(&server.url(), "3 apples")).await;
    assert_eq!(response.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.seen().len(), 1);

    let response = http.oneshot(post(&server.url(), "3 apples")).await.unwrap();
    assert_eq!(text(response).await, "3 apples");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_request_to_another_origin_is_not_sent() {
    let (server, other) = (Server::start().await, Server::start().await);
    let http = server.client();
    let error = http.clone().oneshot(get(&other.url())).await.unwrap_err();
    assert_eq!(kind(&error), ClientErrorKind::Origin);
    assert!(error.to_string().contains(&server.origin), "{error}");
    let user = other.url().replace("http://", "http://user@");
    let error = http.oneshot(get(&user)).await.unwrap_err();
    assert_eq!(kind(&error), ClientErrorKind::Target);
    assert_eq!((server.count(), other.count()), (0, 0));
}

#[tokio::test]
async fn an_alias_gets_the_token_too_and_has_a_nonce_of_its_own() {
    let (server, other) = (Server::start().await, Server::start().await);
    let origin = ApiOrigin::new(&server.origin).unwrap();
    let origin = origin.with_alias(ApiOrigin::new(&other.origin).unwrap());
    let http: Http = client(&DpopClientLayer::new(server.dpop(), server.token(), origin));
    http.clone().oneshot(get(&server.url())).await.unwrap();
    // The other server has another issuer, so it rejects the token.
    let response = http.oneshot(get(&other.url())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(server.seen().len(), 2);
    assert_eq!(other.seen()[0].nonce, None);
}

#[tokio::test]
async fn credentials_of_the_caller_are_replaced() {
    let server = Server::start().await;
    let mut request = get(&server.url());
    for name in [header::AUTHORIZATION, dpop_tower::header::DPOP] {
        for value in ["Bearer mine", "also mine"] {
            let value = HeaderValue::from_static(value);
            request.headers_mut().append(name.clone(), value);
        }
    }
    let response = server.client().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    for seen in server.seen() {
        assert!(seen.authorization.starts_with("DPoP ey"));
    }
}

/// A source that has no token until it gets one, and counts what it is told.
#[derive(Clone, Debug, Default)]
struct Source {
    token: Arc<Mutex<Option<AccessToken>>>,
    rejected: Arc<Mutex<Vec<AccessToken>>>,
}

impl TokenSource for Source {
    fn token(&self) -> MaybeReady<Result<AccessToken, ClientError>> {
        let token = self.token.lock().unwrap().clone();
        MaybeReady::pending(async {
            tokio::task::yield_now().await;
            token.ok_or_else(|| ClientError::no_token("nobody is logged in"))
        })
    }

    fn rejected(&self, token: &AccessToken) {
        self.rejected.lock().unwrap().push(token.clone());
    }
}

#[tokio::test]
async fn a_source_is_asked_for_each_request_and_learns_which_token_was_rejected() {
    let server = Server::start().await;
    let source = Source::default();
    let origin = ApiOrigin::new(&server.origin).unwrap();
    let layer = DpopClientLayer::new(server.dpop(), source.clone(), origin);
    let http: Http = client(&layer);

    let error = http.clone().oneshot(get(&server.url())).await.unwrap_err();
    assert_eq!(kind(&error), ClientErrorKind::Token);
    assert_eq!(server.count(), 0);

    let thumbprint = server.key.thumbprint();
    let foreign = TestIssuer::new().token().bound_to_thumbprint(&thumbprint);
    let foreign = AccessToken::new(&foreign.mint()).unwrap();
    *source.token.lock().unwrap() = Some(foreign.clone());
    let response = http.clone().oneshot(get(&server.url())).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    // The request is repeated for the nonce, and not for the token.
    assert_eq!(server.seen().len(), 2);
    let rejected = source.rejected.lock().unwrap().clone();
    assert_eq!(rejected.len(), 1);
    assert!(rejected[0].is_clone_of(&foreign));

    *source.token.lock().unwrap() = Some(server.token());
    let response = http.oneshot(get(&server.url())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(source.rejected.lock().unwrap().len(), 1);
    let shown = format!("{layer:?} {source:?}");
    assert!(
        !shown.contains(server.token().as_str()) && !shown.contains("eyJ"),
        "{shown}"
    );
}

#[tokio::test]
async fn no_response_but_a_challenge_for_a_nonce_is_followed_by_another_attempt() {
    let server = Server::start().await;
    let http = server.client();
    for status in [401, 403, 429, 500, 503] {
        let status = StatusCode::from_u16(status).unwrap();
        server.then([Step::Status(status)]);
        let response = http.clone().oneshot(get(&server.url())).await.unwrap();
        assert_eq!(response.status(), status);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn clones_share_their_nonces() {
    let server = Server::start().await;
    let layer = server.layer();
    for attempts in [2, 1] {
        let http: Http<Full<Bytes>> = client(&layer.clone());
        http.oneshot(get(&server.url())).await.unwrap();
        assert_eq!(server.seen().len(), attempts);
    }
}
