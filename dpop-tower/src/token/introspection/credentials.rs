//! How this API authenticates at the endpoint.

use form_urlencoded::Serializer;
use http::HeaderValue;

use super::error::Failure;
use crate::{
    client_auth::{ClientSecret, ClientSigningKey, assertion, basic, write_assertion},
    clock::UnixTime,
};

/// How this API authenticates. `Debug` hides secrets.
#[derive(Debug)]
pub(super) enum ClientAuth {
    Basic(ClientSecret),
    PrivateKeyJwt(ClientSigningKey),
}

/// This API as a client of the authorization server.
#[derive(Debug)]
pub(super) struct ApiClient {
    pub(super) id: String,
    pub(super) auth: ClientAuth,
}

/// The credentials of one call. They are not logged.
pub(super) struct CallCredentials {
    pub(super) authorization: Option<HeaderValue>,
    pub(super) assertion: Option<String>,
}

impl ApiClient {
    /// Makes the credentials of one call to an issuer.
    pub(super) fn credentials(
        &self,
        issuer: &str,
        now: UnixTime,
    ) -> Result<CallCredentials, Failure> {
        match &self.auth {
            ClientAuth::Basic(secret) => Ok(CallCredentials {
                authorization: Some(basic(&self.id, secret).ok_or(Failure::Signing)?),
                assertion: None,
            }),
            ClientAuth::PrivateKeyJwt(key) => Ok(CallCredentials {
                authorization: None,
                assertion: Some(assertion(&self.id, issuer, key, now).ok_or(Failure::Signing)?),
            }),
        }
    }
}

impl CallCredentials {
    /// Adds the parameters of RFC 7521 section 4.2, if there are any.
    pub(super) fn write(&self, form: &mut Serializer<'_, String>) {
        if let Some(assertion) = &self.assertion {
            write_assertion(assertion, form);
        }
    }
}
