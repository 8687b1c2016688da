//! The authorization endpoint (RFC 6749 section 3.1) and pushed authorization requests (RFC 9126).

use axum::{
    Json,
    body::Bytes,
    extract::State,
    response::{IntoResponse as _, Response},
};
use dpop_tower::{jwk::Thumbprint, token_endpoint::TokenRequest};
use http::{HeaderMap, StatusCode, Uri, header};
use serde_json::json;

use super::{
    error::OauthError,
    expiring::Full,
    form::Form,
    issuer::{Idp, Inner, digest, random_text},
    page::{error_page, is_from_own_page, page, user_form},
    redirect::is_allowed,
    settings::{Client, Grant, SignIn, User, seconds},
    store::{Code, Pushed},
};

/// RFC 9126 section 2.2.
const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";

const REQUEST_URI_LIFETIME: u64 = 60;

/// The place that a browser is sent back to, whatever becomes of the request.
struct Return<'a> {
    idp: &'a Inner,
    redirect_uri: &'a str,
    state: Option<&'a str>,
}

/// A request whose parameters are valid.
struct Asked<'a> {
    client: &'a Client,
    redirect_uri: &'a str,
    scope: Vec<String>,
    audience: Vec<String>,
    code_challenge: &'a str,
    dpop_jkt: Option<Thumbprint>,
}

pub(super) async fn show(State(idp): State<Idp>, uri: Uri) -> Response {
    match Form::parse(uri.query().unwrap_or_default().as_bytes()) {
        Ok(form) => answer(&idp.0, &form, None),
        Err(error) => error_page(&error.parts().1),
    }
}

/// Handles the form of the page, which has the parameters of the request in one field.
pub(super) async fn sign_in(State(idp): State<Idp>, headers: HeaderMap, body: Bytes) -> Response {
    if !is_from_own_page(&idp.0, &headers) {
        return error_page("this form is not from a page of the issuer");
    }
    let forms = Form::of_body(&headers, &body).and_then(|form| {
        let request = Form::parse(form.required("request")?.as_bytes())?;
        Ok((request, form))
    });
    match forms {
        Ok((request, form)) => {
            let user = form.get("user").and_then(|user| idp.0.user(user));
            answer(&idp.0, &request, Some(user))
        }
        Err(error) => error_page(&error.parts().1),
    }
}

/// Responds to an authorization request. `chosen` is the choice of the user on the page, if there was one.
fn answer(idp: &Inner, form: &Form, chosen: Option<Option<&User>>) -> Response {
    let pushed = match form.get("request_uri") {
        None => None,
        Some(uri) => match pushed(idp, form, uri) {
            Ok(pushed) => Some(pushed),
            Err(error) => return error_page(&error.parts().1),
        },
    };
    let (parameters, pushed_jkt) = match &pushed {
        Some((parameters, dpop_jkt)) => (parameters, *dpop_jkt),
        None => (form, None),
    };
    let client = parameters.get("client_id").and_then(|id| idp.client(id));
    let Some(client) = client else {
        return error_page("there is no client with this client_id");
    };
    let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
    if !is_allowed(client, redirect_uri) {
        return error_page("the redirect_uri is not one of this client");
    }
    let back = Return {
        idp,
        redirect_uri,
        state: parameters.get("state"),
    };
    let mut asked = match check(idp, client, parameters) {
        Ok(asked) => asked,
        Err(error) => return back.error(&error),
    };
    asked.dpop_jkt = asked.dpop_jkt.or(pushed_jkt);
    let user = match (chosen, idp.settings.sign_in) {
        (Some(user), _) => user,
        (None, SignIn::Automatic) => {
            let hint = parameters.get("login_hint").and_then(|hint| idp.user(hint));
            hint.or(idp.settings.users.first())
        }
        (None, SignIn::Form) if parameters.get("prompt") == Some("none") => {
            return back.error(&OauthError::new("login_required", "the user has to choose"));
        }
        (None, SignIn::Form) => {
            let form = user_form(idp, "/authorize", &[("request", &form.to_text())]);
            let name = super::page::escaped(&client.client_id);
            let body = format!("<p>The client <strong>{name}</strong> asks for access.</p>{form}");
            return page(StatusCode::OK, &body);
        }
    };
    let Some(user) = user else {
        return back.error(&OauthError::new("access_denied", "the user has denied it"));
    };
    match code(idp, &asked, user, parameters.get("nonce")) {
        Ok(code) => back.to(&[("code", &code)]),
        Err(error) => back.error(&error),
    }
}

/// Checks everything but the client and its redirect URI.
fn check<'a>(idp: &Inner, client: &'a Client, form: &'a Form) -> Result<Asked<'a>, OauthError> {
    if form.get("response_type") != Some("code") {
        let description = "only the response type code is supported";
        return Err(OauthError::new("unsupported_response_type", description));
    }
    if !client.may_use(Grant::AuthorizationCode) {
        let description = "the client may not use authorization codes";
        return Err(OauthError::new("unauthorized_client", description));
    }
    let code_challenge = form.required("code_challenge")?;
    if form.get("code_challenge_method") != Some("S256") || code_challenge.len() != 43 {
        return Err(OauthError::invalid_request("PKCE with S256 is required"));
    }
    let dpop_jkt = form.get("dpop_jkt").map(str::parse).transpose();
    let dpop_jkt =
        dpop_jkt.map_err(|_| OauthError::invalid_request("dpop_jkt is not a thumbprint"))?;
    Ok(Asked {
        client,
        redirect_uri: form.required("redirect_uri")?,
        scope: idp.scope(client, form)?,
        audience: idp.audience(form)?,
        code_challenge,
        dpop_jkt,
    })
}

fn code(
    idp: &Inner,
    asked: &Asked<'_>,
    user: &User,
    nonce: Option<&str>,
) -> Result<String, OauthError> {
    let (scope, audience) = (asked.scope.clone(), asked.audience.clone());
    let stored = Code {
        authorization: idp.authorize(user, &asked.client.client_id, scope, audience)?,
        redirect_uri: asked.redirect_uri.to_owned(),
        code_challenge: asked.code_challenge.to_owned(),
        dpop_jkt: asked.dpop_jkt,
        nonce: nonce.map(str::to_owned),
        is_used: false,
    };
    let code = random_text::<32>()?;
    let lifetime = seconds(idp.settings.code_lifetime);
    let inserted = (idp.store()?.codes).insert(digest(&code), stored, idp.now(), lifetime);
    inserted.map_err(|Full| OauthError::full())?;
    Ok(code)
}

impl Return<'_> {
    fn error(&self, error: &OauthError) -> Response {
        let (code, description) = error.parts();
        self.to(&[("error", code), ("error_description", &description)])
    }

    /// Sends the browser back with these parameters, the state, and the issuer (RFC 9207).
    fn to(&self, parameters: &[(&str, &str)]) -> Response {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        if let Some(state) = self.state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", &self.idp.url);
        let separator = if self.redirect_uri.contains('?') {
            '&'
        } else {
            '?'
        };
        let location = format!("{}{separator}{}", self.redirect_uri, query.finish());
        let headers = [
            (header::LOCATION, location),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }
}

/// Accepts a pushed authorization request. Its proof binds the code, as `dpop_jkt` does (RFC 9449 section 10.1).
pub(super) async fn push(
    State(idp): State<Idp>,
    request: TokenRequest,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OauthError> {
    let idp = &idp.0;
    let form = Form::of_body(&headers, &body)?;
    let client = idp.authenticate(&headers, &form)?;
    if form.get("request_uri").is_some() {
        return Err(OauthError::invalid_request("request_uri cannot be pushed"));
    }
    if !is_allowed(client, form.required("redirect_uri")?) {
        let description = "the redirect_uri is not one of this client";
        return Err(OauthError::invalid_request(description));
    }
    check(idp, client, &form)?;
    let dpop_jkt = request.pushed_dpop_jkt(form.get("dpop_jkt"))?;
    let client_id = client.client_id.clone();
    let parameters = form.without("client_secret").with("client_id", &client_id);
    let stored = Pushed {
        client_id,
        parameters,
        dpop_jkt,
    };
    let name = random_text::<32>()?;
    let lifetime = seconds(REQUEST_URI_LIFETIME);
    let inserted = (idp.store()?.pushed).insert(digest(&name), stored, idp.now(), lifetime);
    inserted.map_err(|Full| OauthError::full())?;
    let body = json!({
        "request_uri": format!("{REQUEST_URI}{name}"),
        "expires_in": REQUEST_URI_LIFETIME,
    });
    let headers = [(header::CACHE_CONTROL, "no-store")];
    Ok((StatusCode::CREATED, headers, Json(body)).into_response())
}

/// Returns the parameters of a pushed request, which is good until it expires.
fn pushed(
    idp: &Inner,
    form: &Form,
    request_uri: &str,
) -> Result<(Form, Option<Thumbprint>), OauthError> {
    let unknown = || OauthError::invalid_request("the request_uri is unknown or has expired");
    let name = request_uri.strip_prefix(REQUEST_URI).ok_or_else(unknown)?;
    let mut store = idp.store()?;
    let pushed = store.pushed.get_mut(&digest(name), idp.now());
    let pushed = pushed.filter(|pushed| form.get("client_id") == Some(&*pushed.client_id));
    let pushed = pushed.ok_or_else(unknown)?;
    Ok((pushed.parameters.clone(), pushed.dpop_jkt))
}
