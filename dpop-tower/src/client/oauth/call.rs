//! Requests to the authorization server: a form with credentials and a proof.

use std::{error::Error as _, sync::Arc, time::Duration};

use form_urlencoded::Serializer;
use http::{HeaderValue, Method, StatusCode, Uri, header};
use reqwest::{Client, Response, Url, redirect};
use tokio::time::timeout;

use super::{OAuthError, OAuthErrorKind, parameters::Parameters};
use crate::{
    client::{
        DpopClient,
        nonce::{NewestNonce, Nonce},
    },
    client_auth::{ClientSecret, ClientSigningKey, assertion, basic, write_assertion},
    clock::{SystemClock, TimeSource as _},
    error::{ConfigError, ConfigErrorKind},
    header::DPOP,
    http_client::tls_of_the_crypto_backend,
    jose::json::{Object, Value},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The maximum length of an answer in bytes.
const MAX_ANSWER_LEN: usize = 256 * 1024;

/// How the client authenticates (RFC 6749 section 2.3, RFC 7523). `Debug` hides secrets.
#[derive(Clone, Debug)]
pub(super) enum Authentication {
    /// A public client only has an identifier.
    None,
    Basic(Arc<ClientSecret>),
    Post(Arc<ClientSecret>),
    PrivateKeyJwt(ClientSigningKey),
}

/// What every request to the server has in common.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) authentication: Authentication,
    pub(super) dpop: DpopClient,
    /// The newest nonce of the authorization server, which is not for resource servers (RFC 9449 section 8).
    nonce: NewestNonce,
    timeout: Duration,
    http: Client,
}

/// An answer with a body that is short enough.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) text: Vec<u8>,
}

/// Whether a request has a proof.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    With,
    Without,
}

impl Caller {
    pub(super) fn new(
        issuer: String,
        client_id: String,
        authentication: Authentication,
        dpop: DpopClient,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let http = tls_of_the_crypto_backend(Client::builder())
            // Credentials and codes are for these endpoints alone.
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            // A token request must not be sent twice, so it does not meet a connection that was closed.
            .pool_max_idle_per_host(0)
            .user_agent(concat!("dpop-tower/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ConfigError::new(
                    ConfigErrorKind::ClientAuthentication,
                    "the HTTP client for the authorization server cannot be set up",
                )
                .with_source(error)
            })?;
        Ok(Self {
            issuer,
            client_id,
            authentication,
            dpop,
            nonce: NewestNonce::default(),
            timeout,
            http,
        })
    }

    /// Sends a form with the credentials of the client, and once more with a new proof if the server wants a
    /// nonce (RFC 9449 section 8).
    pub(super) async fn post(
        &self,
        url: &Url,
        parameters: &Parameters,
        proof: Proof,
    ) -> Result<Answer, OAuthError> {
        let (answer, nonce) = self.post_once(url, parameters, proof).await?;
        let wants_nonce = proof == Proof::With
            && error_of(&answer).is_some_and(|(code, _)| code == "use_dpop_nonce");
        if wants_nonce && nonce.is_some() {
            return Ok(self.post_once(url, parameters, proof).await?.0);
        }
        Ok(answer)
    }

    async fn post_once(
        &self,
        url: &Url,
        parameters: &Parameters,
        proof: Proof,
    ) -> Result<(Answer, Option<Nonce>), OAuthError> {
        let (form, authorization) = self.form(parameters)?;
        let mut request = self
            .http
            .post(url.clone())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if proof == Proof::With {
            request = request.header(DPOP, self.proof(url).await?);
        }
        let exchange = async {
            let response = request.send().await.map_err(no_answer)?;
            let nonce = Nonce::of(response.headers());
            if let Some(nonce) = &nonce {
                self.nonce.set(nonce);
            }
            let status = response.status();
            let text = body(response).await?;
            Ok((Answer { status, text }, nonce))
        };
        timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            let message = "the authorization server did not answer in time";
            Err(OAuthError::new(OAuthErrorKind::Unreachable, message))
        })
    }

    async fn proof(&self, url: &Url) -> Result<String, OAuthError> {
        let uri: Uri = url.as_str().parse().map_err(|_| {
            let message = "the URL of an endpoint is not usable";
            OAuthError::new(OAuthErrorKind::Discovery, message)
        })?;
        let mut proof = self.dpop.proof(&Method::POST, &uri)?;
        if let Some(nonce) = self.nonce.get() {
            proof = proof.nonce(nonce.text().as_ref());
        }
        Ok(proof.sign().await?)
    }

    /// Writes the form, and the header with the credentials if they are not in the form.
    fn form(&self, parameters: &Parameters) -> Result<(String, Option<HeaderValue>), OAuthError> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(parameters);
        let authorization = self.authenticate(&mut form)?;
        Ok((form.finish(), authorization))
    }

    /// Adds the credentials to the form, or returns the header with them.
    fn authenticate(
        &self,
        form: &mut Serializer<'_, String>,
    ) -> Result<Option<HeaderValue>, OAuthError> {
        let failed = || {
            let message = "the credentials of the client cannot be written";
            OAuthError::new(OAuthErrorKind::Settings, message)
        };
        match &self.authentication {
            Authentication::Basic(secret) => {
                return basic(&self.client_id, secret).ok_or_else(failed).map(Some);
            }
            Authentication::None => {}
            Authentication::Post(secret) => {
                form.append_pair("client_secret", secret.as_str());
            }
            Authentication::PrivateKeyJwt(key) => {
                // A new one for every attempt, since servers accept its `jti` once.
                let now = SystemClock.now();
                let assertion = assertion(&self.client_id, &self.issuer, key, now);
                write_assertion(&assertion.ok_or_else(failed)?, form);
            }
        }
        form.append_pair("client_id", &self.client_id);
        Ok(None)
    }
}

impl Answer {
    /// Returns the error that the answer is.
    pub(super) fn into_error(self) -> OAuthError {
        // RFC 6749 section 5.2
        if let Some((code, description)) = error_of(&self) {
            return OAuthError::rejected(&code, description.as_deref());
        }
        let status = self.status;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let message = format!("the authorization server answered with {status}");
            return OAuthError::new(OAuthErrorKind::Unreachable, message);
        }
        let message = format!("the answer with {status} is not one of an authorization server");
        OAuthError::new(OAuthErrorKind::Answer, message)
    }
}

/// Returns the code and the description of an error (RFC 6749 section 5.2).
fn error_of(answer: &Answer) -> Option<(String, Option<String>)> {
    if !answer.status.is_client_error() && !answer.status.is_server_error() {
        return None;
    }
    let object = Object::parse(&answer.text)?;
    let text = |name| object.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("error").filter(|code| !code.is_empty())?;
    Some((code, text("error_description")))
}

async fn body(mut response: Response) -> Result<Vec<u8>, OAuthError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(no_answer)? {
        if body.len().saturating_add(chunk.len()) > MAX_ANSWER_LEN {
            let message = "the answer of the authorization server is too long";
            return Err(OAuthError::new(OAuthErrorKind::Answer, message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn no_answer(error: reqwest::Error) -> OAuthError {
    // The URL of a token endpoint has no secrets, but need not be in the log twice.
    let error = error.without_url();
    let mut chain = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        chain = format!("{chain}: {cause}");
        next = cause.source();
    }
    let message = format!("the authorization server does not answer: {chain}");
    OAuthError::new(OAuthErrorKind::Unreachable, message)
}
