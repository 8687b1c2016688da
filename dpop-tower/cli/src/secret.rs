//! Access tokens from a file, the environment or the standard input. They are never arguments, which other
//! users of the machine can see.

use std::path::PathBuf;

use clap::Args;
use dpop_tower::client::ClientKey;
use serde_json::Value;

use crate::{failure::Failure, files::read_secret, key::KeyArguments, terminal::Terminal};

/// Where the access token comes from.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(crate) struct TokenArguments {
    /// A file with the access token, or with the JSON that `dpop token --out` writes. `-` is the standard
    /// input.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The environment variable with the access token.
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
}

/// Reads the key and the token, if one is given.
///
/// # Errors
///
/// Returns a failure if a file has no key, or a file or the variable has no token.
pub(crate) fn key_and_token(
    key: &KeyArguments,
    token: &TokenArguments,
    terminal: Terminal,
) -> Result<(ClientKey, Option<String>), Failure> {
    let token_is_stdin = (token.token_file.as_ref()).is_some_and(|file| file.as_os_str() == "-");
    if key.is_stdin() && token_is_stdin {
        return Err(Failure::wrong_use(
            "the key and the token cannot both come from the standard input",
        ));
    }
    let text = match (&token.token_file, &token.token_env) {
        (Some(file), _) => Some(read_secret(file, "the access token", terminal)?),
        (None, Some(name)) => Some(variable(name)?),
        (None, None) => None,
    };
    let token = text.as_deref().map(access_token).transpose()?;
    let key = key.read(token.as_deref(), terminal)?;
    Ok((key, token))
}

/// Reads an environment variable.
///
/// # Errors
///
/// Returns a failure if the variable is not set, or is not text.
pub(crate) fn variable(name: &str) -> Result<String, Failure> {
    std::env::var(name).map_err(|_| {
        Failure::wrong_use(format!(
            "the environment variable {name} is not set, or is not text"
        ))
    })
}

/// Returns the token in a text, which is the token itself or a token response.
fn access_token(text: &str) -> Result<String, Failure> {
    let text = text.trim();
    let token = if text.starts_with('{') {
        let response: Value = serde_json::from_str(text).unwrap_or_default();
        let token = response.get("access_token").and_then(Value::as_str);
        token
            .ok_or_else(|| Failure::wrong_use("the JSON has no `access_token`"))?
            .to_owned()
    } else {
        text.to_owned()
    };
    // RFC 6750 section 2.1
    let is_token_character = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    if token.is_empty() || !token.chars().all(is_token_character) {
        return Err(Failure::wrong_use(
            "the access token is empty, or has characters that no token has",
        )
        .next_step(
            "The file or the variable has to contain the token alone, or a token response.",
        ));
    }
    Ok(token)
}
