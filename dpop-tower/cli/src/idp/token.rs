//! The token endpoint (RFC 6749 section 3.2).

use std::time::Duration;

use axum::{body::Bytes, extract::State, response::Response};
use dpop_tower::token_endpoint::TokenRequest;
use http::HeaderMap;

use super::{
    client::{narrowed_audience, narrowed_scope},
    error::OauthError,
    form::Form,
    issuer::{Idp, challenge_of, digest, random},
    mint::Issued,
    settings::{Client, Grant},
    store::{Authorization, Decision},
};

/// A client and its request, whose proof is valid.
struct Asked<'a> {
    idp: &'a Idp,
    client: &'a Client,
    request: &'a TokenRequest,
    form: &'a Form,
}

pub(super) async fn token(
    State(idp): State<Idp>,
    request: TokenRequest,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, OauthError> {
    let form = Form::of_body(&headers, &body)?;
    let client = idp.0.authenticate(&headers, &form)?;
    if client.dpop_bound_access_tokens {
        request.require_proof()?;
    }
    let grant_type = form.required("grant_type")?;
    let grant = Grant::ALL
        .into_iter()
        .find(|grant| grant.as_str() == grant_type);
    let grant = grant.ok_or(OauthError::new(
        "unsupported_grant_type",
        "there is no such grant",
    ))?;
    if !client.may_use(grant) {
        let description = "the client may not use this grant";
        return Err(OauthError::new("unauthorized_client", description));
    }
    let asked = Asked {
        idp: &idp,
        client,
        request: &request,
        form: &form,
    };
    match grant {
        Grant::AuthorizationCode => asked.authorization_code().await,
        Grant::ClientCredentials => asked.client_credentials().await,
        Grant::DeviceCode => asked.device_code().await,
        Grant::RefreshToken => asked.refresh_token().await,
    }
}

impl Asked<'_> {
    async fn client_credentials(&self) -> Result<Response, OauthError> {
        let Self { idp, client, .. } = self;
        let mut scope = idp.0.scope(client, self.form)?;
        // There is nobody to identify.
        scope.retain(|scope| scope != "openid");
        let authorization = Authorization {
            client_id: client.client_id.clone(),
            subject: client.client_id.clone(),
            claims: serde_json::Map::new(),
            scope,
            audience: idp.0.audience(self.form)?,
            auth_time: None,
            family: random()?,
        };
        let binding = self.request.redeem(&client.client_id).await?;
        Issued::new(authorization, binding).respond(idp)
    }

    async fn authorization_code(&self) -> Result<Response, OauthError> {
        let key = digest(self.form.required("code")?);
        let unknown = || OauthError::invalid_grant("the code is unknown or has expired");
        let used = || OauthError::invalid_grant("the code was used before");
        let idp = &self.idp.0;
        let code = {
            let mut store = idp.store()?;
            let code = store.codes.get_mut(&key, idp.now());
            let code = code.filter(|code| self.is_for_this_client(&code.authorization));
            let code = code.ok_or_else(unknown)?.clone();
            // RFC 6749 section 4.1.2: somebody has copied the code.
            if code.is_used {
                store.revoke(code.authorization.family);
                return Err(used());
            }
            code
        };
        if self.form.get("redirect_uri") != Some(&code.redirect_uri) {
            return Err(OauthError::invalid_grant("the redirect_uri is another one"));
        }
        // RFC 7636 section 4.6
        if challenge_of(self.form.required("code_verifier")?) != code.code_challenge {
            return Err(OauthError::invalid_grant("the code_verifier is wrong"));
        }
        let audience = &code.authorization.audience;
        let audience = narrowed_audience(self.form, audience, audience)?;
        self.request.check_code(code.dpop_jkt.as_ref())?;
        let binding = self.request.redeem(&code.authorization.subject).await?;
        {
            let mut store = idp.store()?;
            let stored = store.codes.get_mut(&key, idp.now()).ok_or_else(unknown)?;
            if stored.is_used {
                return Err(used());
            }
            stored.is_used = true;
        }
        let mut issued = Issued::new(code.authorization, binding).with_nonce(code.nonce);
        issued.audience = audience;
        issued.with_refresh_token(self.client).respond(self.idp)
    }

    async fn refresh_token(&self) -> Result<Response, OauthError> {
        let key = digest(self.form.required("refresh_token")?);
        let unknown = || OauthError::invalid_grant("the refresh token is unknown or has expired");
        let used = || OauthError::invalid_grant("the refresh token was used before");
        let idp = &self.idp.0;
        let token = {
            let mut store = idp.store()?;
            let token = store.refresh_tokens.get_mut(&key, idp.now());
            let token = token.filter(|token| self.is_for_this_client(&token.authorization));
            let token = token.ok_or_else(unknown)?.clone();
            // A thief with another key cannot make the client lose its tokens.
            self.request.check_refresh_token(token.bound_to.as_ref())?;
            // RFC 9700 section 4.14.2: somebody has copied the token.
            if token.is_used {
                store.revoke(token.authorization.family);
                return Err(used());
            }
            token
        };
        let authorization = &token.authorization;
        let scope = narrowed_scope(self.form, &authorization.scope)?;
        let audience = &authorization.audience;
        let audience = narrowed_audience(self.form, audience, audience)?;
        let binding = self.request.redeem(&authorization.subject).await?;
        {
            let mut store = idp.store()?;
            let stored = store.refresh_tokens.get_mut(&key, idp.now());
            let stored = stored.ok_or_else(unknown)?;
            if stored.is_used {
                return Err(used());
            }
            stored.is_used = true;
        }
        let mut issued = Issued::new(token.authorization, binding);
        (issued.scope, issued.audience) = (scope, audience);
        issued.with_refresh_token(self.client).respond(self.idp)
    }

    async fn device_code(&self) -> Result<Response, OauthError> {
        let key = digest(self.form.required("device_code")?);
        let expired =
            || OauthError::new("expired_token", "the device code is unknown or has expired");
        let idp = &self.idp.0;
        let authorization = {
            let now = idp.now();
            let mut store = idp.store()?;
            let device = store.devices.get_mut(&key, now);
            let device = device.filter(|device| device.client_id == self.client.client_id);
            let device = device.ok_or_else(expired)?;
            match &device.decision {
                Decision::Approved(authorization) => authorization.clone(),
                Decision::Denied => {
                    return Err(OauthError::new(
                        "access_denied",
                        "the user has denied the device",
                    ));
                }
                Decision::Pending => {
                    let interval = Duration::from_secs(device.interval);
                    let asked_at = device.asked_at.replace(now);
                    // RFC 8628 section 3.5
                    if asked_at.is_some_and(|asked_at| now < asked_at.saturating_add(interval)) {
                        device.interval = device.interval.saturating_add(5);
                        return Err(OauthError::new("slow_down", "the device asks too often"));
                    }
                    let description = "nobody has approved the device yet";
                    return Err(OauthError::new("authorization_pending", description));
                }
            }
        };
        let audience = &authorization.audience;
        let audience = narrowed_audience(self.form, audience, audience)?;
        let binding = self.request.redeem(&authorization.subject).await?;
        // The code is good once.
        let taken = idp.store()?.devices.remove(&key, idp.now());
        taken.ok_or_else(expired)?;
        let mut issued = Issued::new(authorization, binding);
        issued.audience = audience;
        issued.with_refresh_token(self.client).respond(self.idp)
    }

    fn is_for_this_client(&self, authorization: &Authorization) -> bool {
        authorization.client_id == self.client.client_id
    }
}
