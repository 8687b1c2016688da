use std::{fmt, sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use super::{
    client::TestClient,
    jws::{Draft, breakable},
    key::{KeyKind, SigningKey, random},
};
use crate::{
    clock::{SystemClock, TimeSource, UnixTime},
    jose::base64url,
    jwk::Thumbprint,
    token::Issuer,
};

/// An authorization server with one signing key that mints access tokens (RFC 9068).
///
/// Its issuer is `https://issuer.test` and its audience `https://api.test` unless changed.
#[derive(Clone)]
pub struct TestIssuer {
    key: SigningKey,
    issuer: String,
    audience: String,
    kid: String,
    clock: Arc<dyn TimeSource>,
}

impl TestIssuer {
    /// An issuer with a new P-256 key.
    pub fn new() -> Self {
        Self::with_key(KeyKind::P256)
    }

    /// An issuer with a new key of this kind.
    pub fn with_key(kind: KeyKind) -> Self {
        let key = SigningKey::generate(kind);
        Self {
            kid: key.thumbprint().to_string(),
            key,
            issuer: "https://issuer.test".to_owned(),
            audience: "https://api.test".to_owned(),
            clock: Arc::new(SystemClock),
        }
    }

    /// Sets the issuer identifier.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets the audience of its tokens.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Sets the clock that `iat` and `exp` are taken from.
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The public keys, as a JWK Set.
    pub fn jwks(&self) -> String {
        let mut jwk = self.key.public_jwk();
        jwk.insert("kid".to_owned(), self.kid.clone().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), self.key.algorithm().as_str().into());
        json!({ "keys": [jwk] }).to_string()
    }

    /// The metadata document (RFC 8414) of an issuer whose keys are at `jwks_uri`.
    pub fn metadata(&self, jwks_uri: &str) -> String {
        json!({ "issuer": self.issuer, "jwks_uri": jwks_uri }).to_string()
    }

    /// What a configuration needs to accept this issuer's tokens.
    pub fn tokens(&self) -> Issuer {
        Issuer::new(self.issuer.as_str())
            .jwks(self.jwks())
            .audience(self.audience.as_str())
    }

    /// A token that is valid for five minutes and bound to nothing; what else it should be is up to
    /// the builder.
    pub fn token(&self) -> TokenBuilder {
        let now = self.clock.now();
        let header = json!({
            "typ": "at+jwt",
            "alg": self.key.algorithm().as_str(),
            "kid": self.kid,
        });
        let payload = json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": "test-subject",
            "client_id": "test-client",
            "iat": now.as_secs(),
            "exp": now.saturating_add(Duration::from_secs(300)).as_secs(),
            "jti": base64url::encode(&random::<16>().unwrap_or_default()),
        });
        TokenBuilder {
            draft: Draft::new(self.key.clone(), object(header), object(payload)),
            issued_at: now,
        }
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestIssuer")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// An access token about to be minted. See [`TestIssuer::token`].
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    draft: Draft,
    issued_at: UnixTime,
}

impl TokenBuilder {
    /// Sets `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets `scope`: names separated by spaces.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets `exp`: this long after the token was begun, in whole seconds. Zero makes a token that has
    /// expired.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expires_at = self.issued_at.saturating_add(lifetime);
        self.claim("exp", expires_at.as_secs())
    }

    /// Sets `acr`: the way in which the user was authenticated (RFC 9470 section 6.1).
    pub fn acr(self, acr: &str) -> Self {
        self.claim("acr", acr)
    }

    /// Sets `auth_time`: when the user was authenticated (RFC 9470 section 6.1).
    pub fn auth_time(self, auth_time: UnixTime) -> Self {
        self.claim("auth_time", auth_time.as_secs())
    }

    /// Binds the token to a client's key (`cnf.jkt`, RFC 9449 section 6.1).
    pub fn bound_to(self, client: &TestClient) -> Self {
        self.bound_to_thumbprint(&client.thumbprint())
    }

    /// Binds the token to the key with this thumbprint.
    pub fn bound_to_thumbprint(self, thumbprint: &Thumbprint) -> Self {
        self.claim("cnf", json!({ "jkt": thumbprint.to_string() }))
    }

    /// Signs with another issuer's key; the header goes on naming the first one's.
    pub fn signed_by(mut self, other: &TestIssuer) -> Self {
        self.draft.key = other.key.clone();
        self
    }

    /// Signs the token.
    pub fn mint(self) -> String {
        self.draft.sign()
    }
}

breakable!(TokenBuilder);
