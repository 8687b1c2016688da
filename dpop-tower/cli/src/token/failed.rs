use dpop_tower::{
    ConfigError,
    client::oauth::{OAuthError, OAuthErrorKind},
};

use crate::failure::Failure;

/// Returns the failure of the command, with the next step.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to `map_err`, which passes the error on"
)]
pub(super) fn explained(error: OAuthError) -> Failure {
    let message = error.to_string();
    let failure = match error.kind() {
        OAuthErrorKind::Discovery | OAuthErrorKind::Unreachable => Failure::out_of_reach(message),
        OAuthErrorKind::Settings | OAuthErrorKind::Signer | OAuthErrorKind::Store => {
            Failure::wrong_use(message)
        }
        _ => Failure::rejected(message),
    };
    match next_step(&error) {
        Some(next_step) => failure.next_step(next_step),
        None => failure,
    }
}

fn next_step(error: &OAuthError) -> Option<&'static str> {
    Some(match (error.code(), error.kind()) {
        (Some("access_denied"), _) => "The user declined, or may not use this client.",
        (Some("invalid_client"), _) => {
            "Check --client-id, and how the client is registered to authenticate: with a secret, a key, or not at all."
        }
        (Some("invalid_dpop_proof"), _) => {
            "Check that the clock of this machine is right, and that the server accepts the algorithm of the key."
        }
        (Some("invalid_grant"), _) => {
            "The code or the refresh token is not, or no longer, valid for this client and this key: log in again."
        }
        (Some("invalid_scope"), _) => "Check --scope: the client may not ask for it.",
        (Some("invalid_target"), _) => {
            "Check --resource and --audience: the server does not know the API."
        }
        (Some("unauthorized_client" | "unsupported_grant_type"), _) => {
            "The client may not use this grant: choose another one with --grant."
        }
        (Some("use_dpop_nonce"), _) => {
            "The server did not accept the nonce that it gave. Its nodes may have different nonce secrets."
        }
        (None, OAuthErrorKind::Discovery) => {
            "Check --issuer: it has to be written as in the `issuer` of the server's metadata."
        }
        (None, OAuthErrorKind::Expired) => "Run the command again.",
        _ => return None,
    })
}

/// Returns the failure for credentials that cannot be used.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to `map_err`, which passes the error on"
)]
pub(super) fn wrong(error: ConfigError) -> Failure {
    Failure::wrong_use(error.to_string())
}
