//! The issuer's keys, the clients with their tokens, and the requests that are rejected.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::test_util::{KeyKind, TestClient, TestIssuer};

use crate::random::Random;

/// The origin by which clients call the services.
pub const ORIGIN: &str = "https://api.soak.test";
/// The issuer, and the audience of its tokens.
pub const ISSUER: &str = "https://idp.soak.test";

/// How long a client uses a token. It is valid for five minutes.
const TOKEN_AGE: Duration = Duration::from_secs(240);
/// How many admitted proofs are remembered, to be sent again.
const REPLAYS: usize = 4000;
/// How many parts of tokens and proofs are remembered, to be looked for in the logs.
const SENT: usize = 30_000;
/// How many characters of each part.
pub const MARK: usize = 16;

/// A client, and its present token.
#[derive(Debug)]
pub struct Client {
    pub key: TestClient,
    subject: String,
    token: Option<Token>,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    signing_key: usize,
    since: Instant,
}

/// What a request sends.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub token: String,
    pub proof: String,
}

/// All that the requests are made of.
#[derive(Debug)]
pub struct People {
    pub keys: Vec<TestIssuer>,
    /// Which of them signs tokens.
    pub current: usize,
    pub clients: Vec<Client>,
    /// Proofs that were admitted by the gateways, and by the axum service, which have a store each.
    used: [VecDeque<(Instant, Credentials)>; 2],
    /// A token whose key the issuer has withdrawn, and its client.
    pub withdrawn: Option<(usize, String)>,
    /// The beginnings of the parts of tokens and proofs that were sent.
    sent: VecDeque<[u8; MARK]>,
    random: Random,
}

impl People {
    /// Creates an issuer with so many keys, and so many clients.
    pub fn new(keys: usize, clients: usize) -> Self {
        let kind = |n: usize| match n % 2 {
            0 => KeyKind::P256,
            _ => KeyKind::Ed25519,
        };
        let issuer = |n| {
            TestIssuer::with_key(kind(n))
                .issuer(ISSUER)
                .audience(ORIGIN)
        };
        let client = |n| Client {
            key: TestClient::with_key(kind(n)),
            subject: format!("subject-{n}"),
            token: None,
        };
        Self {
            keys: (0..keys).map(issuer).collect(),
            current: 0,
            clients: (0..clients).map(client).collect(),
            used: Default::default(),
            withdrawn: None,
            sent: VecDeque::new(),
            random: Random::new(),
        }
    }

    /// Returns the JWK Set with these keys.
    pub fn jwks(&self, keys: impl Iterator<Item = usize>) -> String {
        let jwks = keys.map(|key| {
            let set: serde_json::Value =
                serde_json::from_str(&self.keys[key].jwks()).expect("it is JSON");
            set["keys"][0].clone()
        });
        serde_json::json!({ "keys": jwks.collect::<Vec<_>>() }).to_string()
    }

    /// Signs tokens with the next key from now on. Returns a token of the present one, and its client. It is valid for a
    /// day: that it has expired would be found before its key is looked for.
    pub fn next_key(&mut self) -> (usize, String) {
        let minted = self.keys[self.current].token();
        let token = minted
            .subject(&self.clients[0].subject)
            .scope("orders")
            .expires_in(Duration::from_secs(86_400))
            .bound_to(&self.clients[0].key)
            .mint();
        self.current += 1;
        (0, token)
    }

    /// Returns the present token of a client, and gets a new one if it is old.
    pub fn token(&mut self, client: usize) -> String {
        let client = &mut self.clients[client];
        if let Some(token) = &client.token
            && token.signing_key == self.current
            && token.since.elapsed() < TOKEN_AGE
        {
            return token.text.clone();
        }
        let minted = self.keys[self.current].token();
        let text = minted
            .subject(&client.subject)
            .scope("orders")
            .bound_to(&client.key)
            .mint();
        client.token = Some(Token {
            text: text.clone(),
            signing_key: self.current,
            since: Instant::now(),
        });
        text
    }

    /// Returns a good token and a good proof of a client.
    pub fn good(
        &mut self,
        client: usize,
        method: &str,
        path: &str,
        nonce: Option<&str>,
    ) -> Credentials {
        let token = self.token(client);
        let url = format!("{ORIGIN}{path}");
        let mut proof = self.clients[client]
            .key
            .proof(method, &url)
            .access_token(&token);
        if let Some(nonce) = nonce {
            proof = proof.nonce(nonce);
        }
        let proof = proof.sign();
        self.note(&token);
        self.note(&proof);
        Credentials { token, proof }
    }

    /// Remembers credentials for `GET /orders/42` that were admitted.
    pub fn admitted(&mut self, api: bool, credentials: Credentials) {
        let used = &mut self.used[usize::from(api)];
        // A part of them is enough.
        if self.random.below(8) == 0 {
            used.push_back((Instant::now(), credentials));
        }
        if used.len() > REPLAYS {
            used.pop_front();
        }
    }

    /// Forgets the proofs that were admitted by the gateways, since their tokens are rejected now.
    pub fn forget_used(&mut self) {
        self.used[0].clear();
    }

    /// Returns credentials that were admitted at most so long ago.
    pub fn used(&mut self, api: bool, at_most: Duration) -> Option<Credentials> {
        let used = &mut self.used[usize::from(api)];
        while used.front().is_some_and(|(at, _)| at.elapsed() > at_most) {
            used.pop_front();
        }
        let count = used.len();
        (count > 0).then(|| used[self.random.below(count)].1.clone())
    }

    /// Returns the beginnings of the parts of recent tokens and proofs.
    pub fn sent(&self) -> impl Iterator<Item = &[u8; MARK]> {
        self.sent.iter()
    }

    /// Remembers the beginnings of the parts, to be looked for in the logs.
    pub fn note(&mut self, jws: &str) {
        for part in jws.split('.') {
            if let Some(mark) = part.as_bytes().first_chunk() {
                self.sent.push_back(*mark);
            }
        }
        while self.sent.len() > SENT {
            self.sent.pop_front();
        }
    }

    /// Returns a token with an unknown `kid` for a client, with a proof of the client.
    pub fn unknown_kid(&mut self, client: usize) -> Credentials {
        let text = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let kid = format!("unknown-{}", self.random.next());
        let header = serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": kid });
        let now = dpop_tower_performance::load::setup::now();
        let payload = serde_json::json!({
            "iss": ISSUER, "aud": ORIGIN, "sub": "mallory", "client_id": "mallory",
            "iat": now, "exp": now + 300, "jti": kid,
            "cnf": { "jkt": self.clients[client].key.thumbprint().to_string() },
        });
        let signature = URL_SAFE_NO_PAD.encode([7; 64]);
        let token = format!("{}.{}.{signature}", text(header), text(payload));
        let proof = self.clients[client]
            .key
            .proof("GET", &format!("{ORIGIN}/orders/42"));
        let proof = proof.access_token(&token).sign();
        self.note(&token);
        self.note(&proof);
        Credentials { token, proof }
    }
}
