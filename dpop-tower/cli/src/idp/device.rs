//! The device authorization grant (RFC 8628): its endpoint, and the page on which a user approves a device.

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;

use super::{
    error::OauthError,
    expiring::Full,
    form::Form,
    issuer::{Idp, Inner, digest, random, random_text},
    page::{error_page, escaped, is_from_own_page, page, user_form},
    settings::{Grant, seconds},
    store::{Decision, Device},
};

/// RFC 8628 section 6.1: no vowels, so no words.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

pub(super) async fn authorize(
    State(idp): State<Idp>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OauthError> {
    let idp = &idp.0;
    let form = Form::of_body(&headers, &body)?;
    let client = idp.authenticate(&headers, &form)?;
    if !client.may_use(Grant::DeviceCode) {
        let description = "the client may not use device codes";
        return Err(OauthError::new("unauthorized_client", description));
    }
    let user_code = user_code()?;
    let device = Device {
        client_id: client.client_id.clone(),
        user_code: user_code.clone(),
        scope: idp.scope(client, &form)?,
        audience: idp.audience(&form)?,
        decision: Decision::Pending,
        interval: idp.settings.device_poll_interval,
        asked_at: None,
    };
    let device_code = random_text::<32>()?;
    let lifetime = idp.settings.device_code_lifetime;
    (idp.store()?.devices)
        .insert(digest(&device_code), device, idp.now(), seconds(lifetime))
        .map_err(|Full| OauthError::full())?;
    let verification_uri = format!("{}/device", idp.url);
    let body = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": verification_uri,
        "verification_uri_complete": format!("{verification_uri}?user_code={user_code}"),
        "expires_in": lifetime,
        "interval": idp.settings.device_poll_interval,
    });
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response())
}

/// Shows the page, on which the user types the code or, if it is in the URL, compares it.
pub(super) async fn show(State(idp): State<Idp>, uri: Uri) -> Response {
    let form = Form::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let Some(user_code) = form.get("user_code") else {
        let body = "<form action=\"/device\"><label>The code that your device shows: \
                    <input name=user_code autofocus autocomplete=off></label>\
                    <button>Continue</button></form>";
        return page(StatusCode::OK, body);
    };
    let user_code = normal(user_code);
    match client_of(&idp.0, &user_code) {
        Ok(Some(client_id)) => {
            let form = user_form(&idp.0, "/device", &[("user_code", &user_code)]);
            let body = format!(
                "<p>A device of the client <strong>{}</strong> asks for access. Does it show the code \
                 <strong>{}</strong>?</p>{form}",
                escaped(&client_id),
                escaped(&user_code)
            );
            page(StatusCode::OK, &body)
        }
        Ok(None) => error_page("the code is unknown or has expired"),
        Err(error) => error_page(&error.parts().1),
    }
}

fn client_of(idp: &Inner, user_code: &str) -> Result<Option<String>, OauthError> {
    let mut store = idp.store()?;
    let device = (store.devices).find_mut(idp.now(), |device| is_pending(device, user_code));
    Ok(device.map(|device| device.client_id.clone()))
}

fn is_pending(device: &Device, user_code: &str) -> bool {
    device.user_code == user_code && matches!(device.decision, Decision::Pending)
}

/// Handles the form of the page.
pub(super) async fn decide(State(idp): State<Idp>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_from_own_page(&idp.0, &headers) {
        return error_page("this form is not from a page of the issuer");
    }
    match decided(&idp.0, &headers, &body) {
        Ok(words) => page(StatusCode::OK, &format!("<p>{words}</p>")),
        Err(error) => error_page(&error.parts().1),
    }
}

fn decided(idp: &Inner, headers: &HeaderMap, body: &[u8]) -> Result<&'static str, OauthError> {
    let form = Form::of_body(headers, body)?;
    let user_code = normal(form.required("user_code")?);
    let now = idp.now();
    let mut store = idp.store()?;
    let device = (store.devices).find_mut(now, |device| is_pending(device, &user_code));
    let unknown = || OauthError::invalid_request("the code is unknown or has expired");
    let device = device.ok_or_else(unknown)?;
    let Some(user) = form.get("user").and_then(|user| idp.user(user)) else {
        device.decision = Decision::Denied;
        return Ok("The device has no access. You can close this page.");
    };
    let (scope, audience) = (device.scope.clone(), device.audience.clone());
    let authorization = idp.authorize(user, &device.client_id, scope, audience)?;
    device.decision = Decision::Approved(authorization);
    Ok("The device has access. You can close this page.")
}

/// Returns eight letters in two groups.
fn user_code() -> Result<String, OauthError> {
    let mut code = String::new();
    while code.len() < 9 {
        for byte in random::<16>()? {
            // Every letter is equally likely.
            let letter = LETTERS.get(usize::from(byte % 20)).filter(|_| byte < 240);
            if let Some(letter) = letter.filter(|_| code.len() < 9) {
                code.push(char::from(*letter));
                if code.len() == 4 {
                    code.push('-');
                }
            }
        }
    }
    Ok(code)
}

/// Returns the code as it is stored, however the user has typed it.
fn normal(typed: &str) -> String {
    let letters = typed.chars().filter(char::is_ascii_alphabetic);
    let mut code: String = letters.take(8).map(|c| c.to_ascii_uppercase()).collect();
    if code.len() > 4 {
        code.insert(4, '-');
    }
    code
}
