use std::fmt;

use http::StatusCode;
use reqwest::Url;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::{
    OAuthError, OAuthErrorKind, TokenClient, TokenRequest, TokenSet,
    call::{Answer, Proof},
    client::endpoint,
};
use crate::jose::{
    base64url,
    json::{Object, Value},
};

/// The longest query of a redirect in bytes.
const MAX_QUERY: usize = 16 * 1024;

/// An authorization request, whose page the user visits in a browser (RFC 6749 section 4.1).
///
/// It has a `state` and a PKCE challenge with `S256` (RFC 7636), and `dpop_jkt`, so that a stolen code is useless
/// without the key (RFC 9449 section 10). `Debug` hides what is secret.
#[must_use]
pub struct AuthorizationRequest {
    url: Url,
    redirect_uri: String,
    state: Zeroizing<String>,
    verifier: Zeroizing<String>,
    expects_issuer: bool,
}

impl AuthorizationRequest {
    /// Returns the URL that the user has to visit.
    pub fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl fmt::Debug for AuthorizationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationRequest")
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}

impl TokenClient {
    /// Begins the authorization code flow. The browser comes back to `redirect_uri`, which has to be one of the
    /// client's. For a program on the user's machine, it is `http://127.0.0.1:PORT/` with the port that the
    /// program listens on (RFC 8252 section 7.3).
    ///
    /// If the server requires pushed authorization requests (RFC 9126), the request is pushed.
    ///
    /// # Errors
    ///
    /// Returns an [`OAuthError`] if the server does not support the flow, does not answer, or rejects a pushed
    /// request.
    pub async fn start_authorization(
        &self,
        redirect_uri: &str,
        request: &TokenRequest,
    ) -> Result<AuthorizationRequest, OAuthError> {
        let server = self.server().await?;
        let mut url = endpoint(server.authorization.as_ref(), "authorization_endpoint")?.clone();
        let state = random()?;
        let verifier = random()?;
        // RFC 7636 section 4.2: the same hash and encoding as those of `ath`.
        let challenge = base64url::encode(self.caller().dpop.ath(&verifier).as_bytes());
        let mut parameters = request.parameters();
        parameters.extend([
            ("response_type", "code".to_owned()),
            ("redirect_uri", redirect_uri.to_owned()),
            ("state", state.as_str().to_owned()),
            ("code_challenge", challenge),
            ("code_challenge_method", "S256".to_owned()),
            // RFC 9449 section 10
            ("dpop_jkt", self.thumbprint().to_string()),
        ]);
        let client_id = &self.caller().client_id;
        let mut further = vec![("client_id", client_id.clone())];
        if server.requires_pushed_authorization {
            let pushed = endpoint(
                server.pushed_authorization.as_ref(),
                "pushed_authorization_request_endpoint",
            )?;
            let answer = self.caller().post(pushed, &parameters, Proof::With).await?;
            further.push(("request_uri", request_uri(answer)?));
        } else {
            further.append(&mut parameters);
        }
        url.query_pairs_mut().extend_pairs(&further);
        Ok(AuthorizationRequest {
            url,
            redirect_uri: redirect_uri.to_owned(),
            state,
            verifier,
            expects_issuer: server.sends_issuer,
        })
    }

    /// Obtains the tokens with the query of the URL that the browser came back to.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Callback`](OAuthErrorKind::Callback) if the query does not belong to the
    /// request: its `state` is another one, or its `iss` is not this issuer (RFC 9207). Returns one of the kind
    /// [`Rejected`](OAuthErrorKind::Rejected) with the code `access_denied` if the user declined; and the errors
    /// of [`client_credentials`](Self::client_credentials).
    pub async fn finish_authorization(
        &self,
        request: AuthorizationRequest,
        query: &str,
    ) -> Result<TokenSet, OAuthError> {
        let code = self.code(&request, query)?;
        let parameters = vec![
            ("code", code.as_str().to_owned()),
            ("redirect_uri", request.redirect_uri.clone()),
            ("code_verifier", request.verifier.as_str().to_owned()),
        ];
        self.grant("authorization_code", parameters).await
    }

    /// Returns whether the query is the answer to this request, by its `state`. It may still be an error.
    pub fn belongs_to(&self, request: &AuthorizationRequest, query: &str) -> bool {
        one(query, "state").is_ok_and(|state| {
            state.is_some_and(|state| state.as_bytes().ct_eq(request.state.as_bytes()).into())
        })
    }

    /// Returns the code of an answer that belongs to this request.
    fn code(
        &self,
        request: &AuthorizationRequest,
        query: &str,
    ) -> Result<Zeroizing<String>, OAuthError> {
        let query = query.strip_prefix('?').unwrap_or(query);
        if query.len() > MAX_QUERY {
            return Err(foreign("its query is too long"));
        }
        if !self.belongs_to(request, query) {
            return Err(foreign("its `state` is another one"));
        }
        // RFC 9207 section 2.4
        match one(query, "iss")? {
            Some(issuer) if issuer != self.issuer() => {
                return Err(foreign("its `iss` is another issuer"));
            }
            None if request.expects_issuer => {
                return Err(foreign("it has no `iss`, which this server always sends"));
            }
            _ => {}
        }
        if let Some(error) = one(query, "error")? {
            let description = one(query, "error_description")?;
            return Err(OAuthError::rejected(&error, description.as_deref()));
        }
        let code = one(query, "code")?.filter(|code| !code.is_empty());
        code.map(Zeroizing::new)
            .ok_or_else(|| foreign("it has no `code`"))
    }
}

/// Returns the value of a parameter, which must not be there twice (RFC 6749 section 3.1).
fn one(query: &str, name: &str) -> Result<Option<String>, OAuthError> {
    let query = query.strip_prefix('?').unwrap_or(query);
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(known, _)| known == name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(foreign("it has a parameter twice")),
        (value, None) => Ok(value.map(|(_, value)| value.into_owned())),
    }
}

fn foreign(why: &str) -> OAuthError {
    let message = format!("the redirect does not belong to the authorization request: {why}");
    OAuthError::new(OAuthErrorKind::Callback, message)
}

/// Reads the answer of RFC 9126 section 2.2.
fn request_uri(answer: Answer) -> Result<String, OAuthError> {
    if answer.status != StatusCode::CREATED && answer.status != StatusCode::OK {
        return Err(answer.into_error());
    }
    let object = Object::parse(&answer.text);
    let uri = object.as_ref().and_then(|object| object.get("request_uri"));
    uri.and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| {
            let message = "the answer to the pushed authorization request has no `request_uri`";
            OAuthError::new(OAuthErrorKind::Answer, message)
        })
}

/// Returns 256 random bits, which is what RFC 7636 section 7.1 recommends.
fn random() -> Result<Zeroizing<String>, OAuthError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| {
        let message = "the operating system has no randomness";
        OAuthError::new(OAuthErrorKind::Signer, message).with_source(error)
    })?;
    Ok(Zeroizing::new(base64url::encode(&*bytes)))
}
