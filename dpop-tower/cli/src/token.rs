//! `dpop token`: access tokens from an authorization server.
//!
//! | module | what it does |
//! |---|---|
//! | `browser` | waits for the browser to come back from the authorization server |
//! | `failed` | explains what the authorization server says, with the next step |

mod browser;
mod failed;

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use dpop_tower::{
    client::{
        DpopClient,
        oauth::{
            ClientSecret, ClientSigningKey, FileTokenStore, RefreshToken, TokenClient,
            TokenRequest, TokenSet, TokenStore as _,
        },
    },
    clock::{SystemClock, TimeSource as _},
};
use http::Uri;
use serde_json::{Value, json};

use self::failed::{explained, wrong};
use crate::{
    failure::Failure, files::read_secret, key::KeyArguments, loopback, proof::uri,
    secret::variable, terminal::Terminal,
};

/// Where the token comes from, and what it is for.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The issuer, as its metadata names it.
    #[arg(long, value_name = "URL", value_parser = uri_text)]
    issuer: String,
    /// The identifier of the client.
    #[arg(long, value_name = "ID")]
    client_id: String,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    secret_method: SecretMethod,
    /// How the token is obtained. Defaults to `client_credentials` for a client with credentials, and
    /// to `authorization_code` for one without.
    #[arg(long, value_enum, value_name = "GRANT")]
    grant: Option<Grant>,
    /// A scope, or several separated by spaces. Can be repeated.
    #[arg(long)]
    scope: Vec<String>,
    /// The URL of an API that the token is for (RFC 8707). Can be repeated.
    #[arg(long, value_name = "URL")]
    resource: Vec<String>,
    /// An API that the token is for, as some servers take it instead of --resource. Can be repeated.
    #[arg(long)]
    audience: Vec<String>,
    #[command(flatten)]
    key: KeyArguments,
    /// Write the tokens to this file, which only you can read. With the grant `refresh_token`, the refresh token
    /// comes from it.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A file with the refresh token, for the grant `refresh_token`.
    #[arg(long, value_name = "FILE", conflicts_with = "refresh_token_env")]
    refresh_token_file: Option<PathBuf>,
    /// The environment variable with the refresh token, for the grant `refresh_token`.
    #[arg(long, value_name = "NAME")]
    refresh_token_env: Option<String>,
    /// Where the browser comes back to: a URL of this machine with a port, which the client is registered with.
    /// Defaults to http://127.0.0.1:PORT/callback with a free port.
    #[arg(long, value_name = "URL", value_parser = uri)]
    redirect_uri: Option<Uri>,
    /// Only print the URL, and do not open a browser.
    #[arg(long)]
    no_browser: bool,
    /// Seconds to wait for the user.
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

/// How the client authenticates. A client without credentials is public.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Credentials {
    /// The environment variable with the secret of the client.
    #[arg(long, value_name = "NAME")]
    client_secret_env: Option<String>,
    /// A file with the secret of the client. `-` is the standard input.
    #[arg(long, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
    /// A file with the private key of the client, for `private_key_jwt`: a JWK, or PKCS#8 in PEM.
    #[arg(long, value_name = "FILE")]
    client_key_file: Option<PathBuf>,
}

/// Which of two ways the secret is sent.
#[derive(Clone, Copy, Debug, Args)]
struct SecretMethod {
    /// Send the secret in the form (`client_secret_post`) and not in a header, as some servers require.
    #[arg(long, conflicts_with = "client_key_file")]
    client_secret_post: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Grant {
    ClientCredentials,
    AuthorizationCode,
    DeviceCode,
    RefreshToken,
}

/// Obtains tokens and prints them, or writes them to a file.
///
/// # Errors
///
/// Returns a failure if the authorization server rejects the request or is out of reach, if the user declines, or if
/// the arguments are wrong.
pub async fn run(arguments: Arguments, terminal: Terminal) -> Result<(), Failure> {
    let key = arguments.key.read(None, terminal)?;
    let dpop = DpopClient::new(key).map_err(|error| Failure::wrong_use(error.to_string()))?;
    let client = arguments.client(dpop, terminal)?;
    let tokens = match arguments.grant() {
        Grant::ClientCredentials => {
            let request = arguments.request();
            client
                .client_credentials(&request)
                .await
                .map_err(explained)?
        }
        Grant::AuthorizationCode => arguments.with_browser(&client, terminal).await?,
        Grant::DeviceCode => arguments.with_device(&client, terminal).await?,
        Grant::RefreshToken => arguments.refresh(&client, terminal).await?,
    };
    // A refresh token may have been rotated, so the new one is made safe before anything else.
    let Some(out) = &arguments.out else {
        let json = serde_json::from_str(tokens.to_json().as_str()).unwrap_or(Value::Null);
        return terminal.print(tokens.access_token().as_str(), &json);
    };
    let store = FileTokenStore::new(out);
    if let Err(error) = store.save(&tokens).await {
        // Otherwise a rotated refresh token would be lost.
        let json = serde_json::from_str(tokens.to_json().as_str()).unwrap_or(Value::Null);
        terminal.print(&json.to_string(), &json)?;
        let message = format!("cannot write {}: {error}", out.display());
        return Err(Failure::wrong_use(message).next_step("The tokens are on the standard output."));
    }
    let left = tokens
        .expires_at()
        .map(|at| at.seconds_since(SystemClock.now()));
    let expiry = left.map_or_else(String::new, |left| format!(", which expires in {left} s"));
    let refresh = if tokens.refresh_token().is_some() {
        ", and a refresh token"
    } else {
        ""
    };
    let json = json!({
        "file": out.display().to_string(),
        "expires_at": tokens.expires_at().map(dpop_tower::clock::UnixTime::as_secs),
        "scope": tokens.scope(),
        "jkt": client.thumbprint().to_string(),
    });
    let text = format!("{}: an access token{expiry}{refresh}", out.display());
    terminal.print(&text, &json)
}

impl Arguments {
    fn grant(&self) -> Grant {
        let credentials = &self.credentials;
        let is_confidential = credentials.client_secret_env.is_some()
            || credentials.client_secret_file.is_some()
            || credentials.client_key_file.is_some();
        self.grant.unwrap_or(if is_confidential {
            Grant::ClientCredentials
        } else {
            Grant::AuthorizationCode
        })
    }

    fn client(&self, dpop: DpopClient, terminal: Terminal) -> Result<TokenClient, Failure> {
        let mut builder = TokenClient::builder(&self.issuer, &self.client_id, dpop);
        let is_local = self
            .issuer
            .parse()
            .is_ok_and(|uri| loopback::is_this_machine(&uri));
        if is_local {
            builder = builder.danger_allow_plain_http();
        }
        let credentials = &self.credentials;
        let secret = match (
            &credentials.client_secret_env,
            &credentials.client_secret_file,
        ) {
            (Some(name), _) => Some(variable(name)?),
            (None, Some(file)) => Some(read_secret(file, "the client secret", terminal)?),
            (None, None) => None,
        };
        if let Some(secret) = secret {
            let secret = ClientSecret::new(secret.trim_end_matches(['\r', '\n']));
            let secret = secret.map_err(wrong)?;
            builder = if self.secret_method.client_secret_post {
                builder.client_secret_post(secret)
            } else {
                builder.client_secret_basic(secret)
            };
        }
        if let Some(file) = &credentials.client_key_file {
            let text = read_secret(file, "the client's key", terminal)?;
            let key = if text.trim_start().starts_with('{') {
                ClientSigningKey::from_jwk(&text)
            } else {
                ClientSigningKey::from_pkcs8_pem(&text)
            };
            builder = builder.private_key_jwt(key.map_err(wrong)?);
        }
        builder.build().map_err(explained)
    }

    fn request(&self) -> TokenRequest {
        let mut request = TokenRequest::new();
        for scope in &self.scope {
            request = request.scope(scope);
        }
        for resource in &self.resource {
            request = request.resource(resource);
        }
        for audience in &self.audience {
            request = request.audience(audience);
        }
        request
    }

    async fn with_browser(
        &self,
        client: &TokenClient,
        terminal: Terminal,
    ) -> Result<TokenSet, Failure> {
        let listener = browser::listen(self.redirect_uri.as_ref()).await?;
        let request = client
            .start_authorization(listener.redirect_uri(), &self.request())
            .await
            .map_err(explained)?;
        eprintln!(
            "Log in with a browser on this machine:\n  {}",
            request.url()
        );
        if !self.no_browser {
            browser::open(request.url());
        }
        terminal.progress("Waiting for the browser to come back …");
        let timeout = Duration::from_secs(self.timeout);
        let query = listener.answer(client, &request, timeout).await?;
        let tokens = client.finish_authorization(request, &query).await;
        tokens.map_err(explained)
    }

    async fn with_device(
        &self,
        client: &TokenClient,
        terminal: Terminal,
    ) -> Result<TokenSet, Failure> {
        let authorization = client.start_device_authorization(&self.request()).await;
        let authorization = authorization.map_err(explained)?;
        eprintln!(
            "Log in with a browser on any device:\n  {}\n  code: {}",
            authorization.verification_uri(),
            authorization.user_code()
        );
        if let Some(complete) = authorization.verification_uri_complete() {
            eprintln!("  or with the code in the URL: {complete}");
        }
        terminal.progress("Waiting for the user …");
        let timeout = Duration::from_secs(self.timeout);
        let tokens = client.finish_device_authorization(authorization);
        match tokio::time::timeout(timeout, tokens).await {
            Ok(tokens) => tokens.map_err(explained),
            Err(_) => Err(browser::nobody(timeout)),
        }
    }

    async fn refresh(&self, client: &TokenClient, terminal: Terminal) -> Result<TokenSet, Failure> {
        let token = match (&self.refresh_token_env, &self.refresh_token_file) {
            (Some(name), _) => RefreshToken::new(variable(name)?.trim()),
            (None, Some(file)) => {
                RefreshToken::new(read_secret(file, "the refresh token", terminal)?.trim())
            }
            (None, None) => self.stored(client).await?,
        };
        client
            .refresh(&token, &self.request())
            .await
            .map_err(explained)
    }

    async fn stored(&self, client: &TokenClient) -> Result<RefreshToken, Failure> {
        let Some(out) = &self.out else {
            return Err(Failure::wrong_use("no refresh token is given").next_step(
                "Give --out FILE with the tokens of a login, --refresh-token-file FILE or --refresh-token-env NAME.",
            ));
        };
        let name = out.display();
        let tokens = FileTokenStore::new(out).load().await;
        let tokens = tokens.map_err(|error| Failure::wrong_use(format!("{name}: {error}")))?;
        let tokens = tokens.ok_or_else(|| Failure::wrong_use(format!("{name} does not exist")))?;
        if tokens
            .thumbprint()
            .is_some_and(|of| of != client.thumbprint())
        {
            return Err(Failure::wrong_use(format!(
                "the tokens in {name} are bound to another key than --key"
            )));
        }
        let token = tokens.refresh_token().cloned();
        token.ok_or_else(|| Failure::wrong_use(format!("{name} has no refresh token")))
    }
}

/// Checks a URL whose text has to stay as it is.
fn uri_text(text: &str) -> Result<String, String> {
    uri(text).map(|_| text.to_owned())
}
