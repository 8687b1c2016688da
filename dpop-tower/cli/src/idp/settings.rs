//! The configuration of the development issuer, a JSON file in which every field has a default.

use std::{collections::HashSet, fmt, fs, path::Path, time::Duration};

use dpop_tower::crypto::Algorithm;
use http::HeaderValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::redirect::is_redirect_uri;
use crate::failure::Failure;

/// A file that is larger than this is not a configuration.
const MAX_FILE_LEN: u64 = 1024 * 1024;

const LONGEST_LIFETIME: u64 = 90 * 24 * 60 * 60;

/// What the issuer issues, and to whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The URL of the issuer, if it is not that of the socket.
    pub issuer: Option<String>,
    pub(super) access_token_format: Format,
    /// Lifetimes are in seconds.
    pub(super) access_token_lifetime: u64,
    pub(super) refresh_token_lifetime: u64,
    pub(super) code_lifetime: u64,
    pub(super) device_code_lifetime: u64,
    /// How many seconds a device waits between two requests.
    pub(super) device_poll_interval: u64,
    /// Whether proofs need a nonce.
    pub(super) nonces: bool,
    /// Whether every client needs a proof.
    pub(super) require_dpop: bool,
    pub(super) signing_algorithm: String,
    /// The first is the audience of tokens for which no other is requested.
    pub(super) audiences: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) sign_in: SignIn,
    pub(super) users: Vec<User>,
    pub(super) clients: Vec<Client>,
    /// The origins of web pages that may call the issuer.
    pub(super) cors_origins: Vec<String>,
}

/// The form of access tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    /// A JWT by RFC 9068.
    Jwt,
    /// A random text, about which a resource server asks (RFC 7662).
    Opaque,
}

/// What the authorization endpoint does. It never asks for a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SignIn {
    /// Signs in the user of `login_hint`, or the first one.
    Automatic,
    /// Shows a page with all users.
    Form,
}

/// Somebody who can be signed in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct User {
    pub(super) subject: String,
    /// Further claims of the access token.
    #[serde(default)]
    pub(super) claims: Map<String, Value>,
}

/// A registered client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Client {
    pub(super) client_id: String,
    /// A client without a secret is public.
    #[serde(default)]
    pub(super) client_secret: Option<Secret>,
    #[serde(default)]
    pub(super) grants: Option<Vec<Grant>>,
    /// Without any, every URI on loopback is allowed.
    #[serde(default)]
    pub(super) redirect_uris: Vec<String>,
    /// Defaults to all scopes.
    #[serde(default)]
    pub(super) scopes: Option<Vec<String>>,
    /// Whether this client needs a proof (RFC 9449 section 5.2).
    #[serde(default)]
    pub(super) dpop_bound_access_tokens: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Grant {
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
    #[serde(rename = "refresh_token")]
    RefreshToken,
}

impl Grant {
    pub(super) const ALL: [Self; 4] = [
        Self::AuthorizationCode,
        Self::ClientCredentials,
        Self::DeviceCode,
        Self::RefreshToken,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
            Self::RefreshToken => "refresh_token",
        }
    }
}

impl Client {
    /// Returns whether the client may use a grant. A public client never gets tokens of its own (RFC 6749 section
    /// 4.4).
    pub(super) fn may_use(&self, grant: Grant) -> bool {
        let is_public = self.client_secret.is_none();
        match &self.grants {
            _ if is_public && grant == Grant::ClientCredentials => false,
            Some(grants) => grants.contains(&grant),
            None => true,
        }
    }
}

/// A client secret, which no log shows.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct Secret(pub(super) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            issuer: None,
            access_token_format: Format::Jwt,
            access_token_lifetime: 300,
            refresh_token_lifetime: 24 * 60 * 60,
            code_lifetime: 60,
            device_code_lifetime: 600,
            device_poll_interval: 5,
            nonces: false,
            require_dpop: false,
            signing_algorithm: "ES256".to_owned(),
            audiences: vec!["https://api.example.com".to_owned()],
            scopes: ["openid", "read", "write"].map(str::to_owned).to_vec(),
            sign_in: SignIn::Automatic,
            users: vec![User {
                subject: "alice".to_owned(),
                claims: Map::new(),
            }],
            clients: Vec::new(),
            cors_origins: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads a JSON file.
    ///
    /// # Errors
    ///
    /// Returns an error that names the field if the file is not valid.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let failed = |error| Failure::wrong_use(format!("{shown} cannot be read: {error}"));
        let size = fs::metadata(path).map_err(failed)?.len();
        if size > MAX_FILE_LEN {
            return Err(Failure::wrong_use(format!("{shown} has more than 1 MiB")));
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|message| {
            Failure::wrong_use(format!("{shown}: {message}"))
                .next_step("see docs/idp.md for the fields")
        })
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    ///
    /// Returns what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let settings: Self =
            serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
                let (path, reason) = (error.path().to_string(), error.into_inner());
                match path.as_str() {
                    "." => reason.to_string(),
                    path => format!("{path}: {reason}"),
                }
            })?;
        deserializer.end().map_err(|error| error.to_string())?;
        settings.check()?;
        Ok(settings)
    }

    /// Adds the clients of an issuer without a configuration, with this secret.
    pub(super) fn with_default_clients(mut self, secret: String) -> Self {
        let client = |client_id: &str, client_secret| Client {
            client_id: client_id.to_owned(),
            client_secret,
            grants: None,
            redirect_uris: Vec::new(),
            scopes: None,
            dpop_bound_access_tokens: false,
        };
        self.clients = vec![client("app", None), client("service", Some(Secret(secret)))];
        self
    }

    pub(super) fn algorithm(&self) -> Result<Algorithm, String> {
        let algorithm = Algorithm::from_name(&self.signing_algorithm);
        algorithm.ok_or_else(|| "signing_algorithm: no such algorithm".to_owned())
    }

    fn check(&self) -> Result<(), String> {
        self.algorithm()?;
        for (name, seconds) in [
            ("access_token_lifetime", self.access_token_lifetime),
            ("refresh_token_lifetime", self.refresh_token_lifetime),
            ("code_lifetime", self.code_lifetime),
            ("device_code_lifetime", self.device_code_lifetime),
            ("device_poll_interval", self.device_poll_interval),
        ] {
            if !(1..=LONGEST_LIFETIME).contains(&seconds) {
                return Err(format!("{name}: 1 to {LONGEST_LIFETIME} seconds"));
            }
        }
        if self.audiences.is_empty() {
            return Err("audiences: give at least one".to_owned());
        }
        let is_scope = |scope: &String| {
            let is_in_token = |byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
            !scope.is_empty() && scope.bytes().all(is_in_token)
        };
        if !self.scopes.iter().all(is_scope) {
            return Err("scopes: a scope has no spaces, quotes or backslashes".to_owned());
        }
        if self
            .cors_origins
            .iter()
            .any(|origin| HeaderValue::from_str(origin).is_err())
        {
            return Err("cors_origins: not an origin".to_owned());
        }
        if self.users.is_empty() {
            return Err("users: give at least one".to_owned());
        }
        let mut subjects = HashSet::new();
        if let Some(user) = self
            .users
            .iter()
            .find(|user| !subjects.insert(&user.subject))
        {
            return Err(format!("users: {:?} is given twice", user.subject));
        }
        let mut names = HashSet::new();
        for client in &self.clients {
            let name = &client.client_id;
            if !names.insert(name) {
                return Err(format!("clients: {name:?} is given twice"));
            }
            self.check_client(client)
                .map_err(|message| format!("clients: {name:?}: {message}"))?;
        }
        Ok(())
    }

    fn check_client(&self, client: &Client) -> Result<(), &'static str> {
        let secret = client.client_secret.as_ref();
        if client.client_id.is_empty() || secret.is_some_and(|secret| secret.0.is_empty()) {
            return Err("client_id and client_secret must not be empty");
        }
        let grants = client.grants.as_deref().unwrap_or_default();
        if secret.is_none() && grants.contains(&Grant::ClientCredentials) {
            return Err("client_credentials needs a client_secret");
        }
        if !client.redirect_uris.iter().all(|uri| is_redirect_uri(uri)) {
            return Err("redirect_uris: give absolute URIs without a fragment");
        }
        let scopes = client.scopes.as_deref().unwrap_or_default();
        if !scopes.iter().all(|scope| self.scopes.contains(scope)) {
            return Err("scopes: give scopes of the issuer");
        }
        Ok(())
    }
}

pub(super) const fn seconds(lifetime: u64) -> Duration {
    Duration::from_secs(lifetime)
}
