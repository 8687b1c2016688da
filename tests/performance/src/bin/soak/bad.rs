//! Requests that must be rejected.

use dpop_tower::test_util::{KeyKind, TestClient};
use dpop_tower_performance::load::setup::now;

use crate::people::{ORIGIN, People};

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

impl People {
    /// Returns the next of all kinds of bad requests.
    pub fn bad(&mut self, number: usize, max_age: u64) -> Bad {
        const URL: &str = "https://api.soak.test/orders/42";
        let client = number % self.clients.len();
        let token = self.token(client);
        let key = self.clients[client].key.clone();
        let other = TestClient::new();
        let issuer = self.keys[self.current].clone();
        let now = now();
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
