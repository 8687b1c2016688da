use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    client::TestClient,
    jws::{Draft, breakable, object},
    key::{KeyKind, SigningKey, random},
};
use crate::{
    certificate::CertificateThumbprint,
    clock::{SystemClock, TimeSource, UnixTime},
    jose::base64url,
    jwk::Thumbprint,
    token::Issuer,
};

/// An authorization server with one signing key, which mints access tokens (RFC 9068).
///
/// Its issuer defaults to `https://issuer.test`, and its audience to `https://api.test`.
///
/// ```
/// use dpop_tower::{DpopConfig, PublicOrigin, test_util::{TestClient, TestIssuer}};
///
/// let issuer = TestIssuer::new().issuer("https://idp.example.com").audience("https://api.example.com");
/// let origin = PublicOrigin::new("https://api.example.com")?;
/// let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
///
/// let client = TestClient::new();
/// let token = issuer.token().subject("alice").scope("orders:read").bound_to(&client).mint();
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestIssuer {
    key: SigningKey,
    issuer: String,
    audience: String,
    kid: String,
    clock: Arc<dyn TimeSource>,
}

impl TestIssuer {
    /// Returns an issuer with a new P-256 key.
    pub fn new() -> Self {
        Self::with_key(KeyKind::P256)
    }

    /// Returns an issuer with a new key of this kind.
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

    /// Sets the issuer identifier, the `iss` of its tokens.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// Sets the audience, the `aud` of its tokens.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = audience.into();
        self
    }

    /// Sets the clock for the `iat` and `exp` of tokens. Defaults to the clock of the operating system.
    #[must_use]
    pub fn clock(mut self, clock: impl TimeSource) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Returns the public key as a JWK Set (RFC 7517 section 5).
    ///
    /// Serve it from a test server, or pass it to [`Issuer::jwks`].
    pub fn jwks(&self) -> String {
        let mut jwk = self.key.public_jwk();
        jwk.insert("kid".to_owned(), self.kid.clone().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), self.key.algorithm().as_str().into());
        json!({ "keys": [jwk] }).to_string()
    }

    /// Returns the metadata document (RFC 8414) of an issuer whose keys are at `jwks_uri`.
    ///
    /// A test server needs it if the configuration discovers the issuer.
    pub fn metadata(&self, jwks_uri: &str) -> String {
        json!({ "issuer": self.issuer, "jwks_uri": jwks_uri }).to_string()
    }

    /// Returns the [`Issuer`] for a configuration that accepts these tokens.
    ///
    /// It contains the keys, so the configuration fetches nothing.
    pub fn tokens(&self) -> Issuer {
        Issuer::new(self.issuer.as_str())
            .jwks(self.jwks())
            .audience(self.audience.as_str())
    }

    /// Begins a token that is valid for five minutes and is not bound to a key.
    ///
    /// Its `sub` is `test-subject` and its `client_id` is `test-client`. It has no scope.
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
            draft: Draft::new(self.key.clone(), header, payload),
            issued_at: now,
        }
    }
}

impl Default for TestIssuer {
    fn default() -> Self {
        Self::new()
    }
}

/// An access token that has not been signed yet; see [`TestIssuer::token`].
///
/// Every setter replaces one part of a valid token. Wrong parts are for negative tests:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use dpop_tower::{DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier};
/// use dpop_tower::test_util::{TestClient, TestIssuer};
///
/// let (issuer, client) = (TestIssuer::new(), TestClient::new());
/// let origin = PublicOrigin::new("https://api.example.com")?;
/// let verifier = Verifier::new(DpopConfig::builder(origin, issuer.tokens()).build()?);
///
/// let good = || issuer.token().bound_to(&client);
/// for (token, reason) in [
///     (issuer.token(), "token_not_bound"),
///     (issuer.token().bound_to(&TestClient::new()), "token_binding_mismatch"),
///     (good().expires_in(Duration::ZERO), "token_expired"),
///     (good().claim("aud", "https://other.test"), "token_audience_mismatch"),
///     (good().signed_by(&TestIssuer::new()), "token_signature_invalid"),
/// ] {
///     let request = client.get("https://api.example.com/orders", &token.mint());
///     let head = RequestHead::new(request.method(), request.uri(), request.headers());
///     match verifier.verify(head, &Policy::strict()).await {
///         Verdict::Admitted(_) => panic!("admitted a token that should be {reason}"),
///         Verdict::Rejected(rejection) => assert_eq!(rejection.reason(), reason),
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[must_use]
pub struct TokenBuilder {
    draft: Draft,
    issued_at: UnixTime,
}

impl TokenBuilder {
    /// Sets `sub`, the user or the service that the token is about.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Sets `scope`, a list of scopes separated by spaces (RFC 9068 section 2.2.3).
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// Sets `exp` to this long after [`TestIssuer::token`] was called, in whole seconds.
    ///
    /// Zero makes an expired token.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expires_at = self.issued_at.saturating_add(lifetime);
        self.claim("exp", expires_at.as_secs())
    }

    /// Sets `acr`, the class of the user's authentication (RFC 9470 section 6.1).
    ///
    /// [`Policy::require_acr`](crate::Policy::require_acr) checks it.
    pub fn acr(self, acr: &str) -> Self {
        self.claim("acr", acr)
    }

    /// Sets `auth_time`, the time when the user was authenticated (RFC 9470 section 6.1).
    ///
    /// [`Policy::max_auth_age`](crate::Policy::max_auth_age) checks it.
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

    /// Binds the token to the client certificate with this thumbprint (`cnf.x5t#S256`, RFC 8705 section 3.1).
    ///
    /// A binding to a key stays. Call it after [`bound_to`](Self::bound_to) for a token with both.
    pub fn bound_to_certificate(self, thumbprint: &CertificateThumbprint) -> Self {
        let cnf = self.draft.payload.get("cnf").cloned();
        let mut cnf = object(cnf.unwrap_or_default());
        cnf.insert("x5t#S256".to_owned(), thumbprint.to_string().into());
        self.claim("cnf", cnf)
    }

    /// Signs with the key of another issuer. The header keeps the `kid` of the first issuer.
    pub fn signed_by(mut self, other: &TestIssuer) -> Self {
        self.draft.key = other.key.clone();
        self
    }

    /// Signs the token and returns it in compact serialisation.
    pub fn mint(self) -> String {
        self.draft.sign()
    }
}

breakable!(TokenBuilder);
