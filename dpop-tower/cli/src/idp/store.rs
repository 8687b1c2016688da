//! What the issuer remembers. All of it is in memory, has a limit, and is gone when the program ends.

use dpop_tower::{clock::UnixTime, jwk::Thumbprint};
use serde_json::{Map, Value};

use super::{expiring::Expiring, form::Form};

/// How many codes, devices and pushed requests there may be at a time.
const REQUESTS: usize = 1_000;

/// How many access tokens and how many refresh tokens there may be at a time.
const TOKENS: usize = 10_000;

/// All tokens that come from one authorization. They are revoked together.
pub(super) type Family = [u8; 16];

/// What a client may do, and for whom.
#[derive(Clone, Debug)]
pub(super) struct Authorization {
    pub(super) client_id: String,
    pub(super) subject: String,
    /// Further claims of the user.
    pub(super) claims: Map<String, Value>,
    pub(super) scope: Vec<String>,
    pub(super) audience: Vec<String>,
    /// When the user was signed in. `None` if the client acts for itself.
    pub(super) auth_time: Option<i64>,
    pub(super) family: Family,
}

/// An authorization code.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) authorization: Authorization,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) dpop_jkt: Option<Thumbprint>,
    /// The `nonce` of OpenID Connect, for the ID token.
    pub(super) nonce: Option<String>,
    pub(super) is_used: bool,
}

#[derive(Clone, Debug)]
pub(super) struct RefreshToken {
    pub(super) authorization: Authorization,
    /// The key of a public client.
    pub(super) bound_to: Option<Thumbprint>,
    /// Each refresh token is good once. The response to its use has the next one.
    pub(super) is_used: bool,
}

/// An access token, for introspection.
#[derive(Clone, Debug)]
pub(super) struct AccessToken {
    pub(super) claims: Map<String, Value>,
    pub(super) token_type: &'static str,
    pub(super) client_id: String,
    pub(super) family: Family,
}

/// A device that waits for somebody to approve it (RFC 8628).
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub(super) client_id: String,
    pub(super) user_code: String,
    pub(super) scope: Vec<String>,
    pub(super) audience: Vec<String>,
    pub(super) decision: Decision,
    pub(super) interval: u64,
    pub(super) asked_at: Option<UnixTime>,
}

#[derive(Clone, Debug)]
pub(super) enum Decision {
    Pending,
    Denied,
    Approved(Authorization),
}

/// A pushed authorization request (RFC 9126).
#[derive(Debug)]
pub(super) struct Pushed {
    pub(super) client_id: String,
    pub(super) parameters: Form,
    pub(super) dpop_jkt: Option<Thumbprint>,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) codes: Expiring<Code>,
    pub(super) refresh_tokens: Expiring<RefreshToken>,
    pub(super) access_tokens: Expiring<AccessToken>,
    pub(super) devices: Expiring<Device>,
    pub(super) pushed: Expiring<Pushed>,
}

impl Store {
    pub(super) fn new() -> Self {
        Self {
            codes: Expiring::new(REQUESTS),
            refresh_tokens: Expiring::new(TOKENS),
            access_tokens: Expiring::new(TOKENS),
            devices: Expiring::new(REQUESTS),
            pushed: Expiring::new(REQUESTS),
        }
    }

    /// Makes all tokens of an authorization invalid.
    pub(super) fn revoke(&mut self, family: Family) {
        self.refresh_tokens
            .retain(|token| token.authorization.family != family);
        self.access_tokens.retain(|token| token.family != family);
    }
}
