//! The settings file: its contents, and the errors in it.
//!
//! A file is read as a whole or not at all. Every error names its line and its field. Unknown fields are
//! errors, so that a typo cannot weaken anything.

use std::{
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use dpop_tower::policy::PolicyTable;

pub use self::{
    asking::{ExtAuthzSettings, ForwardAuthSettings},
    certificates::EnvoyCertificate,
    error::SettingsError,
};
use self::{
    error::Source,
    file::{File, ModeName, ProfileName},
    replay::ReplaySettings,
};
pub(crate) use self::{
    error::explain,
    tls::{Fingerprint, files_of as tls_files},
};
use crate::gateway::{
    cors::Cors,
    events::Events,
    guard::Guard,
    identity::Identity,
    proxy::{Forwarding, Timeouts, Upstream, Upstreams},
    reload_state::ReloadState,
    tls::ServerTls,
};

mod access;
mod asking;
mod certificates;
mod cors;
mod decryption;
mod error;
mod file;
mod identity;
mod introspection;
mod issuer;
mod keys;
mod metadata;
mod nonces;
mod origins;
mod policies;
mod proof;
mod replay;
mod revocation;
mod secret;
mod tls;
mod types;
mod upstreams;

/// The checked contents of a settings file.
pub struct Settings {
    proxying: Option<(SocketAddr, Upstreams)>,
    tls: Option<ServerTls>,
    forward_auth: Option<ForwardAuthSettings>,
    ext_authz: Option<ExtAuthzSettings>,
    probe: Option<SocketAddr>,
    forwarding: Forwarding,
    cors: Option<Cors>,
    identity: Identity,
    policies: Option<PolicyTable>,
    replay: ReplaySettings,
    limits: Limits,
    timeouts: Timeouts,
    shutdown_timeout: Duration,
    tls_files: Fingerprint,
    warnings: Vec<String>,
    effective: String,
    /// Each route, and the text of its policy.
    policies_in_force: Vec<(String, String)>,
    layer_warnings: Vec<String>,
    file: File,
    source: Source,
    folder: PathBuf,
}

/// Limits on what a stranger can use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of connections that are served at a time. Further connections wait.
    pub connections: usize,
    /// Maximum size of a request's headers in bytes, at least 8192.
    pub header_size: usize,
    /// Time limit for the headers to arrive.
    pub header_timeout: Duration,
    /// Time that a connection may stay open without a request under way.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_size: 64 * 1024,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// Reads and checks a file.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`] for the first error in the file.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Self::parse(&text(path)?, path)
    }

    /// Checks the text of a file. Paths in it are relative to the folder of `path`. Apart from that,
    /// `path` only appears in messages.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`read`](Self::read).
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let source = Source {
            name: path.display().to_string(),
            text: text.to_owned(),
        };
        let file = deserialize(&source)?;
        let (limits, timeouts) = limits(&file, &source)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        // What is read later is newer than this, so no change is missed.
        let tls_files = Fingerprint::of(&tls::files(&file, &folder));
        let mut warnings = Vec::new();
        if file.profile == Some(ProfileName::Mcp) && file.danger_pass_on_credentials {
            let message = "the upstream gets tokens that were issued for this server, which MCP forbids to \
                           pass on (Token Passthrough)";
            let warning = source.error(0..0, "danger_pass_on_credentials", message);
            warnings.push(warning.to_string());
        }
        warnings.extend(certificates::without_source(&file, &source));
        warnings.extend(origins::trusts_everyone(&file, &source));
        let mut settings = Self {
            proxying: asking::proxying(&file, &source, &folder, &mut warnings)?,
            tls: tls::server(&file, &source, &folder, &mut warnings)?,
            tls_files,
            warnings,
            effective: String::new(),
            policies_in_force: Vec::new(),
            layer_warnings: Vec::new(),
            forward_auth: asking::forward_auth(&file, &source)?,
            ext_authz: asking::ext_authz(&file, &source)?,
            probe: file.probe.as_ref().map(|probe| probe.listen),
            forwarding: origins::forwarding(&file, &source)?,
            cors: cors::cors(&file, &source)?,
            identity: identity::identity(&file, &source)?,
            policies: policies::table(&file, &source)?,
            replay: replay::replay(&file, &source, &folder)?,
            limits,
            timeouts,
            shutdown_timeout: Duration::from_secs(file.shutdown_timeout),
            folder,
            file,
            source,
        };
        // Builds a guard to find the remaining errors. Warnings are suppressed here, since they are
        // logged when the guard is built for use.
        let memory = settings.memory()?;
        let quiet = tracing::subscriber::NoSubscriber::default();
        let (guard, _events) = tracing::subscriber::with_default(quiet, || {
            Ok::<_, SettingsError>((settings.guard(&memory)?, settings.events(&memory)?))
        })?;
        settings.effective = guard.to_string();
        let policies = guard.verifier().policies();
        settings.policies_in_force = policies
            .map(|(route, policy)| (route, policy.to_string()))
            .collect();
        settings.layer_warnings = guard.verifier().warnings();
        Ok(settings)
    }

    /// The address to listen on for requests to forward, if there is one.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.proxying.as_ref().map(|(listen, _)| *listen)
    }

    /// The proxies that may ask over HTTP, and the address for them.
    pub const fn forward_auth(&self) -> Option<&ForwardAuthSettings> {
        self.forward_auth.as_ref()
    }

    /// The Envoys that may ask over gRPC, and the address for them.
    pub const fn ext_authz(&self) -> Option<&ExtAuthzSettings> {
        self.ext_authz.as_ref()
    }

    /// The address for the probes of an orchestrator, if there is one.
    pub const fn probe(&self) -> Option<SocketAddr> {
        self.probe
    }

    /// The limits on what a stranger can use up.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// The time that requests have to finish during shutdown.
    pub const fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// The upstream of requests that no route sends elsewhere, if requests are forwarded.
    pub fn upstream(&self) -> Option<&Upstream> {
        self.upstreams().and_then(Upstreams::default_one)
    }

    /// Where requests go, if any are to be forwarded.
    pub(crate) fn upstreams(&self) -> Option<&Upstreams> {
        self.proxying.as_ref().map(|(_, upstreams)| upstreams)
    }

    /// The certificate to listen with, unless TLS ends in front of the gateway.
    pub(crate) const fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    /// What the files with certificates and keys contained when this was read.
    pub(crate) const fn tls_files(&self) -> Fingerprint {
        self.tls_files
    }

    /// What is good, but should be looked at: for each the place, the field and the reason.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The same about the settings that the layer itself knows. It logs them when the guard is built.
    pub fn layer_warnings(&self) -> &[String] {
        &self.layer_warnings
    }

    /// The policies in force: for each the requests that it is for, and its text.
    pub fn policies_in_force(&self) -> &[(String, String)] {
        &self.policies_in_force
    }

    /// What the upstream learns about a request, apart from the caller's identity.
    pub const fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// The pages of other origins that may use the service.
    pub(crate) const fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }

    /// The timeouts for the upstream.
    pub const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Creates empty state of the size that the file configures, and the store of used proofs, which connects when it
    /// is first used.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`] if the operating system provides no randomness.
    pub fn memory(&self) -> Result<ReloadState, SettingsError> {
        let failed = |error: &_| self.source.error(0..0, "", explain(error));
        let proofs = self.replay.store().map_err(|error| failed(&error))?;
        let memory = ReloadState::new(proofs).map_err(|error| failed(&error))?;
        Ok(match revocation::capacity(&self.file) {
            Some(entries) => memory.revocation_capacity(entries),
            None => memory,
        })
    }

    /// Builds the guard that admits or rejects requests. It stores used proofs in `memory`.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`] if an issuer's keys or a secret cannot be read or are not valid.
    pub fn guard(&self, memory: &ReloadState) -> Result<Guard, SettingsError> {
        let target = &self.forwarding.target;
        let config = access::config(&self.file, &self.source, &self.folder, memory, target)?;
        let policies = self.policies.as_ref();
        Ok(Guard::new(config, policies, self.identity.clone()))
    }

    /// Builds the receiver of security events, if there is one. It adds what they revoke to `memory`.
    pub(crate) fn events(&self, memory: &ReloadState) -> Result<Option<Events>, SettingsError> {
        revocation::events(&self.file, &self.source, &self.folder, memory)
    }

    /// The settings in force, one a line: those of the layer, and a line for each route. They have no secrets.
    pub fn effective(&self) -> &str {
        &self.effective
    }

    /// The fields that differ from `old` and take effect only after a restart.
    pub(crate) fn needs_restart(&self, old: &Self) -> Vec<&'static str> {
        let asked = |settings: &Self| settings.forward_auth.as_ref().map(|asked| asked.listen);
        let envoys = |settings: &Self| settings.ext_authz.as_ref().map(|asked| asked.listen);
        [
            ("listen", self.listen() != old.listen()),
            ("tls", self.tls.is_some() != old.tls.is_some()),
            ("forward_auth.listen", asked(self) != asked(old)),
            ("ext_authz.listen", envoys(self) != envoys(old)),
            ("probe.listen", self.probe != old.probe),
            (
                "shutdown_timeout",
                self.shutdown_timeout != old.shutdown_timeout,
            ),
            ("limits", self.limits != old.limits),
            ("replay", self.replay != old.replay),
            (
                "revocation.capacity",
                revocation::capacity(&self.file) != revocation::capacity(&old.file),
            ),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }

    /// Whether the default mode admits requests without a token.
    pub(crate) fn is_open_by_default(&self) -> bool {
        matches!(self.file.mode, ModeName::Off | ModeName::ReportOnly)
    }

    /// The text of the file, as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    /// Creates an error about the file as a whole.
    pub(crate) fn error(&self, message: impl Into<String>) -> SettingsError {
        self.source.error(0..0, "", message)
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("file", &self.source.name)
            .field("listen", &self.listen())
            .field("upstream", &self.upstream())
            .field("forward_auth", &self.forward_auth)
            .field("ext_authz", &self.ext_authz)
            .finish_non_exhaustive()
    }
}

/// Reads the text of a file.
pub(crate) fn text(path: &Path) -> Result<String, SettingsError> {
    fs::read_to_string(path)
        .map_err(|error| SettingsError::unreadable(&path.display().to_string(), &error))
}

fn deserialize(source: &Source) -> Result<File, SettingsError> {
    let wrong = |error: &toml::de::Error, field: String| {
        source.error(error.span().unwrap_or_default(), field, error.message())
    };
    let deserializer =
        toml::Deserializer::parse(&source.text).map_err(|error| wrong(&error, String::new()))?;
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let field = field(error.path());
        wrong(error.inner(), field)
    })
}

/// Formats the path of a field as users write it. To serde, `Spanned` is a structure of its own.
fn field(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => text.push_str(&format!("[{index}]")),
            Segment::Map { key } if key.starts_with("$__") => {}
            Segment::Map { key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    text
}

fn limits(file: &File, source: &Source) -> Result<(Limits, Timeouts), SettingsError> {
    let limits = &file.limits;
    let seconds = |field: &toml::Spanned<u64>, name: &str| match *field.get_ref() {
        seconds @ 1..=86_400 => Ok(Duration::from_secs(seconds)),
        _ => Err(source.error(field.span(), name, "must be from 1 to 86400 seconds")),
    };
    let header_size = *limits.header_size.get_ref();
    // hyper needs at least 8 KiB. A token and a proof may each have 16 KiB.
    if !(8192..=16 * 1024 * 1024).contains(&header_size) {
        let message = "must be from 8192 bytes to 16 MiB";
        return Err(source.error(limits.header_size.span(), "limits.header_size", message));
    }
    let connections = *limits.connections.get_ref();
    if !(1..=1_000_000).contains(&connections) {
        let message = "must be from 1 to 1000000";
        return Err(source.error(limits.connections.span(), "limits.connections", message));
    }
    Ok((
        Limits {
            connections,
            header_size,
            header_timeout: seconds(&limits.header_timeout, "limits.header_timeout")?,
            idle_timeout: seconds(&limits.idle_timeout, "limits.idle_timeout")?,
        },
        Timeouts {
            connect: seconds(&limits.connect_timeout, "limits.connect_timeout")?,
            response: seconds(&limits.response_timeout, "limits.response_timeout")?,
        },
    ))
}
