//! WebSockets and server-sent events, over real sockets.

use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Router,
    extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    response::{
        Response,
        sse::{Event, Sse},
    },
    routing::get,
};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, PublicOrigin,
    clock::{SystemClock, TimeSource as _},
    lifetime::TokenLifetime,
    test_util::{TestClient, TestIssuer},
};
use futures_util::SinkExt as _;
use http::{HeaderValue, StatusCode, header};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::{StreamExt as _, wrappers::UnboundedReceiverStream};
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

use crate::{rejection::challenge::Challenge, support::ORIGIN};

/// Far longer than any operation takes, so that a test that waits in vain ends.
const IN_VAIN: Duration = Duration::from_secs(60);

struct Api {
    issuer: TestIssuer,
    client: TestClient,
    address: SocketAddr,
    /// What the server-sent events say.
    events: mpsc::UnboundedSender<&'static str>,
}

impl Api {
    /// Uses the clock of the operating system, which real connections also use.
    async fn start() -> Self {
        let issuer = TestIssuer::new();
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, issuer.tokens())
            .build()
            .unwrap();
        let (events, receiver) = mpsc::unbounded_channel();
        let receiver = std::sync::Arc::new(std::sync::Mutex::new(Some(receiver)));
        let stream = move || async move {
            let receiver = receiver.lock().unwrap().take().unwrap();
            let event = |text: &str| Ok::<_, Infallible>(Event::default().data(text));
            Sse::new(UnboundedReceiverStream::new(receiver).map(event))
        };
        let router = Router::new()
            .route("/chat", get(chat))
            .route("/events", get(stream))
            .layer(DpopLayer::new(config).end_streams_at_expiry());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            issuer,
            client: TestClient::new(),
            address,
            events,
        }
    }

    /// Token and proof for this path.
    fn credentials(&self, path: &str, expires_in: i64) -> (HeaderValue, HeaderValue) {
        let expires_at = SystemClock.now().as_secs() + expires_in;
        let token = self
            .issuer
            .token()
            .subject("alice")
            .claim("exp", expires_at);
        let token = token.bound_to(&self.client).mint();
        let proof = self.client.proof("GET", &format!("{ORIGIN}{path}"));
        let proof = proof.access_token(&token).sign();
        (
            format!("DPoP {token}").parse().unwrap(),
            proof.parse().unwrap(),
        )
    }
}

async fn chat(upgrade: WebSocketUpgrade, token: BoundToken, lifetime: TokenLifetime) -> Response {
    upgrade.on_upgrade(|socket| talk(socket, token, lifetime))
}

/// Sends every message back under the name of the token's subject, until the token expires.
async fn talk(mut socket: WebSocket, token: BoundToken, lifetime: TokenLifetime) {
    let name = token.claims().subject().unwrap().to_owned();
    let mut ended = pin!(lifetime.ended());
    loop {
        tokio::select! {
            () = &mut ended => {
                let close = CloseFrame { code: 1008, reason: "the token has expired".into() };
                // The client may have disconnected.
                let _ = socket.send(Message::Close(Some(close))).await;
                return;
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    let answer = Message::Text(format!("{name}: {text}").into());
                    socket.send(answer).await.unwrap();
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}

type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(
    api: &Api,
    credentials: Option<(HeaderValue, HeaderValue)>,
) -> Result<Socket, tungstenite::Error> {
    let mut request = format!("ws://{}/chat", api.address)
        .into_client_request()
        .unwrap();
    if let Some((authorization, proof)) = credentials {
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, authorization);
        request.headers_mut().insert("dpop", proof);
    }
    let (socket, response) = connect_async(request).await?;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    Ok(socket)
}

async fn next(socket: &mut Socket) -> tungstenite::Message {
    let message = timeout(IN_VAIN, socket.next()).await.unwrap();
    message.unwrap().unwrap()
}

#[tokio::test]
async fn a_web_socket_opens_with_a_proof_and_not_without() {
    let api = Api::start().await;
    let good = api.credentials("/chat", 3600);
    let mut socket = connect(&api, Some(good.clone())).await.unwrap();
    send(&mut socket, "hello").await;
    assert_eq!(
        next(&mut socket).await,
        tungstenite::Message::text("alice: hello")
    );

    let other_path = api.credentials("/events", 3600);
    for (credentials, error) in [
        (None, None),
        (Some(good), Some("invalid_dpop_proof")),
        (Some(other_path), Some("invalid_dpop_proof")),
    ] {
        let Err(tungstenite::Error::Http(response)) = connect(&api, credentials).await else {
            panic!("not rejected: {error:?}");
        };
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let challenges = Challenge::all(response.headers());
        assert_eq!(challenges[0].scheme, "DPoP");
        assert_eq!(challenges[0].get("error"), error);
    }
}

async fn send(socket: &mut Socket, text: &str) {
    socket.send(tungstenite::Message::text(text)).await.unwrap();
}

#[tokio::test]
async fn a_web_socket_is_closed_when_the_token_expires() {
    let api = Api::start().await;
    // Long enough for a slow machine to open the connection.
    let mut socket = connect(&api, Some(api.credentials("/chat", 5)))
        .await
        .unwrap();
    let tungstenite::Message::Close(Some(close)) = next(&mut socket).await else {
        panic!("not closed");
    };
    assert_eq!(close.code, CloseCode::Policy);
    assert_eq!(close.reason, "the token has expired");
}

#[tokio::test]
async fn events_arrive_one_by_one_and_end_when_the_token_expires() {
    let api = Api::start().await;
    let url = format!("http://{}/events", api.address);
    let get = |credentials: Option<(HeaderValue, HeaderValue)>| {
        let mut request = reqwest::Client::new().get(&url);
        if let Some((authorization, proof)) = credentials {
            request = request
                .header("authorization", authorization)
                .header("dpop", proof);
        }
        request.send()
    };
    let rejected = get(None).await.unwrap();
    assert_eq!(rejected.status().as_u16(), 401);
    assert!(rejected.headers().contains_key("www-authenticate"));

    let mut stream = get(Some(api.credentials("/events", 5))).await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    for text in ["one", "two", "three"] {
        api.events.send(text).unwrap();
        let chunk = timeout(IN_VAIN, stream.chunk()).await.unwrap().unwrap();
        assert_eq!(chunk.unwrap(), format!("data: {text}\n\n"));
    }
    // The stream ends in an orderly way, without an error.
    let end = timeout(IN_VAIN, stream.chunk()).await.unwrap();
    assert_eq!(end.unwrap(), None);
    assert!(api.events.is_closed());
}
