//! Security events (RFC 8417, RFC 8935, SSF 1.0, CAEP 1.0), delivered over loopback.

mod delivery;
mod effects;
mod keys;
mod security;
mod settings;

use std::{
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use dpop_tower::{
    clock::UnixTime,
    future::MaybeReady,
    revocation::{MemoryRevocationList, Revocation, RevocationError, RevocationSink},
    ssf::{EventReceiver, EventReceiverBuilder, Transmitter},
    test_util::{TestIssuer, TokenBuilder},
};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{Api, URL, Verdict, router, send};

/// The transmitter, which is the issuer of the tokens, too.
const ISSUER: &str = "https://issuer.test";
const AUDIENCE: &str = "https://api.test/security-events";

const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";
const TOKEN_CLAIMS_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/token-claims-change";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";
const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";

/// A list that counts the entries that it takes.
#[derive(Debug)]
struct Counting {
    list: Arc<MemoryRevocationList>,
    taken: Arc<AtomicUsize>,
}

impl RevocationSink for Counting {
    fn add(
        &self,
        revocation: Revocation<'_>,
        until: UnixTime,
    ) -> MaybeReady<Result<(), RevocationError>> {
        self.taken.fetch_add(1, Ordering::SeqCst);
        self.list.add(revocation, until)
    }
}

/// An API whose tokens can be revoked by events, and the receiver at a socket. The clock stands still.
struct Rig {
    api: Api,
    list: Arc<MemoryRevocationList>,
    taken: Arc<AtomicUsize>,
    router: Router,
    url: String,
    client: Client,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|transmitter| transmitter, |receiver| receiver).await
    }

    async fn with(
        transmitter: impl FnOnce(Transmitter) -> Transmitter,
        receiver: impl FnOnce(EventReceiverBuilder) -> EventReceiverBuilder,
    ) -> Self {
        let api = Api::new();
        let by_its_keys = Transmitter::new(ISSUER).jwks(api.issuer.jwks());
        let transmitter = transmitter(by_its_keys.audience(AUDIENCE));
        Self::of(api, vec![transmitter], NonZeroUsize::MAX, receiver).await
    }

    async fn of(
        api: Api,
        transmitters: Vec<Transmitter>,
        capacity: NonZeroUsize,
        receiver: impl FnOnce(EventReceiverBuilder) -> EventReceiverBuilder,
    ) -> Self {
        let list = MemoryRevocationList::with_capacity(capacity).clock(api.clock.clone());
        let (list, taken) = (Arc::new(list), Arc::default());
        let counting = Counting {
            list: Arc::clone(&list),
            taken: Arc::clone(&taken),
        };
        let builder = EventReceiver::builder(transmitters, counting).clock(api.clock.clone());
        let receiver = receiver(builder).build().unwrap();
        let config = api.config().revocation_list(Arc::clone(&list));
        let app = Router::new().route_service("/security-events", receiver);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/security-events", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            router: router(config.build().unwrap()),
            api,
            list,
            taken,
            url,
            client: Client::builder().no_proxy().build().unwrap(),
        }
    }

    /// Returns a SET that ends the session `s1`, for tests to break.
    fn set(&self) -> TokenBuilder {
        self.event(SESSION_REVOKED, &json!({ "format": "opaque", "id": "s1" }))
    }

    fn event(&self, event: &str, subject: &Value) -> TokenBuilder {
        set_of(&self.api.issuer)
            .claim("sub_id", subject.clone())
            .claim("events", json!({ event: {} }))
    }

    fn request(&self, set: String) -> RequestBuilder {
        (self.client.post(&self.url))
            .header("content-type", "application/secevent+jwt")
            .header("accept", "application/json")
            .body(set)
    }

    async fn deliver(&self, set: TokenBuilder) -> Answer {
        self.send(self.request(set.mint())).await
    }

    async fn send(&self, request: RequestBuilder) -> Answer {
        let response = request.timeout(Duration::from_secs(20)).send();
        Answer::of(response.await.unwrap()).await
    }

    fn token(&self) -> TokenBuilder {
        self.api.token()
    }

    async fn present(&self, token: TokenBuilder) -> Verdict {
        let request = self.api.client.get(URL, &token.mint());
        Verdict::of(send(self.router.clone(), request).await)
    }

    /// Returns whether a token is still admitted. Any other verdict than a revocation is an error.
    async fn is_admitted(&self, token: TokenBuilder) -> bool {
        match self.present(token).await {
            Verdict::Admitted => true,
            verdict => {
                assert_eq!(verdict, crate::support::invalid_token("token_revoked"));
                false
            }
        }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::SeqCst)
    }
}

/// Returns a SET of this transmitter without subject and events.
fn set_of(transmitter: &TestIssuer) -> TokenBuilder {
    (transmitter.token().header("typ", "secevent+jwt"))
        .claim("aud", AUDIENCE)
        .without_claim("sub")
        .without_claim("exp")
        .without_claim("client_id")
}

/// What the transmitter learns.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Rejected(String),
    Status(u16),
}

impl Answer {
    /// Also checks the form of the response.
    async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.text().await.unwrap();
        assert_eq!(headers["cache-control"], "no-store");
        match status {
            202 => {
                assert_eq!(body, "");
                Self::Accepted
            }
            400 if !body.is_empty() => {
                assert_eq!(headers["content-type"], "application/json");
                assert_eq!(headers["content-language"], "en");
                let body: Value = serde_json::from_str(&body).unwrap();
                assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
                assert!(body["description"].as_str().unwrap().len() > 5, "{body}");
                Self::Rejected(body["err"].as_str().unwrap().to_owned())
            }
            503 => {
                assert!(headers.contains_key("retry-after"));
                Self::Status(503)
            }
            status => Self::Status(status),
        }
    }
}

fn rejected(err: &str) -> Answer {
    Answer::Rejected(err.to_owned())
}

fn user(subject: &str) -> Value {
    json!({ "format": "iss_sub", "iss": ISSUER, "sub": subject })
}

fn opaque(id: &str) -> Value {
    json!({ "format": "opaque", "id": id })
}
