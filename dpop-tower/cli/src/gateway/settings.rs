//! The file: what it says, and what is wrong with it.
//!
//! A file is read as a whole or not at all. Whatever is wrong is told with its line and its field,
//! and fields that are not known are errors, so that no slip of the pen weakens anything.

use std::{
    fmt, fs,
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dpop_tower::policy::PolicyTable;

pub(crate) use self::tls::{Fingerprint, files_of as tls_files};
pub use self::{
    asking::{ExtAuthzSettings, ForwardAuthSettings},
    error::SettingsError,
};
use self::{
    error::Source,
    file::{File, ModeName},
};
use crate::gateway::{
    cors::Cors,
    guard::Guard,
    identity::Identity,
    proxy::{Forwarding, Timeouts, Upstream, Upstreams},
    reload_state::ReloadState,
    tls::ServerTls,
};

mod access;
mod asking;
mod cors;
mod error;
mod file;
mod origins;
mod policies;
mod proof;
mod tls;
mod upstreams;

/// What a file says, checked.
pub struct Settings {
    proxying: Option<(SocketAddr, Upstreams)>,
    tls: Option<ServerTls>,
    forward_auth: Option<ForwardAuthSettings>,
    ext_authz: Option<ExtAuthzSettings>,
    forwarding: Forwarding,
    cors: Option<Cors>,
    identity: Identity,
    policies: Option<PolicyTable>,
    limits: Limits,
    timeouts: Timeouts,
    shutdown_timeout: Duration,
    tls_files: Fingerprint,
    warnings: Vec<String>,
    file: File,
    source: Source,
    folder: PathBuf,
}

/// What a stranger can use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many connections are served at a time. More have to wait.
    pub connections: usize,
    /// How large the headers of a request may be, in bytes, at least 8192.
    pub header_size: usize,
    /// How long they may take to arrive.
    pub header_timeout: Duration,
    /// How long a connection stays open without a request under way.
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
    /// [`SettingsError`] says where the first mistake is.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Self::parse(&text(path)?, path)
    }

    /// Checks the text of a file. Paths in it begin at the folder of `path`, which is otherwise for
    /// messages only.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
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
        let settings = Self {
            proxying: asking::proxying(&file, &source, &folder, &mut warnings)?,
            tls: tls::server(&file, &source, &folder, &mut warnings)?,
            tls_files,
            warnings,
            forward_auth: asking::forward_auth(&file, &source)?,
            ext_authz: asking::ext_authz(&file, &source)?,
            forwarding: origins::forwarding(&file, &source)?,
            cors: cors::cors(&file, &source)?,
            identity: access::identity(&file, &source)?,
            policies: policies::table(&file, &source)?,
            limits,
            timeouts,
            shutdown_timeout: Duration::from_secs(file.shutdown_timeout),
            folder,
            file,
            source,
        };
        // What is left to find wrong comes out when it is put together. What there is to warn of is told
        // when it is put together to be used.
        let memory = settings.memory()?;
        tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
            settings.guard(&memory)
        })?;
        Ok(settings)
    }

    /// Where to listen for requests to forward, if any are to be.
    pub fn listen(&self) -> Option<SocketAddr> {
        self.proxying.as_ref().map(|(listen, _)| *listen)
    }

    /// Where and which proxies may ask over HTTP whether a request may pass.
    pub const fn forward_auth(&self) -> Option<&ForwardAuthSettings> {
        self.forward_auth.as_ref()
    }

    /// Where and which Envoys may ask over gRPC whether a request may pass.
    pub const fn ext_authz(&self) -> Option<&ExtAuthzSettings> {
        self.ext_authz.as_ref()
    }

    /// What a stranger can use up.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// How long requests have to finish once the program is told to end.
    pub const fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// Where requests go that no route sends elsewhere, if any are to be forwarded.
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

    /// What the upstream is told, beside who called.
    pub const fn forwarding(&self) -> &Forwarding {
        &self.forwarding
    }

    /// Which pages of other origins may use the service.
    pub(crate) const fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
    }

    /// How patient the proxy is.
    pub const fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// An empty memory of the size that the file asks for.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if the operating system has no randomness to give.
    pub fn memory(&self) -> Result<ReloadState, SettingsError> {
        let [capacity, per_client, per_subject] = self.replay_capacity();
        ReloadState::new(capacity, per_client, per_subject)
            .map_err(|error| self.source.error(0..0, "", error::explain(&error)))
    }

    /// How many used proofs are remembered, of all, of each client and of each subject.
    pub(crate) fn replay_capacity(&self) -> [Option<NonZeroUsize>; 3] {
        let replay = &self.file.replay;
        [
            &replay.capacity,
            &replay.capacity_per_key,
            &replay.capacity_per_subject,
        ]
        .map(|field| field.as_ref().map(|count| *count.get_ref()))
    }

    /// What decides who is admitted. It remembers in `memory`.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] if the keys of an issuer or a secret cannot be read, or what is read is no
    /// good.
    pub fn guard(&self, memory: &ReloadState) -> Result<Guard, SettingsError> {
        let target = &self.forwarding.target;
        let configs = access::configs(&self.file, &self.source, &self.folder, memory, target)?;
        let configs = configs
            .iter()
            .map(|(issuer, config)| (issuer.as_str(), Arc::clone(config)));
        Ok(Guard::of_issuers(
            configs,
            self.policies.as_ref(),
            self.identity.clone(),
        ))
    }

    /// The fields that differ and are looked at when the program starts only.
    pub(crate) fn needs_restart(&self, old: &Self) -> Vec<&'static str> {
        let asked = |settings: &Self| settings.forward_auth.as_ref().map(|asked| asked.listen);
        let envoys = |settings: &Self| settings.ext_authz.as_ref().map(|asked| asked.listen);
        [
            ("listen", self.listen() != old.listen()),
            ("tls", self.tls.is_some() != old.tls.is_some()),
            ("forward_auth.listen", asked(self) != asked(old)),
            ("ext_authz.listen", envoys(self) != envoys(old)),
            (
                "shutdown_timeout",
                self.shutdown_timeout != old.shutdown_timeout,
            ),
            ("limits", self.limits != old.limits),
            ("replay", self.replay_capacity() != old.replay_capacity()),
        ]
        .into_iter()
        .filter_map(|(field, differs)| differs.then_some(field))
        .collect()
    }

    /// Whether requests can pass without a token.
    pub(crate) fn is_open_by_default(&self) -> bool {
        matches!(self.file.mode, ModeName::Off | ModeName::ReportOnly)
    }

    /// The file as it was read.
    pub(crate) fn text(&self) -> &str {
        &self.source.text
    }

    /// An error of the file as a whole.
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

/// What a file contains.
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

/// The path of a field as people write it. `Spanned` is, to serde, a structure of its own.
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
        _ => Err(source.error(field.span(), name, "it is from 1 to 86400 seconds")),
    };
    let header_size = *limits.header_size.get_ref();
    // Less than 8 KiB, hyper cannot do; a token and a proof may have 16 KiB each.
    if !(8192..=16 * 1024 * 1024).contains(&header_size) {
        let message = "it is from 8192 bytes to 16 MiB";
        return Err(source.error(limits.header_size.span(), "limits.header_size", message));
    }
    let connections = *limits.connections.get_ref();
    if !(1..=1_000_000).contains(&connections) {
        let message = "it is from 1 to a million";
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
