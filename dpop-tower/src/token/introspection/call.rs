//! One call of the endpoint over HTTP.

use std::time::Duration;

use form_urlencoded::Serializer;
use http::{HeaderValue, header};
use reqwest::{Client, Response, StatusCode, redirect};
use tokio::time::timeout;

use super::{
    credentials::{ApiClient, CallCredentials},
    error::Failure,
    location::Location,
};
use crate::{
    clock::UnixTime,
    error::{ConfigError, ConfigErrorKind},
    http_client::tls_of_the_crypto_backend,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Many servers keep an idle connection for a minute. This is less, so that connections are rarely found
/// closed.
const IDLE: Duration = Duration::from_secs(30);

/// The maximum length of an answer in bytes.
const MAX_ANSWER_LEN: usize = 64 * 1024;

/// The form of answers that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON (RFC 7662 section 2.2).
    Json,
    /// A signed JWT (RFC 9701 section 4).
    Jwt,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Jwt => "application/token-introspection+jwt",
        }
    }
}

/// The endpoint, and the HTTP client that calls it.
#[derive(Debug)]
pub(super) struct Endpoint {
    location: Location,
    issuer: String,
    client: ApiClient,
    form: Form,
    timeout: Duration,
    http: Client,
}

impl Endpoint {
    pub(super) fn new(
        location: Location,
        issuer: String,
        client: ApiClient,
        form: Form,
        timeout: Duration,
        most_calls: usize,
    ) -> Result<Self, ConfigError> {
        let http = tls_of_the_crypto_backend(Client::builder())
            // The token and the credentials are for this endpoint alone.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(most_calls)
            .user_agent(concat!("dpop-tower/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ConfigError::new(
                    ConfigErrorKind::AccessTokens,
                    "the HTTP client for introspection cannot be set up",
                )
                .with_source(error)
            })?;
        Ok(Self {
            location,
            issuer,
            client,
            form,
            timeout,
            http,
        })
    }

    /// Asks about a token and returns the body of the answer.
    pub(super) async fn ask(&self, token: &str, now: UnixTime) -> Result<Vec<u8>, Failure> {
        let url = self.location.url().await?;
        let answer = async {
            match self.ask_once(url.clone(), token, now).await {
                // A pooled connection may have been closed. Asking has no effect, so it can be repeated.
                Err(Failure::Connection(_)) => self.ask_once(url, token, now).await,
                answer => answer,
            }
        };
        timeout(self.timeout, answer)
            .await
            .unwrap_or(Err(Failure::TimedOut))
    }

    async fn ask_once(
        &self,
        url: reqwest::Url,
        token: &str,
        now: UnixTime,
    ) -> Result<Vec<u8>, Failure> {
        let credentials = self.client.credentials(&self.issuer, now)?;
        let form = form(token, &credentials);
        let mut request = self
            .http
            .post(url)
            .header(header::ACCEPT, self.form.media_type())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        if let Some(authorization) = credentials.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let response = request.send().await.map_err(Failure::of_connection)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status().as_u16()));
        }
        if !has_media_type(&response, self.form.media_type()) {
            return Err(Failure::ContentType);
        }
        body(response).await
    }
}

/// RFC 7662 section 2.1: the token is in the body.
fn form(token: &str, credentials: &CallCredentials) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("token", token)
        .append_pair("token_type_hint", "access_token");
    credentials.write(&mut form);
    form.finish()
}

fn has_media_type(response: &Response, expected: &str) -> bool {
    let mut values = response.headers().get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().map(HeaderValue::to_str), values.next()) else {
        return false;
    };
    // RFC 9110 section 8.3.1: parameters can follow, and case does not matter.
    value.is_ok_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(expected)
    })
}

async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Failure::of_connection)? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER_LEN {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
