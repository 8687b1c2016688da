//! The development issuer, on a real socket.

mod codes;
mod devices;
mod pages;
mod program;
mod protected;
mod refresh;
mod settings;
mod tokens;

use std::net::SocketAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_cli::idp::{self, Idp, Settings};
use dpop_tower::{clock::ManualClock, test_util::TestClient};
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use openssl::sha::sha256;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{send, soon};

const AUDIENCE: &str = "https://api.test";

const CALLBACK: &str = "http://127.0.0.1:8400/callback";

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

const CODE: &str = "authorization_code";

const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// An issuer with a public client `app`, a client `api` with the secret `s3cret`, and the users `alice` and `bob`.
struct Rig {
    idp: Idp,
    address: SocketAddr,
    clock: ManualClock,
    client: TestClient,
}

/// A response of the issuer.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn text(&self, member: &str) -> String {
        let json = self.json();
        let value = json[member].as_str();
        value
            .unwrap_or_else(|| panic!("{self:?} has no {member}"))
            .to_owned()
    }

    /// Returns the status and the error code.
    fn error(&self) -> (u16, String) {
        (self.status, self.text("error"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns a parameter of the URL that the browser is sent to.
    fn returned(&self, name: &str) -> Option<String> {
        assert_eq!(self.status, 303, "{self:?}");
        let (_, query) = self.header("location").unwrap().split_once('?')?;
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.into_owned())
    }
}

/// Returns an error with the status 400.
fn bad(code: &str) -> (u16, String) {
    (400, code.to_owned())
}

impl Rig {
    async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// Starts an issuer with these members of the configuration in place of the defaults.
    async fn with(changes: Value) -> Self {
        let mut settings = json!({
            "audiences": [AUDIENCE, "https://other.test"],
            "scopes": ["openid", "read", "write"],
            "users": [
                { "subject": "alice", "claims": { "acr": "high", "sub": "root", "cnf": { "jkt": "x" } } },
                { "subject": "bob" },
            ],
            "clients": [
                { "client_id": "app" },
                { "client_id": "api", "client_secret": "s3cret" },
            ],
        });
        for (name, value) in changes.as_object().unwrap() {
            settings[name] = value.clone();
        }
        let settings = Settings::parse(&settings.to_string()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = ManualClock::starting_now();
        let idp = Idp::new(settings, &format!("http://{address}"), clock.clone()).unwrap();
        tokio::spawn(idp::serve(listener, idp.router(), std::future::pending()));
        Self {
            idp,
            address,
            client: TestClient::new().clock(clock.clone()),
            clock,
        }
    }

    /// Returns another client with the same clock.
    fn thief(&self) -> TestClient {
        TestClient::new().clock(self.clock.clone())
    }

    async fn send(&self, mut request: Request<String>) -> Answer {
        let host = self.address.to_string().parse().unwrap();
        request.headers_mut().entry(header::HOST).or_insert(host);
        let response = send(self.address, request.map(axum::body::Body::from)).await;
        let (parts, body) = response.into_parts();
        let body = soon(body.collect()).await.unwrap().to_bytes();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(String::new()).unwrap())
            .await
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> Request<String> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body.finish())
            .unwrap()
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.form(path, fields)).await
    }

    /// Sends a form with a new proof of this client.
    async fn prove(
        &self,
        client: &TestClient,
        path: &str,
        nonce: Option<&str>,
        fields: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.form(path, fields);
        let mut proof = client.proof("POST", &format!("{}{path}", self.idp.url()));
        if let Some(nonce) = nonce {
            proof = proof.nonce(nonce);
        }
        proof.sign_into(request.headers_mut());
        self.send(request).await
    }

    /// Asks for a token with a proof of the rig's client.
    async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        self.prove(&self.client, "/token", None, fields).await
    }

    async fn token_of(&self, client: &TestClient, fields: &[(&str, &str)]) -> Answer {
        self.prove(client, "/token", None, fields).await
    }

    /// Sends a browser to the authorization endpoint, with these parameters beside the usual ones.
    async fn authorize(&self, more: &[(&str, &str)]) -> Answer {
        let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
        let usual = [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", CALLBACK),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("state", "s t&te"),
        ];
        let mut query = form_urlencoded::Serializer::new(String::new());
        let is_replaced = |name: &str| more.iter().any(|(other, _)| *other == name);
        query.extend_pairs(usual.iter().filter(|(name, _)| !is_replaced(name)));
        query.extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
        self.get(&format!("/authorize?{}", query.finish())).await
    }

    async fn code(&self, more: &[(&str, &str)]) -> String {
        self.authorize(more).await.returned("code").unwrap()
    }

    /// Redeems a code of the public client.
    async fn redeem(&self, client: &TestClient, code: &str) -> Answer {
        self.token_of(client, &fields_of(code)).await
    }
}

fn fields_of(code: &str) -> [(&str, &str); 5] {
    [
        ("grant_type", CODE),
        ("client_id", "app"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ]
}

/// Returns the claims of a JWT, whose signature the layer verifies in other tests.
fn claims(jwt: &str) -> Value {
    let payload = jwt.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

/// The fields of a request of the client with a secret for itself.
const OF_API: [(&str, &str); 3] = [
    ("grant_type", "client_credentials"),
    ("client_id", "api"),
    ("client_secret", "s3cret"),
];

#[tokio::test]
async fn the_metadata_names_the_endpoints_under_the_issuer() {
    let rig = Rig::new().await;
    for path in ["oauth-authorization-server", "openid-configuration"] {
        let metadata = rig.get(&format!("/.well-known/{path}")).await.json();
        assert_eq!(metadata["issuer"], rig.idp.url());
        for (name, value) in metadata.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with(rig.idp.url()), "{name}");
            }
        }
        assert_eq!(
            metadata["code_challenge_methods_supported"],
            json!(["S256"])
        );
        assert_eq!(metadata["dpop_signing_alg_values_supported"][0], "ES256");
    }
    let keys = rig.get("/jwks").await.json();
    assert_eq!(keys["keys"][0]["alg"], "ES256");
    assert_eq!(keys["keys"][0].get("d"), None);
}

#[tokio::test]
async fn a_request_for_another_host_is_not_for_this_issuer() {
    let rig = Rig::new().await;
    for (host, status) in [
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost", StatusCode::OK),
        ("127.0.0.1:9", StatusCode::OK),
        ("127.0.0.1.evil.example", StatusCode::MISDIRECTED_REQUEST),
    ] {
        let request = Request::get("/jwks").header(header::HOST, host);
        let answer = rig.send(request.body(String::new()).unwrap()).await;
        assert_eq!(answer.status, status, "{host}");
    }
}
