//! Introspection (RFC 7662) and revocation (RFC 7009).

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};

use super::{
    error::OauthError,
    form::Form,
    issuer::{Idp, digest},
};

/// Says whether an access token is active, to any client with a secret.
pub(super) async fn introspect(
    State(idp): State<Idp>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OauthError> {
    let idp = &idp.0;
    let form = Form::of_body(&headers, &body)?;
    let client = idp.authenticate(&headers, &form)?;
    // RFC 7662 section 2.1: otherwise anyone could try tokens out.
    if client.client_secret.is_none() {
        return Err(OauthError::invalid_client());
    }
    let key = digest(form.required("token")?);
    let mut answer = Map::new();
    let mut store = idp.store()?;
    match store.access_tokens.get_mut(&key, idp.now()) {
        None => answer.insert("active".to_owned(), json!(false)),
        Some(token) => {
            answer.clone_from(&token.claims);
            answer.insert("token_type".to_owned(), json!(token.token_type));
            answer.insert("active".to_owned(), json!(true))
        }
    };
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((headers, Json(Value::Object(answer))).into_response())
}

/// Revokes a token of the client. A refresh token takes all tokens of its authorization with it.
pub(super) async fn revoke(
    State(idp): State<Idp>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, OauthError> {
    let idp = &idp.0;
    let form = Form::of_body(&headers, &body)?;
    let client_id = &idp.authenticate(&headers, &form)?.client_id;
    let (key, now) = (digest(form.required("token")?), idp.now());
    let mut store = idp.store()?;
    let refresh_token = (store.refresh_tokens.get_mut(&key, now))
        .map(|token| &token.authorization)
        .filter(|authorization| authorization.client_id == *client_id);
    if let Some(family) = refresh_token.map(|authorization| authorization.family) {
        store.revoke(family);
    }
    let access_token = store.access_tokens.get_mut(&key, now);
    if access_token.is_some_and(|token| token.client_id == *client_id) {
        store.access_tokens.remove(&key, now);
    }
    // RFC 7009 section 2.2: the same for an unknown token.
    Ok(StatusCode::OK)
}
