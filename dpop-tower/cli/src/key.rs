//! `dpop key`: private keys in files.

mod folder;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use dpop_tower::{
    client::ClientKey,
    crypto::Algorithm,
    jwk::{KeyParameters, PublicJwk},
};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    files::{IfExists, read_secret, write_secret},
    terminal::Terminal,
};

/// What to do with a key.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Generate a private key, to which access tokens are bound.
    New(New),
    /// Show the public half of a key, its kind and its thumbprint. The private half is never shown.
    Show(File),
    /// Print the thumbprint of a key (RFC 7638), which is the `jkt` of tokens and the `dpop_jkt` of requests.
    Thumbprint(File),
}

/// The key to generate.
#[derive(Debug, Args)]
pub struct New {
    /// The algorithm: `ES256`, `ES384`, `Ed25519`, `EdDSA`, `PS256` or `RS256`.
    #[arg(long, value_name = "ALG", default_value = "ES256", value_parser = algorithm)]
    alg: Algorithm,
    /// Write the key to this file, which only you can read. Otherwise it is printed.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists. Tokens that are bound to the old key are then useless.
    #[arg(long, requires = "out")]
    force: bool,
    /// Write a JWK Set with the one key, as other tools take it.
    #[arg(long)]
    jwks: bool,
    /// Write PKCS#8 in PEM instead of a JWK.
    #[arg(long, conflicts_with = "jwks")]
    pem: bool,
}

/// A file with a private key.
#[derive(Debug, Args)]
pub struct File {
    /// A JWK, a JWK Set, or PKCS#8 in PEM. `-` is the standard input.
    file: PathBuf,
    /// The `kid` of the key, if the file is a set with several.
    #[arg(long)]
    kid: Option<String>,
}

/// The private key of a command that makes proofs.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// The private key: a JWK, a JWK Set, or PKCS#8 in PEM. `-` is the standard input. Of a folder with keys, the
    /// one that the token is bound to.
    #[arg(long, value_name = "FILE|FOLDER")]
    key: PathBuf,
    /// The `kid` of the key, if the file is a set with several.
    #[arg(long)]
    kid: Option<String>,
}

impl KeyArguments {
    /// Reads the key. The token selects one of a folder.
    ///
    /// # Errors
    ///
    /// Returns a failure if there is no usable key in the file, or not one in the folder.
    pub fn read(&self, token: Option<&str>, terminal: Terminal) -> Result<ClientKey, Failure> {
        let kid = self.kid.as_deref();
        if self.key.is_dir() {
            return folder::read(&self.key, kid, token, terminal);
        }
        read(&self.key, kid, terminal)
    }

    /// Returns whether the key is read from the standard input, which has one reader only.
    pub fn is_stdin(&self) -> bool {
        self.key.as_os_str() == "-"
    }
}

/// Runs the command.
///
/// # Errors
///
/// Returns a failure if the key cannot be read, generated or written.
pub fn run(command: &Command, terminal: Terminal) -> Result<(), Failure> {
    match command {
        Command::New(new) => generate(new, terminal),
        Command::Show(File { file, kid }) => show(&read(file, kid.as_deref(), terminal)?, terminal),
        Command::Thumbprint(File { file, kid }) => {
            let thumbprint = read(file, kid.as_deref(), terminal)?
                .thumbprint()
                .to_string();
            terminal.print(&thumbprint, &json!({ "thumbprint": thumbprint }))
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::from_name(name)
        .ok_or_else(|| "expected ES256, ES384, Ed25519, EdDSA, PS256 or RS256".to_owned())
}

fn generate(new: &New, terminal: Terminal) -> Result<(), Failure> {
    let key = ClientKey::generate(new.alg).map_err(unusable)?;
    let thumbprint = key.thumbprint().to_string();
    let text = if new.pem {
        key.to_pkcs8_pem().map_err(unusable)?.as_str().to_owned()
    } else {
        let key = key.clone().with_key_id(&thumbprint);
        let jwk = key.to_jwk().map_err(unusable)?;
        let jwk = jwk.as_str().trim_end_matches('}');
        if new.jwks {
            format!("{{\"keys\":[{jwk},\"use\":\"sig\"}}]}}\n")
        } else {
            format!("{jwk},\"use\":\"sig\"}}\n")
        }
    };
    let Some(out) = &new.out else {
        let json = if new.pem {
            json!({ "pem": text })
        } else {
            serde_json::from_str(&text)
                .map_err(|_| Failure::wrong_use("the key cannot be written as JSON"))?
        };
        return terminal.print(&text, &json);
    };
    let if_exists = if new.force {
        IfExists::Replace
    } else {
        IfExists::Keep
    };
    write_secret(out, &text, if_exists)?;
    let json = json!({
        "file": out.display().to_string(),
        "alg": new.alg.as_str(),
        "thumbprint": thumbprint,
    });
    terminal.print(
        &format!("{}: {} key {thumbprint}", out.display(), new.alg),
        &json,
    )
}

fn show(key: &ClientKey, terminal: Terminal) -> Result<(), Failure> {
    let thumbprint = key.thumbprint().to_string();
    let kind = kind(key.public_jwk());
    let jwk = public_members(key);
    let kid = key.key_id();
    let text = format!(
        "kind        {kind}\nalgorithm   {}\nkey ID      {}\nthumbprint  {thumbprint}\npublic key  {jwk}",
        key.algorithm(),
        kid.map_or_else(|| "none".to_owned(), |kid| kid.escape_debug().to_string()),
    );
    let json = json!({
        "kind": kind,
        "alg": key.algorithm().as_str(),
        "kid": kid,
        "thumbprint": thumbprint,
        "jwk": jwk,
    });
    terminal.print(&text, &json)
}

fn kind(jwk: &PublicJwk) -> String {
    match jwk.parameters() {
        KeyParameters::Ec { curve, .. } => format!("elliptic curve {}", curve.as_str()),
        KeyParameters::Ed25519 { .. } => "Ed25519".to_owned(),
        KeyParameters::Rsa { .. } => format!("RSA, {} bits", 8 * jwk.signature_len()),
        _ => "another kind".to_owned(),
    }
}

/// Returns the public half as a JWK, as a server takes it for registration.
fn public_members(key: &ClientKey) -> Value {
    let mut jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap_or_default();
    jwk["alg"] = key.algorithm().as_str().into();
    jwk["use"] = "sig".into();
    if let Some(kid) = key.key_id() {
        jwk["kid"] = kid.into();
    }
    jwk
}

fn read(
    path: &std::path::Path,
    kid: Option<&str>,
    terminal: Terminal,
) -> Result<ClientKey, Failure> {
    let text = read_secret(path, "the key", terminal)?;
    let name = match path.display().to_string() {
        name if name == "-" => "the standard input".to_owned(),
        name => name,
    };
    parse(&text, kid).map_err(|failure| failure.within(&name))
}

/// Parses a key in any of the supported forms.
fn parse(text: &str, kid: Option<&str>) -> Result<ClientKey, Failure> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('{') {
        return ClientKey::from_pkcs8_pem(text).map_err(unusable);
    }
    let document: Value = serde_json::from_str(text).map_err(|error| {
        // The text of serde's error could quote the key.
        Failure::wrong_use(format!(
            "the key is not JSON: line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let Some(keys) = document.get("keys") else {
        let key = ClientKey::from_jwk(text).map_err(unusable)?;
        return match kid {
            Some(kid) if key.key_id() != Some(kid) => Err(no_such_key(Some(kid))),
            _ => Ok(key),
        };
    };
    let keys = keys.as_array().map(Vec::as_slice).unwrap_or_default();
    let member =
        |key: &Value, name: &str, value: &str| key.get(name).and_then(Value::as_str) == Some(value);
    let mut private = keys.iter().filter(|key| match kid {
        Some(kid) => member(key, "kid", kid),
        None => key.get("d").is_some() && !member(key, "use", "enc"),
    });
    let key = private.next().ok_or_else(|| no_such_key(kid))?;
    if private.next().is_some() {
        return Err(Failure::wrong_use("the set has several keys that fit")
            .next_step("Select one with --kid."));
    }
    ClientKey::from_jwk(&key.to_string()).map_err(unusable)
}

fn no_such_key(kid: Option<&str>) -> Failure {
    match kid {
        Some(kid) => Failure::wrong_use(format!("no key has the kid {kid:?}")),
        None => Failure::wrong_use("the set has no private key for signatures"),
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is given to `map_err`, which passes the error on"
)]
fn unusable(error: dpop_tower::client::ClientError) -> Failure {
    Failure::wrong_use(error.to_string())
        .next_step("`dpop key new --out FILE` makes a key that every server supports.")
}
