//! Tokens from an authorization server, bound to the key of a [`DpopClient`](super::DpopClient).
//!
//! | task | API |
//! |---|---|
//! | A service calls another one for itself | [`TokenClient::client_credentials`] |
//! | A user logs in with a browser | [`TokenClient::start_authorization`], with PKCE (RFC 7636) and `dpop_jkt` |
//! | A user logs in on another device | [`TokenClient::start_device_authorization`] (RFC 8628) |
//! | Renew the tokens of a user | [`TokenClient::refresh`] |
//! | Have tokens renewed for every request | [`RenewingTokens`], which is a [`TokenSource`](super::TokenSource) |
//! | Keep tokens between runs of the program | [`TokenStore`], [`FileTokenStore`] |
//!
//! Every request to the token endpoint has a proof (RFC 9449 section 5). The newest nonce of the authorization server is
//! kept apart from those of resource servers, and a request is sent once more if the server wants one. A response
//! with another `token_type` than `DPoP` is an error, because the token is not bound to the key.
//!
//! # Security
//!
//! Requests with credentials, codes and refresh tokens go to the endpoints that the metadata of the issuer names, over
//! TLS, and follow no redirects. Metadata has to name exactly the configured issuer (RFC 8414 section 3.3), and so does
//! the redirect of the authorization code flow, where the server supports that (RFC 9207).
//!
//! ID tokens are not returned, since this module does not verify them.

mod authorization;
mod call;
mod client;
mod device;
mod error;
mod parameters;
mod renewing;
mod store;
mod tokens;

pub use self::{
    authorization::AuthorizationRequest,
    client::{TokenClient, TokenClientBuilder},
    device::DeviceAuthorization,
    error::{OAuthError, OAuthErrorKind},
    parameters::TokenRequest,
    renewing::{RenewingTokens, RenewingTokensBuilder},
    store::{FileTokenStore, TokenStore, TokenStoreError},
    tokens::{ExportedTokens, RefreshToken, TokenSet},
};
pub use crate::client_auth::{ClientSecret, ClientSigningKey};
