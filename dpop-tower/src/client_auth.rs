//! How this process authenticates as a client of an authorization server: with a secret or with a signed assertion.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use form_urlencoded::{Serializer, byte_serialize};
use http::HeaderValue;
use serde_json::json;
use zeroize::Zeroizing;

use crate::{
    clock::UnixTime,
    crypto::{
        Algorithm,
        signing::{SigningKey, SigningKeyError},
    },
    error::{ConfigError, ConfigErrorKind},
    jose::base64url,
};

/// How long a client assertion is valid, in seconds. It is used at once.
const ASSERTION_LIFETIME: i64 = 60;

/// The secret that this process, as a client, shares with an authorization server.
///
/// It is erased from memory when it is dropped, and `Debug` hides it.
///
/// ```
/// # #[cfg(feature = "introspection")] {
/// use dpop_tower::token::ClientSecret;
///
/// let secret = ClientSecret::new("7Fjfp0ZBr1KtDRbnfVdmIw")?;
/// assert_eq!(format!("{secret:?}"), "ClientSecret(..)");
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
pub struct ClientSecret(Zeroizing<String>);

impl ClientSecret {
    /// Takes a secret.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] of the kind
    /// [`ClientAuthentication`](ConfigErrorKind::ClientAuthentication) if the secret is empty or contains a
    /// control character, such as the line break at the end of a file.
    pub fn new(secret: impl Into<String>) -> Result<Self, ConfigError> {
        let secret = Zeroizing::new(secret.into());
        if secret.is_empty() {
            return Err(unusable("the client secret is empty"));
        }
        if secret.chars().any(char::is_control) {
            return Err(unusable(
                "the client secret contains a control character, such as the line break at the end of a file",
            ));
        }
        Ok(Self(secret))
    }

    #[cfg(feature = "client-tokens")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(..)")
    }
}

/// The private key with which this process, as a client, authenticates at an authorization server (RFC 7523).
///
/// It is a key on P-256 (`ES256`), an Ed25519 key (`EdDSA`) or an RSA key (`PS256`, `RS256`). The default
/// crypto backend of the build keeps it, and erases it when it is dropped. `Debug` hides it. Clones share one
/// key.
///
/// ```
/// # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "introspection"))] {
/// use dpop_tower::token::ClientSigningKey;
///
/// // RFC 8037 appendix A.1
/// let key = ClientSigningKey::from_jwk(
///     r#"{
///         "kty": "OKP",
///         "crv": "Ed25519",
///         "kid": "orders-1",
///         "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
///         "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
///     }"#,
/// )?;
/// assert!(format!("{key:?}").contains("orders-1"));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct ClientSigningKey(SigningKey);

impl ClientSigningKey {
    /// Parses a private JWK (RFC 7517).
    ///
    /// The key signs with its `alg`. Without one, it signs with `ES256`, `EdDSA` or `PS256`, whichever fits.
    /// A `kid` is sent with each assertion.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] of the kind
    /// [`ClientAuthentication`](ConfigErrorKind::ClientAuthentication) if it is not a private key of a
    /// supported kind, or if its halves do not belong together.
    pub fn from_jwk(jwk: &str) -> Result<Self, ConfigError> {
        SigningKey::from_jwk(jwk).map(Self).map_err(unusable_key)
    }

    /// Parses an unencrypted private key in PKCS#8, as PEM with the label `PRIVATE KEY`.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`from_jwk`](Self::from_jwk).
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, ConfigError> {
        SigningKey::from_pkcs8_pem(pem)
            .map(Self)
            .map_err(unusable_key)
    }

    /// Sets the algorithm, such as `RS256` for an RSA key.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the algorithm does not fit the key, or is not supported.
    pub fn with_algorithm(self, algorithm: Algorithm) -> Result<Self, ConfigError> {
        self.0
            .with_algorithm(algorithm)
            .map(Self)
            .map_err(unusable_key)
    }

    /// Sets the `kid` that is sent with each assertion.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self(self.0.with_kid(kid.into()))
    }
}

impl fmt::Debug for ClientSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientSigningKey")
            .field("algorithm", &self.0.algorithm().as_str())
            .field("kid", &self.0.kid())
            .finish_non_exhaustive()
    }
}

fn unusable_key(error: SigningKeyError) -> ConfigError {
    let message = format!("the client's private key cannot be used: {error}");
    ConfigError::new(ConfigErrorKind::ClientAuthentication, message)
}

fn unusable(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::ClientAuthentication, message)
}

/// RFC 6749 section 2.3.1: both are form-encoded before they become HTTP Basic credentials.
pub(crate) fn basic(id: &str, ClientSecret(secret): &ClientSecret) -> Option<HeaderValue> {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encoded(id), encoded(secret)));
    let value = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
    let mut value = HeaderValue::try_from(value.as_str()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Makes a client assertion (RFC 7523 section 3). Its audience is the issuer, and not the endpoint, so that
/// another server cannot use it. There is none if the system has no randomness, or cannot sign.
pub(crate) fn assertion(
    id: &str,
    issuer: &str,
    ClientSigningKey(key): &ClientSigningKey,
    now: UnixTime,
) -> Option<String> {
    let mut jti = [0; 16];
    getrandom::fill(&mut jti).ok()?;
    let mut header = json!({ "alg": key.algorithm().as_str(), "typ": "JWT" });
    if let (Some(kid), Some(header)) = (key.kid(), header.as_object_mut()) {
        header.insert("kid".to_owned(), kid.into());
    }
    let claims = json!({
        "iss": id,
        "sub": id,
        "aud": issuer,
        "jti": base64url::encode(&jti),
        "iat": now.as_secs(),
        "exp": now.as_secs().saturating_add(ASSERTION_LIFETIME),
    });
    let mut jws = base64url::encode(header.to_string().as_bytes());
    jws.push('.');
    base64url::encode_onto(claims.to_string().as_bytes(), &mut jws);
    let signature = key.sign(jws.as_bytes()).ok()?;
    jws.push('.');
    base64url::encode_onto(&signature, &mut jws);
    Some(jws)
}

/// Adds the parameters of RFC 7521 section 4.2.
pub(crate) fn write_assertion(assertion: &str, form: &mut Serializer<'_, String>) {
    form.append_pair(
        "client_assertion_type",
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    )
    .append_pair("client_assertion", assertion);
}
