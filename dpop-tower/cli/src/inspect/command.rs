//! The command line of `dpop inspect`.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use dpop_tower::clock::{SystemClock, TimeSource as _, UnixTime};

use super::{MAX_INPUT_LEN, Options, Unreadable, dates, keys};
use crate::{failure::Failure, terminal::Terminal};

/// An access token and a line break are shorter.
const MAX_TOKEN_FILE_LEN: usize = 64 * 1024;

/// What to inspect, and what to compare it with.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The file to inspect: a proof, an access token, a challenge, a raw request or response, the output of
    /// `curl -v`, a curl command, or a HAR. Reads the standard input if it is missing or `-`.
    file: Option<PathBuf>,
    /// The URL that the proof should be for. Defaults to that of the request.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The scheme, host and port by which clients call the service. Defaults to those of the request.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// The method that the proof should be for. Defaults to that of the request.
    #[arg(long, short = 'X', value_name = "METHOD")]
    method: Option<String>,
    /// A file with the access token, for the `ath` of a proof and the key of the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The issuer of access tokens. Its keys are fetched through its metadata unless --jwks is given.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The JWK Set of the issuer, which verifies the signature of the token.
    #[arg(long, value_name = "FILE|URL")]
    jwks: Option<String>,
    /// The audience that the token should have.
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,
    /// The nonce that the proof should have.
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
    /// The time of the inspection, in seconds since 1970 or as 2026-01-31T12:00:00Z. Defaults to the times of
    /// the capture, or to now.
    #[arg(long, value_name = "TIME", value_parser = time, allow_hyphen_values = true)]
    now: Option<UnixTime>,
    /// The maximum age of a proof in seconds, up to one day.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    max_age: u64,
    /// Accept access tokens whose `typ` is `JWT` or missing, as some authorization servers write them.
    #[arg(long)]
    accept_typ_jwt: bool,
    /// Show all claims of access tokens, also those that may be personal.
    #[arg(long)]
    claims: bool,
}

/// Runs the command.
///
/// # Errors
///
/// Returns a failure if what was inspected is not valid, if it cannot be read, or if the keys of the issuer are
/// out of reach.
pub async fn run(arguments: Arguments, terminal: Terminal) -> Result<(), Failure> {
    let input = read(arguments.file.as_deref(), terminal)?;
    let token = match &arguments.token_file {
        Some(file) => Some(read_token(file)?),
        None => None,
    };
    let now = arguments.now.unwrap_or_else(|| SystemClock.now());
    let options = Options {
        keys: keys::load(
            arguments.issuer.as_deref(),
            arguments.jwks.as_deref(),
            terminal,
        )
        .await?,
        url: arguments.url,
        origin: arguments.origin,
        method: arguments.method,
        token,
        audience: arguments.audience,
        nonce: arguments.nonce,
        max_age: Duration::from_secs(arguments.max_age),
        accept_typ_jwt: arguments.accept_typ_jwt,
        all_claims: arguments.claims,
        time_is_fixed: arguments.now.is_some(),
    };
    let report = super::inspect(&input, &options, now)?;
    let text = report.to_text(terminal.has_colours());
    terminal.print(&text, &report.to_json())?;
    match report.reason() {
        None => Ok(()),
        Some(reason) if report.is_rejected_by_server() => Err(Failure::rejected(format!(
            "the server has rejected the request: {reason}"
        ))),
        Some(reason) => Err(Failure::rejected(format!("it is rejected: {reason}"))),
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        let failure = Self::wrong_use(unreadable.message);
        match unreadable.next_step {
            Some(next_step) => failure.next_step(next_step),
            None => failure,
        }
    }
}

fn time(text: &str) -> Result<UnixTime, &'static str> {
    dates::parse(text).ok_or("neither seconds since 1970 nor a date such as 2026-01-31T12:00:00Z")
}

fn read(file: Option<&Path>, terminal: Terminal) -> Result<Vec<u8>, Failure> {
    let Some(file) = file.filter(|file| *file != Path::new("-")) else {
        if io::stdin().is_terminal() {
            terminal.progress("reading the standard input until Ctrl-D");
        }
        return read_all(io::stdin().lock(), "the standard input", MAX_INPUT_LEN);
    };
    read_file(file, MAX_INPUT_LEN)
}

fn read_token(file: &Path) -> Result<String, Failure> {
    let bytes = read_file(file, MAX_TOKEN_FILE_LEN)?;
    let text = String::from_utf8_lossy(&bytes);
    let token = text.trim();
    if token.is_empty() || token.contains(|char: char| char.is_whitespace() || !char.is_ascii()) {
        return Err(
            Failure::wrong_use(format!("{}: not an access token", file.display()))
                .next_step("the file contains the token alone, without scheme and quotes"),
        );
    }
    Ok(token.to_owned())
}

/// Reads a file that is not longer than this.
pub(super) fn read_file(file: &Path, max_len: usize) -> Result<Vec<u8>, Failure> {
    let name = file.display().to_string();
    let opened = File::open(file)
        .map_err(|error| Failure::wrong_use(format!("cannot read {name}: {error}")))?;
    read_all(opened, &name, max_len)
}

fn read_all(from: impl Read, name: &str, max_len: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(max_len).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::wrong_use(format!("cannot read {name}: {error}")))?;
    if bytes.len() > max_len {
        return Err(Failure::wrong_use(format!(
            "{name} has more than {max_len} bytes"
        )));
    }
    Ok(bytes)
}
