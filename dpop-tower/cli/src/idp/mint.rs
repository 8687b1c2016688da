//! The response of the token endpoint, and the tokens in it.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use dpop_tower::token_endpoint::TokenBinding;
use http::header;
use serde_json::{Map, Value, json};

use super::{
    error::OauthError,
    expiring::Full,
    issuer::{Idp, digest, random_text},
    settings::{Client, Format, Grant, seconds},
    store::{AccessToken, Authorization, RefreshToken},
};

/// Claims that the issuer sets, or leaves out. Those of a user do not replace them.
const RESERVED: [&str; 11] = [
    "active",
    "aud",
    "auth_time",
    "client_id",
    "cnf",
    "exp",
    "iat",
    "iss",
    "jti",
    "nbf",
    "sub",
];

/// The tokens of one response.
pub(super) struct Issued {
    authorization: Authorization,
    binding: TokenBinding,
    /// The scope and the audience of the access token, which may be less than those of the authorization.
    pub(super) scope: Vec<String>,
    pub(super) audience: Vec<String>,
    nonce: Option<String>,
    /// Whether there is a refresh token, and whether it is bound to the key.
    refresh_token: Option<bool>,
}

impl Issued {
    pub(super) fn new(authorization: Authorization, binding: TokenBinding) -> Self {
        Self {
            scope: authorization.scope.clone(),
            audience: authorization.audience.clone(),
            authorization,
            binding,
            nonce: None,
            refresh_token: None,
        }
    }

    pub(super) fn with_nonce(mut self, nonce: Option<String>) -> Self {
        self.nonce = nonce;
        self
    }

    /// Adds a refresh token, if the client can use it. Only a public client's is bound to the key (RFC 9449 section
    /// 5).
    pub(super) fn with_refresh_token(mut self, client: &Client) -> Self {
        let is_public = client.client_secret.is_none();
        self.refresh_token = client.may_use(Grant::RefreshToken).then_some(is_public);
        self
    }

    pub(super) fn respond(self, idp: &Idp) -> Result<Response, OauthError> {
        let lifetime = idp.0.settings.access_token_lifetime;
        let mut body = json!({
            "access_token": self.access_token(idp)?,
            "token_type": self.binding.token_type(),
            "expires_in": lifetime,
            "scope": self.scope.join(" "),
        });
        let is_user = self.authorization.auth_time.is_some();
        if is_user && self.scope.iter().any(|scope| scope == "openid") {
            body["id_token"] = self.id_token(idp)?.into();
        }
        if let Some(is_bound) = self.refresh_token {
            body["refresh_token"] = self.new_refresh_token(idp, is_bound)?.into();
        }
        Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
    }

    /// Returns an access token (RFC 9068 section 2.2), and stores its claims for introspection.
    fn access_token(&self, idp: &Idp) -> Result<String, OauthError> {
        let settings = &idp.0.settings;
        let mut claims = self.authorization.claims.clone();
        claims.retain(|name, _| !RESERVED.contains(&name.as_str()));
        self.add_common(idp, &mut claims, settings.access_token_lifetime);
        let aud = match self.audience.as_slice() {
            [one] => json!(one),
            several => json!(several),
        };
        claims.insert("aud".to_owned(), aud);
        claims.insert("client_id".to_owned(), json!(self.authorization.client_id));
        claims.insert("jti".to_owned(), json!(random_text::<16>()?));
        claims.insert("scope".to_owned(), json!(self.scope.join(" ")));
        if let Some(cnf) = self.binding.cnf() {
            claims.insert("cnf".to_owned(), cnf);
        }
        let token = match settings.access_token_format {
            Format::Jwt => idp.0.sign("at+jwt", &claims)?,
            Format::Opaque => random_text::<32>()?,
        };
        let stored = AccessToken {
            claims,
            token_type: self.binding.token_type(),
            client_id: self.authorization.client_id.clone(),
            family: self.authorization.family,
        };
        let lifetime = seconds(settings.access_token_lifetime);
        let now = idp.0.now();
        let mut store = idp.0.store()?;
        (store.access_tokens)
            .insert(digest(&token), stored, now, lifetime)
            .map_err(|Full| OauthError::full())?;
        Ok(token)
    }

    /// Returns an ID token (OpenID Connect Core section 2).
    fn id_token(&self, idp: &Idp) -> Result<String, OauthError> {
        let mut claims = Map::new();
        self.add_common(idp, &mut claims, idp.0.settings.access_token_lifetime);
        claims.insert("aud".to_owned(), json!(self.authorization.client_id));
        if let Some(nonce) = &self.nonce {
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        idp.0.sign("JWT", &claims)
    }

    fn add_common(&self, idp: &Idp, claims: &mut Map<String, Value>, lifetime: u64) {
        let now = idp.0.now();
        let expires_at = now.saturating_add(seconds(lifetime));
        claims.insert("iss".to_owned(), json!(idp.0.url));
        claims.insert("sub".to_owned(), json!(self.authorization.subject));
        claims.insert("iat".to_owned(), json!(now.as_secs()));
        claims.insert("exp".to_owned(), json!(expires_at.as_secs()));
        if let Some(auth_time) = self.authorization.auth_time {
            claims.insert("auth_time".to_owned(), json!(auth_time));
        }
    }

    fn new_refresh_token(&self, idp: &Idp, is_bound: bool) -> Result<String, OauthError> {
        let token = random_text::<32>()?;
        let key = self.binding.thumbprint().copied();
        let stored = RefreshToken {
            authorization: self.authorization.clone(),
            bound_to: key.filter(|_| is_bound),
            is_used: false,
        };
        let lifetime = seconds(idp.0.settings.refresh_token_lifetime);
        let now = idp.0.now();
        let mut store = idp.0.store()?;
        (store.refresh_tokens)
            .insert(digest(&token), stored, now, lifetime)
            .map_err(|Full| OauthError::full())?;
        Ok(token)
    }
}
