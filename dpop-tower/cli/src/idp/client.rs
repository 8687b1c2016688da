//! Client authentication (RFC 6749 section 2.3), and what a client may ask for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header};

use super::{
    error::OauthError,
    form::Form,
    issuer::{Inner, digest},
    settings::Client,
};

impl Inner {
    pub(super) fn client(&self, client_id: &str) -> Option<&Client> {
        let mut clients = self.settings.clients.iter();
        clients.find(|client| client.client_id == client_id)
    }

    /// Authenticates a client with `client_secret_basic`, `client_secret_post` or, if it is public, `none`.
    pub(super) fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Form,
    ) -> Result<&Client, OauthError> {
        let (client_id, secret) = match basic(headers)? {
            None => {
                let client_id = form.required("client_id")?.to_owned();
                (client_id, form.get("client_secret").map(str::to_owned))
            }
            Some(_) if form.get("client_secret").is_some() => {
                return Err(OauthError::invalid_request(
                    "the client is authenticated twice",
                ));
            }
            Some((client_id, secret)) => (client_id, Some(secret)),
        };
        let is_the_same = form.get("client_id").is_none_or(|named| named == client_id);
        let client = self.client(&client_id).filter(|_| is_the_same);
        let client = client.ok_or(OauthError::invalid_client())?;
        let expected = client
            .client_secret
            .as_ref()
            .map(|secret| digest(&secret.0));
        // Equal hashes tell nothing of a secret that is nearly right.
        if expected != secret.map(|secret| digest(&secret)) {
            return Err(OauthError::invalid_client());
        }
        Ok(client)
    }

    /// Returns the scopes that the client asks for, or all that it may have.
    pub(super) fn scope(&self, client: &Client, form: &Form) -> Result<Vec<String>, OauthError> {
        let allowed = client.scopes.as_ref().unwrap_or(&self.settings.scopes);
        narrowed_scope(form, allowed)
    }

    /// Returns the audience that the client asks for (RFC 8707), or the first one.
    pub(super) fn audience(&self, form: &Form) -> Result<Vec<String>, OauthError> {
        let allowed = &self.settings.audiences;
        let default = allowed.get(..1).unwrap_or_default();
        narrowed_audience(form, allowed, default)
    }
}

/// Returns the scopes that are asked for, which have to be among those that are allowed.
pub(super) fn narrowed_scope(form: &Form, allowed: &[String]) -> Result<Vec<String>, OauthError> {
    let Some(requested) = form.get("scope") else {
        return Ok(allowed.to_vec());
    };
    let mut scopes = Vec::new();
    for scope in requested.split(' ').filter(|scope| !scope.is_empty()) {
        let scope = scope.to_owned();
        if !allowed.contains(&scope) {
            let description = "a scope is unknown, or not for this client";
            return Err(OauthError::new("invalid_scope", description));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes)
}

/// Returns the audience that is asked for with `resource` or `audience`, which has to be among those that are allowed.
pub(super) fn narrowed_audience(
    form: &Form,
    allowed: &[String],
    default: &[String],
) -> Result<Vec<String>, OauthError> {
    let mut audience = Vec::new();
    for requested in form.all("resource").chain(form.all("audience")) {
        let requested = requested.to_owned();
        if !allowed.contains(&requested) {
            let description = "the issuer has no tokens for this resource";
            return Err(OauthError::new("invalid_target", description));
        }
        if !audience.contains(&requested) {
            audience.push(requested);
        }
    }
    match audience.is_empty() {
        true => Ok(default.to_vec()),
        false => Ok(audience),
    }
}

/// Returns the client and the secret of HTTP Basic authentication.
fn basic(headers: &HeaderMap) -> Result<Option<(String, String)>, OauthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(header::AUTHORIZATION) {
            true => Err(OauthError::invalid_client()),
            false => Ok(None),
        };
    };
    let credentials = value.to_str().ok().and_then(|value| {
        let (scheme, credentials) = value.split_once(' ')?;
        let is_basic = scheme.eq_ignore_ascii_case("Basic");
        let bytes = STANDARD.decode(credentials.trim()).ok()?;
        let text = String::from_utf8(bytes).ok().filter(|_| is_basic)?;
        let (client_id, secret) = text.split_once(':')?;
        Some((decoded(client_id), decoded(secret)))
    });
    credentials.map(Some).ok_or(OauthError::invalid_client())
}

/// RFC 6749 section 2.3.1: both parts are encoded like the values of a form.
fn decoded(text: &str) -> String {
    // A single name without a value.
    let pair = text.replace('&', "%26").replace('=', "%3D");
    let mut names = form_urlencoded::parse(pair.as_bytes());
    names
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}
