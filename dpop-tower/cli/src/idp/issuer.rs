//! The issuer: its settings, its key and what it remembers.

use std::sync::{Arc, Mutex, MutexGuard};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
#[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
use dpop_tower::crypto::AwsLcRs as Backend;
#[cfg(feature = "josekit")]
use dpop_tower::crypto::Josekit as Backend;
use dpop_tower::{
    DpopConfig, Policy, PublicOrigin,
    client::ClientKey,
    clock::{TimeSource, UnixTime},
    crypto::CryptoProvider as _,
    jwk::KeyParameters,
    token_endpoint::TokenEndpointLayer,
};
use serde_json::{Map, Value, json};

use super::{
    error::OauthError,
    expiring::Digest,
    settings::{Settings, User},
    store::{Authorization, Store},
};
use crate::failure::Failure;

/// A development issuer. Clones are the same issuer.
#[derive(Clone, Debug)]
pub struct Idp(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) url: String,
    pub(super) settings: Settings,
    pub(super) layer: TokenEndpointLayer,
    /// Whether the secrets are new, so that nobody knows them yet.
    has_new_secrets: bool,
    key: ClientKey,
    clock: Arc<dyn TimeSource>,
    store: Mutex<Store>,
}

impl Idp {
    /// Returns an issuer with a new signing key, at `url` unless the settings have another URL.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is no origin, or if no key can be made for the signing algorithm.
    pub fn new(mut settings: Settings, url: &str, clock: impl TimeSource) -> Result<Self, Failure> {
        let wrong = |error: &dyn std::error::Error| Failure::wrong_use(error.to_string());
        let url = settings.issuer.take().unwrap_or_else(|| url.to_owned());
        let url = url.trim_end_matches('/').to_owned();
        let origin = PublicOrigin::new(&url).map_err(|error| wrong(&error))?;
        let clock: Arc<dyn TimeSource> = Arc::new(clock);
        let policy = match settings.require_dpop {
            true => Policy::strict(),
            false => Policy::optional(),
        };
        let config = DpopConfig::authorization_server(origin)
            .clock(Arc::clone(&clock))
            .policy(policy);
        let config = match settings.nonces {
            true => config.require_nonces(),
            false => config,
        };
        let config = config.build().map_err(|error| wrong(&error))?;
        let algorithm = settings.algorithm().map_err(Failure::wrong_use)?;
        let key = ClientKey::generate(algorithm).map_err(|error| wrong(&error))?;
        let has_new_secrets = settings.clients.is_empty();
        if has_new_secrets {
            let secret = random_text::<16>().map_err(|_| {
                Failure::wrong_use("the operating system has no randomness for a secret")
            })?;
            settings = settings.with_default_clients(secret);
        }
        Ok(Self(Arc::new(Inner {
            url,
            settings,
            layer: TokenEndpointLayer::new(config),
            has_new_secrets,
            key,
            clock,
            store: Mutex::new(Store::new()),
        })))
    }

    /// Returns the identifier of the issuer.
    pub fn url(&self) -> &str {
        &self.0.url
    }

    /// Returns the audience of tokens for which no other is requested.
    pub fn default_audience(&self) -> &str {
        let audiences = &self.0.settings.audiences;
        audiences.first().map_or("", String::as_str)
    }

    /// Returns the clients as JSON, with the secrets of those that the settings do not have.
    pub fn clients(&self) -> Value {
        let clients = self.0.settings.clients.iter().map(|client| {
            let mut shown = json!({ "client_id": client.client_id });
            if let Some(secret) = client
                .client_secret
                .as_ref()
                .filter(|_| self.0.has_new_secrets)
            {
                shown["client_secret"] = secret.0.as_str().into();
            }
            shown
        });
        clients.collect()
    }
}

impl Inner {
    pub(super) fn now(&self) -> UnixTime {
        self.clock.now()
    }

    pub(super) fn store(&self) -> Result<MutexGuard<'_, Store>, OauthError> {
        // After a panic it may be in any state.
        self.store.lock().map_err(|_| OauthError::server_error())
    }

    /// Returns the authorization of a user who has just been signed in.
    pub(super) fn authorize(
        &self,
        user: &User,
        client_id: &str,
        scope: Vec<String>,
        audience: Vec<String>,
    ) -> Result<Authorization, OauthError> {
        Ok(Authorization {
            client_id: client_id.to_owned(),
            subject: user.subject.clone(),
            claims: user.claims.clone(),
            scope,
            audience,
            auth_time: Some(self.now().as_secs()),
            family: random()?,
        })
    }

    pub(super) fn user(&self, subject: &str) -> Option<&User> {
        let mut users = self.settings.users.iter();
        users.find(|user| user.subject == subject)
    }

    /// Signs claims as a JWT.
    pub(super) fn sign(
        &self,
        typ: &str,
        claims: &Map<String, Value>,
    ) -> Result<String, OauthError> {
        let header = json!({
            "typ": typ,
            "alg": self.key.algorithm().as_str(),
            "kid": self.key.thumbprint().to_string(),
        });
        let encode = |json: String| URL_SAFE_NO_PAD.encode(json);
        let claims = Value::Object(claims.clone());
        let mut jwt = format!(
            "{}.{}",
            encode(header.to_string()),
            encode(claims.to_string())
        );
        let signature = self.key.sign(jwt.as_bytes());
        let signature = signature.map_err(|_| OauthError::server_error())?;
        jwt.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
        Ok(jwt)
    }

    /// Returns the JWK Set.
    pub(super) fn jwks(&self) -> Value {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let mut key = match self.key.public_jwk().parameters() {
            KeyParameters::Ec { curve, point } => json!({
                "kty": "EC", "crv": curve.as_str(), "x": encode(point.x()), "y": encode(point.y()),
            }),
            KeyParameters::Ed25519 { x } => json!({
                "kty": "OKP", "crv": "Ed25519", "x": encode(x),
            }),
            KeyParameters::Rsa { n, e } => json!({ "kty": "RSA", "n": encode(n), "e": encode(e) }),
            _ => json!({}),
        };
        key["kid"] = self.key.thumbprint().to_string().into();
        key["alg"] = self.key.algorithm().as_str().into();
        key["use"] = "sig".into();
        json!({ "keys": [key] })
    }
}

pub(super) fn digest(text: &str) -> Digest {
    Backend.sha256(&[text.as_bytes()])
}

/// Returns the `S256` challenge of a verifier (RFC 7636 section 4.2).
pub(super) fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(verifier))
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], OauthError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| OauthError::server_error())?;
    Ok(bytes)
}

pub(super) fn random_text<const N: usize>() -> Result<String, OauthError> {
    Ok(URL_SAFE_NO_PAD.encode(random::<N>()?))
}
