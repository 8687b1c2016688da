//! The keys of an issuer, from a file, a URL, or the issuer's metadata (RFC 8414).

use std::{path::Path, time::Duration};

use reqwest::{Client, Url, redirect::Policy};
use serde_json::Value;

use super::{IssuerKeys, command::read_file};
use crate::{failure::Failure, terminal::Terminal};

/// Longer documents are not read.
const MAX_LEN: usize = 1024 * 1024;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the keys that the options name, or `None` if they name none.
pub(super) async fn load(
    issuer: Option<&str>,
    jwks: Option<&str>,
    terminal: Terminal,
) -> Result<Option<IssuerKeys>, Failure> {
    let jwks = match (jwks, issuer) {
        (None, None) => return Ok(None),
        (Some(url), _) if url.starts_with("https://") || url.starts_with("http://") => {
            terminal.progress("fetching the keys of the issuer");
            fetch(url).await?.to_string()
        }
        (Some(file), _) => {
            let bytes = read_file(Path::new(file), MAX_LEN)?;
            String::from_utf8_lossy(&bytes).into_owned()
        }
        (None, Some(issuer)) => {
            terminal.progress("fetching the keys of the issuer");
            discover(issuer).await?.to_string()
        }
    };
    let document: Option<Value> = serde_json::from_str(&jwks).ok();
    if !document.is_some_and(|document| document.get("keys").is_some_and(Value::is_array)) {
        return Err(
            Failure::wrong_use("the keys of the issuer are not a JWK Set")
                .next_step("a JWK Set is a JSON object with the array `keys` (RFC 7517 section 5)"),
        );
    }
    Ok(Some(IssuerKeys {
        issuer: issuer.map(str::to_owned),
        jwks,
    }))
}

async fn discover(issuer: &str) -> Result<Value, Failure> {
    let url = Url::parse(issuer)
        .map_err(|_| Failure::wrong_use("--issuer is not a URL: give --jwks as well"))?;
    let origin = url.origin().ascii_serialization();
    let path = url.path().trim_end_matches('/');
    let mut reason = None;
    // RFC 8414 section 3.1 puts the well-known part before the issuer's path, OpenID Connect behind it.
    for url in [
        format!("{origin}/.well-known/oauth-authorization-server{path}"),
        format!("{origin}{path}/.well-known/openid-configuration"),
    ] {
        let metadata = match fetch(&url).await {
            Ok(metadata) => metadata,
            Err(failure) => {
                reason.get_or_insert(failure);
                continue;
            }
        };
        // RFC 8414 section 3.3
        if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
            let message = format!("the metadata at {url} is of another issuer");
            reason =
                Some(Failure::wrong_use(message).next_step(
                    "give --issuer exactly as the metadata names it, also its last slash",
                ));
            continue;
        }
        if let Some(jwks_uri) = metadata.get("jwks_uri").and_then(Value::as_str) {
            return fetch(jwks_uri).await;
        }
    }
    Err(reason.unwrap_or_else(|| {
        Failure::wrong_use("the metadata of the issuer has no jwks_uri").next_step("give --jwks")
    }))
}

async fn fetch(url: &str) -> Result<Value, Failure> {
    let url =
        Url::parse(url).map_err(|_| Failure::wrong_use("the address of the keys is not a URL"))?;
    let is_loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !is_loopback {
        return Err(Failure::wrong_use(format!("{url} is not https")));
    }
    let failed = |error: reqwest::Error| {
        Failure::out_of_reach(format!("cannot fetch {url}: {}", cause(&error)))
            .next_step("give --jwks with a file if the issuer is out of reach from here")
    };
    let client = client().map_err(failed)?;
    let mut response = client.get(url.clone()).send().await.map_err(failed)?;
    if !response.status().is_success() {
        let status = response.status().as_u16();
        return Err(Failure::out_of_reach(format!(
            "cannot fetch {url}: status {status}"
        )));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_LEN {
            return Err(Failure::out_of_reach(format!(
                "{url} sends more than 1 MiB"
            )));
        }
    }
    serde_json::from_slice(&body)
        .map_err(|_| Failure::out_of_reach(format!("{url} does not answer with JSON")))
}

fn client() -> reqwest::Result<Client> {
    let client = Client::builder()
        .redirect(Policy::none())
        .timeout(TIMEOUT)
        .user_agent(concat!("dpop/", env!("CARGO_PKG_VERSION")));
    // One crypto library in the process; see the crate's features.
    #[cfg(feature = "josekit")]
    let client = client.tls_backend_native();
    #[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
    let client = client.tls_backend_rustls();
    client.build()
}

/// Returns the innermost cause, which says what to do.
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
