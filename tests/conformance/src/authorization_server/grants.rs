use std::sync::Arc;

use axum::{Form as AxumForm, body::Body, extract::State as Shared};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use dpop_tower::jwk::Thumbprint;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Answer, Fault, Form, Rotation, State, error, lost};

pub(super) async fn token(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    AxumForm(form): AxumForm<Form>,
) -> Response<Body> {
    state.gate.acquire().await.unwrap().forget();
    let thumbprint = match state.receive("/token", &headers, &form) {
        Ok(thumbprint) => thumbprint,
        Err(answer) => return state.answer(answer),
    };
    let fault = state.changing().faults.pop_front();
    if let Some(Fault::Answer(status, text)) = fault {
        let mut answer = Response::new(Body::from(text));
        *answer.status_mut() = status;
        return answer;
    }
    let answer = match thumbprint {
        Some(thumbprint) => grant(&state, &form, thumbprint),
        None => error("invalid_dpop_proof"),
    };
    match fault {
        Some(_) => lost(),
        None => state.answer(answer),
    }
}

fn grant(state: &State, form: &Form, thumbprint: Thumbprint) -> Answer {
    let none = String::new();
    let value = |name: &str| form.get(name).unwrap_or(&none);
    match value("grant_type").as_str() {
        "client_credentials" => issue(state, form, thumbprint, None),
        "refresh_token" => {
            let token = value("refresh_token");
            let mut known = state.changing();
            if known.refresh_tokens.get(token) != Some(&thumbprint) {
                return error("invalid_grant");
            }
            if state.settings.rotation == Rotation::Strict {
                known.refresh_tokens.remove(token);
            }
            drop(known);
            let new = (state.settings.rotation != Rotation::Never)
                .then(|| state.new_refresh_token(thumbprint));
            issue(state, form, thumbprint, new)
        }
        "authorization_code" => {
            let Some(request) = state.changing().codes.remove(value("code")) else {
                return error("invalid_grant");
            };
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(value("code_verifier")));
            let belongs = request["code_challenge"] == challenge
                && request["code_challenge_method"] == "S256"
                && request["redirect_uri"] == *value("redirect_uri")
                && request["dpop_jkt"] == thumbprint.to_string();
            if !belongs {
                return error("invalid_grant");
            }
            let refresh = state.new_refresh_token(thumbprint);
            issue(state, &request, thumbprint, Some(refresh))
        }
        "urn:ietf:params:oauth:grant-type:device_code" => {
            let mut changing = state.changing();
            if value("device_code") != "device-code" {
                return error("invalid_grant");
            }
            changing.device_requests += 1;
            if changing.device_requests <= state.settings.pending {
                return error("authorization_pending");
            }
            drop(changing);
            let refresh = state.new_refresh_token(thumbprint);
            issue(state, form, thumbprint, Some(refresh))
        }
        _ => error("unsupported_grant_type"),
    }
}

fn issue(state: &State, form: &Form, thumbprint: Thumbprint, refresh: Option<String>) -> Answer {
    let token = state.tokens.token().subject("alice");
    let scope = form.get("scope").map_or("default", String::as_str);
    let token = token
        .scope(scope)
        .expires_in(state.settings.lifetime)
        .claim("jti", state.next("token"));
    let mut answer = json!({
        "access_token": token.bound_to_thumbprint(&thumbprint).mint(),
        "token_type": state.settings.token_type,
        "expires_in": state.settings.lifetime.as_secs(),
        "refresh_token": Value::Null,
    });
    if let Some(refresh) = refresh {
        answer["refresh_token"] = refresh.into();
    }
    (StatusCode::OK, answer)
}

pub(super) async fn device(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    AxumForm(form): AxumForm<Form>,
) -> Response<Body> {
    if let Err(answer) = state.receive("/device", &headers, &form) {
        return state.answer(answer);
    }
    let answer = json!({
        "device_code": "device-code",
        "user_code": "WDJB-MJHT",
        "verification_uri": format!("{}/device", state.issuer),
        "verification_uri_complete": format!("{}/device?user_code=WDJB-MJHT", state.issuer),
        "expires_in": 60,
        "interval": 1,
    });
    state.answer((StatusCode::OK, answer))
}

pub(super) async fn push(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    AxumForm(form): AxumForm<Form>,
) -> Response<Body> {
    if let Err(answer) = state.receive("/par", &headers, &form) {
        return state.answer(answer);
    }
    let uri = format!("urn:ietf:params:oauth:request_uri:{}", state.next("par"));
    state.changing().pushed.insert(uri.clone(), form);
    let answer = json!({ "request_uri": uri, "expires_in": 60 });
    state.answer((StatusCode::CREATED, answer))
}
