use std::{fmt, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};
use zeroize::Zeroizing;

use super::{
    OAuthError, OAuthErrorKind, TokenClient, TokenRequest, TokenSet, call::Proof, client::endpoint,
    error::printable,
};
use crate::jose::json::{Object, Value};

/// RFC 8628 section 3.2: the default.
const INTERVAL: Duration = Duration::from_secs(5);

/// RFC 8628 section 3.5
const SLOWER: Duration = Duration::from_secs(5);

/// The longest that a user gets, whatever the server says.
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

const MAX_INTERVAL: Duration = Duration::from_secs(300);

/// A request to the user to visit a page and to enter a code there, possibly on another device (RFC 8628).
///
/// `Debug` hides the code with which the token is obtained.
pub struct DeviceAuthorization {
    device_code: Zeroizing<String>,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires: Instant,
    interval: Duration,
}

impl DeviceAuthorization {
    /// Returns the code that the user enters.
    pub fn user_code(&self) -> &str {
        &self.user_code
    }

    /// Returns the page on which the user enters the code.
    pub fn verification_uri(&self) -> &str {
        &self.verification_uri
    }

    /// Returns the page with the code in its URL, for a QR code or a link.
    pub fn verification_uri_complete(&self) -> Option<&str> {
        self.verification_uri_complete.as_deref()
    }

    fn read(text: &[u8]) -> Option<Self> {
        let object = Object::parse(text)?;
        let text = |name| object.get(name).and_then(Value::as_str);
        let seconds = |name| match object.get(name)? {
            Value::Number(number) => number.as_u64().map(Duration::from_secs),
            _ => None,
        };
        // Some servers have written `verification_url`, as a draft did.
        let uri = text("verification_uri").or_else(|| text("verification_url"))?;
        let lifetime = seconds("expires_in").unwrap_or(MAX_LIFETIME);
        let interval = seconds("interval").unwrap_or(INTERVAL);
        Some(Self {
            device_code: Zeroizing::new(text("device_code")?.to_owned()),
            user_code: printable(text("user_code")?),
            verification_uri: web_page(uri)?,
            verification_uri_complete: text("verification_uri_complete").and_then(web_page),
            expires: Instant::now() + lifetime.min(MAX_LIFETIME),
            interval: interval.clamp(Duration::from_secs(1), MAX_INTERVAL),
        })
    }
}

/// Returns a URL that may be shown to the user, and opened.
fn web_page(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.into())
}

impl fmt::Debug for DeviceAuthorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceAuthorization")
            .field("verification_uri", &self.verification_uri)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

impl TokenClient {
    /// Begins the device flow. Show the page and the code to the user, and then wait with
    /// [`finish_device_authorization`](Self::finish_device_authorization).
    ///
    /// # Errors
    ///
    /// Returns an [`OAuthError`] if the server does not support the flow, does not answer, or rejects the
    /// request.
    pub async fn start_device_authorization(
        &self,
        request: &TokenRequest,
    ) -> Result<DeviceAuthorization, OAuthError> {
        let server = self.server().await?;
        let url = endpoint(
            server.device_authorization.as_ref(),
            "device_authorization_endpoint",
        )?;
        let parameters = request.parameters();
        let answer = self.caller().post(url, &parameters, Proof::Without).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error());
        }
        DeviceAuthorization::read(&answer.text).ok_or_else(|| {
            let message = "the answer of the device authorization endpoint is not usable";
            OAuthError::new(OAuthErrorKind::Answer, message)
        })
    }

    /// Waits until the user has entered the code, and obtains the tokens.
    ///
    /// It asks in the interval that the server wants, and more slowly while the server is out of reach.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Expired`](OAuthErrorKind::Expired) if the user does not answer in time, or
    /// [`Rejected`](OAuthErrorKind::Rejected) with the code `access_denied` if the user declines; and the errors
    /// of [`client_credentials`](Self::client_credentials).
    pub async fn finish_device_authorization(
        &self,
        authorization: DeviceAuthorization,
    ) -> Result<TokenSet, OAuthError> {
        let expires = authorization.expires;
        let expired = |_| {
            let message = "the code for the user has expired";
            OAuthError::new(OAuthErrorKind::Expired, message)
        };
        let asking = self.ask_for_device(&authorization);
        timeout_at(expires, asking).await.map_err(expired)?
    }

    async fn ask_for_device(
        &self,
        authorization: &DeviceAuthorization,
    ) -> Result<TokenSet, OAuthError> {
        let mut interval = authorization.interval;
        loop {
            sleep(interval).await;
            let code = authorization.device_code.as_str().to_owned();
            let asked = self.grant(
                "urn:ietf:params:oauth:grant-type:device_code",
                vec![("device_code", code)],
            );
            let error = match asked.await {
                Ok(tokens) => return Ok(tokens),
                Err(error) => error,
            };
            // RFC 8628 section 3.5
            match (error.code(), error.kind()) {
                (Some("authorization_pending"), _) => {}
                (Some("slow_down"), _) => interval = (interval + SLOWER).min(MAX_INTERVAL),
                (Some("expired_token"), _) => {
                    let message = "the code for the user has expired";
                    return Err(OAuthError::new(OAuthErrorKind::Expired, message));
                }
                (None, OAuthErrorKind::Unreachable) => interval = (interval * 2).min(MAX_INTERVAL),
                _ => return Err(error),
            }
        }
    }
}
