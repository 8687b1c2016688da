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
struct Client {
    key: TestClient,
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

/// A request that must be rejected.
#[derive(Debug)]
pub struct Bad {
    pub kind: &'static str,
    pub path: &'static str,
    /// The values of `Authorization` and of `DPoP`.
    pub authorization: Vec<String>,
    pub proofs: Vec<String>,
    pub status: u16,
    /// The `error_description` of the challenge, which stands for the reason.
    pub description: &'static str,
}

/// All that the requests are made of.
#[derive(Debug)]
pub struct People {
    keys: Vec<TestIssuer>,
    current: usize,
    clients: Vec<Client>,
    /// Proofs that were admitted by the gateways, and by the axum service, which have a store each.
    used: [VecDeque<(Instant, Credentials)>; 2],
    /// A token whose key the issuer has withdrawn, and its client.
    withdrawn: Option<(usize, String)>,
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

    /// Returns the number of the issuer's keys, past and future.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Returns the number of the key that signs tokens.
    pub fn current(&self) -> usize {
        self.current
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

    /// Sends this token of a client as one whose key has been withdrawn.
    pub fn withdraw(&mut self, token: (usize, String)) {
        self.withdrawn = Some(token);
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

    fn note(&mut self, jws: &str) {
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

    /// Returns the next of all kinds of bad requests.
    pub fn bad(&mut self, number: usize, max_age: u64) -> Bad {
        const URL: &str = "https://api.soak.test/orders/42";
        let client = number % self.clients.len();
        let token = self.token(client);
        let key = self.clients[client].key.clone();
        let other = TestClient::new();
        let issuer = self.keys[self.current].clone();
        let now = dpop_tower_performance::load::setup::now();
        let proof = || key.proof("GET", URL).access_token(&token);
        let for_token = |token: &str| key.proof("GET", URL).access_token(token).sign();
        let minted = || issuer.token().subject("alice").bound_to(&key);
        let with = |kind, proof: String, description| Bad {
            kind,
            path: "/orders/42",
            authorization: vec![format!("DPoP {token}")],
            proofs: vec![proof],
            status: 401,
            description,
        };
        let of = |kind, token: String, description| Bad {
            kind,
            path: "/orders/42",
            proofs: vec![for_token(&token)],
            authorization: vec![format!("DPoP {token}")],
            status: 401,
            description,
        };
        const KINDS: usize = 31;
        let bad = match number % KINDS {
            0 => Bad {
                proofs: vec![],
                ..with("no proof", String::new(), "the DPoP header is missing")
            },
            1 => with(
                "proof signature",
                proof().corrupt_signature().sign(),
                "the proof's signature is invalid",
            ),
            2 => with(
                "proof signed by another key",
                proof().signed_by(&other_kind(&key)).sign(),
                "the proof's signature is invalid",
            ),
            3 => with(
                "typ",
                proof().header("typ", "jwt").sign(),
                "the proof's typ is not dpop+jwt",
            ),
            4 => with(
                "alg none",
                proof().header("alg", "none").sign(),
                "the proof's alg is not allowed",
            ),
            5 => with(
                "htm",
                key.proof("POST", URL).access_token(&token).sign(),
                "the proof is for another method",
            ),
            6 => with(
                "htu",
                key.proof("GET", "https://api.soak.test/orders/43")
                    .access_token(&token)
                    .sign(),
                "the proof is for another URI",
            ),
            7 => with(
                "htu of another origin",
                key.proof("GET", "https://api.test/orders/42")
                    .access_token(&token)
                    .sign(),
                "the proof is for another URI",
            ),
            8 => with(
                "iat in the past",
                proof().claim("iat", now - 2 * max_age - 60).sign(),
                "the proof is too old",
            ),
            9 => with(
                "iat in the future",
                proof().claim("iat", now + 120).sign(),
                "the proof's iat is in the future",
            ),
            10 => with(
                "ath",
                key.proof("GET", URL).access_token("another").sign(),
                "the proof's ath is not the hash of the access token",
            ),
            11 => with(
                "no jti",
                proof().without_claim("jti").sign(),
                "a required claim of the proof is missing",
            ),
            12 => with(
                "jti a number",
                proof().claim("jti", 7).sign(),
                "a claim of the proof is invalid",
            ),
            13 => with(
                "crit",
                proof().header("crit", serde_json::json!(["b64"])).sign(),
                "the proof has a critical extension",
            ),
            14 => with(
                "not a JWT",
                "e30.e30".to_owned(),
                "the proof is not a well-formed JWT",
            ),
            15 => with(
                "no jwk",
                proof().without_header("jwk").sign(),
                "the proof's jwk is missing or not an acceptable public key",
            ),
            16 => with(
                "too long",
                "e".repeat(16 * 1024 + 1),
                "the proof is too long",
            ),
            17 => Bad {
                proofs: vec![proof().sign(), proof().sign()],
                ..with(
                    "two proofs",
                    String::new(),
                    "there is more than one DPoP header",
                )
            },
            18 => with(
                "key of a thief",
                other.proof("GET", URL).access_token(&token).sign(),
                "the token is bound to another key",
            ),
            19 => Bad {
                authorization: vec![format!("Bearer {token}")],
                ..with(
                    "bound token as Bearer",
                    proof().sign(),
                    "only DPoP-bound tokens with the DPoP scheme are accepted",
                )
            },
            20 => Bad {
                authorization: vec![],
                proofs: vec![],
                ..with("no credentials", String::new(), "")
            },
            21 => Bad {
                authorization: vec![format!("DPoP {token}"); 2],
                status: 400,
                ..with(
                    "two tokens",
                    proof().sign(),
                    "there is more than one Authorization header",
                )
            },
            22 => of(
                "token signature",
                minted().corrupt_signature().mint(),
                "the token's signature is invalid",
            ),
            23 => of(
                "token expired",
                minted()
                    .claim("exp", now - 600)
                    .claim("iat", now - 900)
                    .mint(),
                "the token has expired",
            ),
            24 => of(
                "token of the future",
                minted().claim("nbf", now + 600).mint(),
                "the token is not valid yet",
            ),
            25 => of(
                "iss",
                minted().claim("iss", "https://other.test").mint(),
                "the token is of another issuer",
            ),
            26 => of(
                "aud",
                minted().claim("aud", "https://other.test").mint(),
                "the token is for another audience",
            ),
            27 => of(
                "token not bound",
                issuer.token().subject("alice").mint(),
                "the token is not bound to a key",
            ),
            28 => of(
                "token typ",
                minted().header("typ", "JWT").mint(),
                "the token's typ is not that of an access token",
            ),
            29 => Bad {
                path: "/reports/7",
                status: 403,
                ..with(
                    "scope",
                    key.proof("GET", "https://api.soak.test/reports/7")
                        .access_token(&token)
                        .sign(),
                    "the token lacks a scope",
                )
            },
            _ => match &self.withdrawn {
                Some((client, token)) => Bad {
                    authorization: vec![format!("DPoP {token}")],
                    ..with(
                        "withdrawn key",
                        self.clients[*client]
                            .key
                            .proof("GET", URL)
                            .access_token(token)
                            .sign(),
                        "the token is signed with an unknown key",
                    )
                },
                None => Bad {
                    authorization: vec!["DPoP".to_owned()],
                    status: 400,
                    ..with(
                        "malformed credentials",
                        proof().sign(),
                        "the Authorization header is malformed",
                    )
                },
            },
        };
        let texts = bad.authorization.iter().chain(&bad.proofs);
        for text in texts.cloned().collect::<Vec<_>>() {
            self.note(text.trim_start_matches("DPoP "));
        }
        bad
    }
}

/// Returns a client with another key of the same kind.
fn other_kind(client: &TestClient) -> TestClient {
    let header = client.proof("GET", ORIGIN).header_json();
    TestClient::with_key(if header.contains("ES256") {
        KeyKind::P256
    } else {
        KeyKind::Ed25519
    })
}
