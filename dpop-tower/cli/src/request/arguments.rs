use std::{
    io::{self, Read as _},
    path::PathBuf,
    time::Duration,
};

use bytes::Bytes;
use clap::Args;
use dpop_tower::client::ClientKey;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::output::Output;
use crate::{
    failure::Failure,
    key::KeyArguments,
    loopback,
    proof::uri,
    secret::{TokenArguments, key_and_token},
    terminal::Terminal,
};

/// The request.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The method of the request. Defaults to GET, or to POST with `--data`.
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    method: Option<Method>,
    /// A header of the request, such as "Accept: application/json". Can be repeated.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The body: a text, or `@FILE`, which is sent as it is. `@-` is the standard input.
    #[arg(short = 'd', long, value_name = "DATA")]
    data: Option<String>,
    /// Write the status and the headers of the response before its body.
    #[arg(short, long)]
    include: bool,
    /// Write the response to this file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Show every exchange on the standard error, with the proofs decoded and without the token.
    #[arg(short, long)]
    verbose: bool,
    /// Follow redirects within the origin of the URL. Other origins never get the token.
    #[arg(short = 'L', long)]
    location: bool,
    /// Fail with exit code 1 on every status from 400 on, not only where credentials are rejected.
    #[arg(short, long)]
    fail: bool,
    /// Seconds to wait for the response, and then for each part of its body.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// A `DPoP-Nonce` of the server, for the first attempt.
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
    /// Send the token over plain HTTP to a host that is not this machine.
    #[arg(long)]
    danger_allow_plain_http: bool,
    /// The URL of the request.
    #[arg(value_parser = uri)]
    url: Uri,
    #[command(flatten)]
    key: KeyArguments,
    #[command(flatten)]
    token: TokenArguments,
}

/// A request that can be sent.
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) key: ClientKey,
    pub(super) token: String,
    pub(super) nonce: Option<String>,
    pub(super) output: Output,
    pub(super) timeout: Duration,
    pub(super) verbose: bool,
    pub(super) location: bool,
    pub(super) fail: bool,
}

impl Arguments {
    pub(super) fn prepare(self, terminal: Terminal) -> Result<Prepared, Failure> {
        loopback::check(&self.url, self.danger_allow_plain_http, "the access token")?;
        let (key, token) = key_and_token(&self.key, &self.token, terminal)?;
        let token = token.ok_or_else(|| {
            Failure::wrong_use("no access token is given")
                .next_step("Give --token-file FILE or --token-env NAME; `dpop token` gets a token.")
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers {
            headers.append(name, value);
        }
        for (name, value) in [
            (header::ACCEPT, "*/*"),
            (
                header::USER_AGENT,
                concat!("dpop/", env!("CARGO_PKG_VERSION")),
            ),
        ] {
            let entry = headers.entry(name);
            entry.or_insert(HeaderValue::from_static(value));
        }
        let has_data = self.data.is_some();
        if has_data {
            let form = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.entry(header::CONTENT_TYPE).or_insert(form);
        }
        let default = if has_data { Method::POST } else { Method::GET };
        Ok(Prepared {
            method: self.method.unwrap_or(default),
            url: self.url,
            headers,
            body: self.data.map_or_else(|| Ok(Bytes::new()), body)?,
            key,
            token,
            nonce: self.nonce,
            output: Output {
                file: self.output,
                include: self.include,
            },
            timeout: Duration::from_secs(self.timeout),
            verbose: self.verbose,
            location: self.location,
            fail: self.fail,
        })
    }
}

fn body(data: String) -> Result<Bytes, Failure> {
    let Some(file) = data.strip_prefix('@') else {
        return Ok(data.into());
    };
    let read = if file == "-" {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        std::fs::read(file)
    };
    read.map(Bytes::from)
        .map_err(|error| Failure::wrong_use(format!("cannot read the body from {file}: {error}")))
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or("expected a header such as \"Accept: application/json\"")?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| "not the name of a header")?;
    if name == header::AUTHORIZATION || name == super::DPOP {
        return Err(format!(
            "`dpop request` writes {name} itself: give --token-file or --token-env, and --key"
        ));
    }
    let value = HeaderValue::try_from(value.trim()).map_err(|_| "not the value of a header")?;
    Ok((name, value))
}
