use std::{fmt, sync::Arc, time::Duration};

use reqwest::Url;
use tokio::sync::OnceCell;

use super::{
    OAuthError, OAuthErrorKind, RefreshToken, TokenRequest, TokenSet,
    call::{Authentication, Caller, Proof},
    parameters::Parameters,
};
use crate::{
    client::DpopClient,
    client_auth::{ClientSecret, ClientSigningKey},
    clock::{SystemClock, TimeSource as _},
    jwk::Thumbprint,
    keys::{AuthorizationServer, Discovery},
};

const TIMEOUT: Duration = Duration::from_secs(15);

/// A client of an authorization server, which obtains tokens that are bound to its key.
///
/// The endpoints come from the server's metadata (RFC 8414 or OpenID Connect Discovery), which is fetched before
/// the first request and has to name exactly this issuer. Clones share it, and the nonces of the server.
///
/// ```no_run
/// # #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
/// # async fn obtain() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{
///     client::{ClientKey, DpopClient, oauth::{ClientSecret, TokenClient, TokenRequest}},
///     crypto::Algorithm,
/// };
///
/// let dpop = DpopClient::new(ClientKey::generate(Algorithm::Es256)?)?;
/// let client = TokenClient::builder("https://idp.example.com", "orders", dpop)
///     .client_secret_basic(ClientSecret::new(std::env::var("CLIENT_SECRET")?)?)
///     .build()?;
/// let tokens = client.client_credentials(&TokenRequest::new().scope("stock:read")).await?;
/// assert!(tokens.expires_at().is_some());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenClient(Arc<Inner>);

struct Inner {
    caller: Caller,
    discovery: Discovery,
    server: OnceCell<AuthorizationServer>,
}

impl TokenClient {
    /// Begins a client with this identifier at this issuer, and with this key. It is a public client unless its
    /// authentication is set.
    pub fn builder(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        dpop: DpopClient,
    ) -> TokenClientBuilder {
        TokenClientBuilder {
            issuer: issuer.into(),
            client_id: client_id.into(),
            dpop,
            authentication: Authentication::None,
            timeout: TIMEOUT,
            plain_http: false,
        }
    }

    /// Obtains a token for the client itself (RFC 6749 section 4.4).
    ///
    /// # Errors
    ///
    /// Returns an [`OAuthError`] if the server does not answer, rejects the request, or issues a token that is
    /// not bound to the key.
    pub async fn client_credentials(&self, request: &TokenRequest) -> Result<TokenSet, OAuthError> {
        self.grant("client_credentials", request.parameters()).await
    }

    /// Obtains new tokens for a refresh token (RFC 6749 section 6).
    ///
    /// Many servers rotate refresh tokens: the old one is no longer valid, and the result has the new one. Save
    /// it before you use the result; [`RenewingTokens`](super::RenewingTokens) does. If the server issued no new
    /// one, the result has the old one.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`client_credentials`](Self::client_credentials). After one with
    /// [`requires_login`](OAuthError::requires_login), the refresh token is useless.
    pub async fn refresh(
        &self,
        token: &RefreshToken,
        request: &TokenRequest,
    ) -> Result<TokenSet, OAuthError> {
        let mut parameters = request.parameters();
        parameters.push(("refresh_token", token.as_str().to_owned()));
        let tokens = self.grant("refresh_token", parameters);
        let scope = request.joined_scopes();
        Ok(tokens.await?.after(token, scope.as_deref()))
    }

    /// Returns the thumbprint of the key that the tokens are bound to.
    pub fn thumbprint(&self) -> Thumbprint {
        self.0.caller.dpop.thumbprint()
    }

    /// Sends one request to the token endpoint, with a proof.
    pub(super) async fn grant(
        &self,
        grant_type: &str,
        mut parameters: Parameters,
    ) -> Result<TokenSet, OAuthError> {
        let url = &self.server().await?.token;
        let asked_at = SystemClock.now();
        parameters.push(("grant_type", grant_type.to_owned()));
        let answer = self.caller().post(url, &parameters, Proof::With).await?;
        if !answer.status.is_success() {
            return Err(answer.into_error());
        }
        TokenSet::of_answer(&answer.text, asked_at, self.thumbprint())
    }

    /// Returns the endpoints. Concurrent callers wait for one attempt to fetch them.
    pub(super) async fn server(&self) -> Result<&AuthorizationServer, OAuthError> {
        let fetch = async {
            let fetched = self.0.discovery.fetch().await;
            let server =
                fetched.map_err(|text| OAuthError::new(OAuthErrorKind::Discovery, text))?;
            self.check_algorithm(&server)?;
            Ok(server)
        };
        self.0.server.get_or_try_init(|| fetch).await
    }

    fn check_algorithm(&self, server: &AuthorizationServer) -> Result<(), OAuthError> {
        let algorithm = self.0.caller.dpop.algorithm().as_str();
        match &server.proof_algorithms {
            Some(supported) if !supported.iter().any(|name| name == algorithm) => {
                let supported: Vec<String> = supported
                    .iter()
                    .take(16)
                    .map(|name| super::error::printable(name))
                    .collect();
                let message = format!(
                    "the authorization server does not accept proofs with {algorithm}, only with {}",
                    supported.join(", ")
                );
                Err(OAuthError::new(OAuthErrorKind::Unsupported, message))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    pub(super) fn issuer(&self) -> &str {
        &self.0.caller.issuer
    }
}

impl fmt::Debug for TokenClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClient")
            .field("issuer", &self.0.caller.issuer)
            .field("client_id", &self.0.caller.client_id)
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}

/// Returns the URL of an endpoint that the server needs not have.
pub(super) fn endpoint<'s>(url: Option<&'s Url>, member: &str) -> Result<&'s Url, OAuthError> {
    url.ok_or_else(|| {
        let message = format!("the metadata of the authorization server has no `{member}`");
        OAuthError::new(OAuthErrorKind::Unsupported, message)
    })
}

/// A [`TokenClient`] that is being set up.
#[derive(Debug)]
#[must_use]
pub struct TokenClientBuilder {
    issuer: String,
    client_id: String,
    dpop: DpopClient,
    authentication: Authentication,
    timeout: Duration,
    plain_http: bool,
}

impl TokenClientBuilder {
    /// Authenticates with a secret in the `Authorization` header (`client_secret_basic`).
    pub fn client_secret_basic(mut self, secret: ClientSecret) -> Self {
        self.authentication = Authentication::Basic(Arc::new(secret));
        self
    }

    /// Authenticates with a secret in the form (`client_secret_post`). Prefer
    /// [`client_secret_basic`](Self::client_secret_basic), which every server supports.
    pub fn client_secret_post(mut self, secret: ClientSecret) -> Self {
        self.authentication = Authentication::Post(Arc::new(secret));
        self
    }

    /// Authenticates with an assertion that is signed by this key (`private_key_jwt`, RFC 7523).
    pub fn private_key_jwt(mut self, key: ClientSigningKey) -> Self {
        self.authentication = Authentication::PrivateKeyJwt(key);
        self
    }

    /// Sets the timeout for one exchange with the server. Defaults to 15 seconds.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Allows plain `http` to this machine, for tests.
    ///
    /// # Security
    ///
    /// Every process of this machine that can listen on the port of the server gets the client's credentials.
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Finishes the client. Nothing is fetched yet.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Settings`](OAuthErrorKind::Settings) if the issuer is not an `https` URL,
    /// or if the HTTP client cannot be set up.
    pub fn build(self) -> Result<TokenClient, OAuthError> {
        let discovery = Discovery::new(&self.issuer, self.plain_http)?;
        let caller = Caller::new(
            self.issuer,
            self.client_id,
            self.authentication,
            self.dpop,
            self.timeout,
        )?;
        Ok(TokenClient(Arc::new(Inner {
            caller,
            discovery,
            server: OnceCell::new(),
        })))
    }
}
