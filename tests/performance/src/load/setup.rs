//! The settings that a server reads from its standard input: the issuer, its keys, and the maximum age
//! of a proof.

use std::io::{self, BufRead as _};

use dpop_tower::test_util::{KeyKind, TestClient, TestIssuer};
use serde_json::{Value, json};

use crate::URL;

/// The maximum age of a proof, in seconds. Proofs are signed before a round begins.
pub const MAX_AGE: u64 = 900;

/// The origin by which clients call the API.
pub const ORIGIN: &str = "https://api.example.com";

const ISSUER: &str = "https://issuer.test";
const AUDIENCE: &str = "https://api.test";

/// The settings that a server needs.
#[derive(Clone, Debug)]
pub struct Setup {
    pub issuer: String,
    pub audience: String,
    /// A JWK Set.
    pub jwks: String,
}

impl Setup {
    /// Creates the settings for this issuer.
    pub fn new(issuer: &TestIssuer) -> Self {
        Self {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks: issuer.jwks(),
        }
    }

    /// Formats the settings as one line of JSON.
    pub fn line(&self) -> String {
        let jwks: Value = serde_json::from_str(&self.jwks).expect("the issuer's keys are JSON");
        json!({
            "issuer": self.issuer,
            "audience": self.audience,
            "jwks": jwks,
            "origin": ORIGIN,
            "max_age": MAX_AGE,
        })
        .to_string()
    }

    /// Reads the settings from the first line of the standard input.
    pub fn read() -> io::Result<Self> {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line)?;
        let setup: Value = serde_json::from_str(&line)?;
        let text = |name: &str| {
            let missing = || io::Error::other(format!("the setup has no {name}"));
            setup[name].as_str().map(str::to_owned).ok_or_else(missing)
        };
        Ok(Self {
            issuer: text("issuer")?,
            audience: text("audience")?,
            jwks: setup["jwks"].to_string(),
        })
    }
}

/// An issuer, a client and a token that outlives the measurement.
#[derive(Debug)]
pub struct Parties {
    pub issuer: TestIssuer,
    pub client: TestClient,
    pub token: String,
}

impl Parties {
    /// Creates them with P-256 keys, since all servers support `ES256`.
    pub fn new() -> Self {
        let issuer = TestIssuer::with_key(KeyKind::P256)
            .issuer(ISSUER)
            .audience(AUDIENCE);
        let client = TestClient::with_key(KeyKind::P256);
        let token = issuer
            .token()
            .subject("alice")
            .scope("orders:read orders:write")
            .claim("client_id", "shop")
            .claim("exp", now() + 3600)
            .bound_to(&client)
            .mint();
        Self {
            issuer,
            client,
            token,
        }
    }

    /// Returns a valid proof.
    pub fn proof(&self) -> String {
        let proof = self.client.proof("GET", URL);
        proof.access_token(&self.token).sign()
    }
}

impl Default for Parties {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the time in seconds since 1970.
pub fn now() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("it is later than 1970").as_secs()
}
