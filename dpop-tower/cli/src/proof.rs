//! `dpop proof`: the proof for one request.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use dpop_tower::client::DpopClient;
use http::{Method, Uri};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    key::KeyArguments,
    secret::{TokenArguments, key_and_token},
    terminal::Terminal,
};

/// The request that the proof is for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The method of the request.
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    method: Method,
    /// The URL of the request. Its query and fragment do not enter the proof.
    #[arg(value_parser = uri)]
    url: Uri,
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    token: TokenArguments,
    /// The newest `DPoP-Nonce` of the server.
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
}

/// Prints a proof, which can be sent once.
///
/// # Errors
///
/// Returns a failure if the key or the token cannot be read, or if no proof can be for the URL.
pub async fn run(arguments: Arguments, terminal: Terminal) -> Result<(), Failure> {
    let (key, token) = key_and_token(&arguments.key, &arguments.token, terminal)?;
    let client = DpopClient::new(key).map_err(|error| Failure::wrong_use(error.to_string()))?;
    let proof = sign(
        &client,
        &arguments.method,
        &arguments.url,
        token.as_deref(),
        arguments.nonce.as_deref(),
    )
    .await?;
    let [header, claims] = decoded(&proof);
    let json = json!({ "proof": proof, "header": header, "claims": claims });
    terminal.print(&proof, &json)
}

/// Makes a new proof.
///
/// # Errors
///
/// Returns a failure if no proof can be for the URL.
pub async fn sign(
    client: &DpopClient,
    method: &Method,
    url: &Uri,
    token: Option<&str>,
    nonce: Option<&str>,
) -> Result<String, Failure> {
    let wrong = |error: dpop_tower::client::ClientError| Failure::wrong_use(error.to_string());
    let mut proof = client.proof(method, url).map_err(wrong)?;
    if let Some(token) = token {
        proof = proof.access_token(token);
    }
    if let Some(nonce) = nonce {
        proof = proof.nonce(nonce);
    }
    proof.sign().await.map_err(wrong)
}

/// Returns the header and the claims of a proof or a token, without verifying them. What is no JSON is null.
pub fn decoded(jwt: &str) -> [Value; 2] {
    let mut parts = jwt.split('.').map(|part| {
        let json = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
        serde_json::from_slice(&json).unwrap_or_default()
    });
    [(); 2].map(|()| parts.next().unwrap_or_default())
}

/// Parses the URL of a request.
///
/// # Errors
///
/// Returns a message for anything but an absolute `http` or `https` URL.
pub fn uri(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .parse()
        .map_err(|_| "not a URL: write special characters as %XX".to_owned())?;
    match uri.scheme_str() {
        Some("http" | "https") => Ok(uri),
        _ => Err("expected a URL that begins with https:// or http://".to_owned()),
    }
}
