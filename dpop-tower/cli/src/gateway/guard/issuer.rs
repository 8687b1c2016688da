use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::token::MAX_TOKEN_LEN;
use http::{HeaderMap, header};
use serde::Deserialize;

#[derive(Deserialize)]
struct Payload {
    iss: String,
}

/// Who issued the token, by its own account.
pub(super) fn unverified(headers: &HeaderMap) -> Option<String> {
    let credentials = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (_, token) = credentials.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    if token.len() > MAX_TOKEN_LEN {
        return None;
    }
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    Some(payload.iss)
}
