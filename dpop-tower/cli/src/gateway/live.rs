//! The configuration in force, and how it is replaced without interrupting requests.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode};
use notify::{RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tower::Service;
use tracing::{error, info, warn};

use crate::gateway::{
    cors::Cors,
    events::Events,
    guard::{Guard, Guarded},
    proxy::{self, Proxy},
    reload_state::ReloadState,
    settings::{self, ExtAuthzSettings, Fingerprint, ForwardAuthSettings, Settings, SettingsError},
    tls::ServerTls,
    used_proofs::UsedProofs,
};

/// Editors write a file in several steps. It is read after this long without a change.
const QUIET: Duration = Duration::from_millis(200);

/// The longest wait for a quiet moment, in a folder that changes all the time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The service: a guard with a proxy behind it. Clones share the same gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Shared>);

struct Shared {
    live: ArcSwap<Live>,
    /// For new connections. Whether there is TLS is settled when the program starts, so that no mistake in
    /// the file turns it off.
    tls: ArcSwapOption<ServerTls>,
    memory: ReloadState,
}

struct Live {
    guard: Guard,
    /// `None` without an upstream: the gateway then only answers other proxies.
    guarded: Option<Guarded<Proxy>>,
    cors: Option<Cors>,
    events: Option<Events>,
    /// `None` if the gateway was not configured by a file.
    settings: Option<Settings>,
}

impl Gateway {
    /// Enforces the settings of a file.
    ///
    /// # Errors
    ///
    /// Returns a [`SettingsError`] if a key or a secret that the file names can no longer be read.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let memory = settings.memory()?;
        let tls = settings.tls().cloned();
        let live = Live::of(settings, &memory)?;
        Ok(Self(Arc::new(Shared {
            live: ArcSwap::from_pointee(live),
            tls: ArcSwapOption::from_pointee(tls),
            memory,
        })))
    }

    /// Enforces a guard that was built in code. The guard has its own replay store, so a file should not
    /// replace it: used proofs would be forgotten.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`](dpop_tower::ConfigError) if the operating system provides no
    /// randomness.
    pub fn from_parts(guard: Guard, proxy: &Proxy) -> Result<Self, dpop_tower::ConfigError> {
        Ok(Self(Arc::new(Shared {
            live: ArcSwap::from_pointee(Live {
                guarded: Some(guard.protect(proxy)),
                guard,
                cors: None,
                events: None,
                settings: None,
            }),
            tls: ArcSwapOption::empty(),
            memory: ReloadState::new(UsedProofs::default())?,
        })))
    }

    /// Applies new settings to all later requests. Requests under way finish with the old settings. Used
    /// proofs are kept.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](Self::new). The old settings then stay in force.
    pub fn replace(&self, settings: Settings) -> Result<(), SettingsError> {
        let shared = &self.0;
        let tls = settings.tls().cloned();
        let live = Live::of(settings, &shared.memory)?;
        if let (Some(old), Some(new)) = (&shared.live.load().settings, &live.settings) {
            for field in new.needs_restart(old) {
                warn!(target: "gateway", "the new `{field}` takes effect after a restart");
            }
        }
        if tls.is_some() && shared.tls.load().is_some() {
            shared.tls.store(tls.map(Arc::new));
        }
        shared.live.store(Arc::new(live));
        Ok(())
    }

    /// Waits until the replay store can be used, and logs why it cannot. The gateway serves meanwhile, and rejects
    /// with 503.
    pub async fn wait_for_replay_store(&self) {
        self.0.memory.proofs().wait().await;
    }

    /// The TLS of new connections, unless there is none.
    pub(crate) fn tls(&self) -> Option<ServerTls> {
        self.0.tls.load().as_deref().cloned()
    }

    fn read_again(&self, path: &Path, text: Result<String, SettingsError>) {
        let read = text
            .and_then(|text| Settings::parse(&text, path))
            .and_then(|new| self.replace(new));
        match read {
            Ok(()) => {
                info!(target: "gateway", "reloaded {}", path.display());
            }
            Err(error) => {
                error!(target: "gateway", "{error}; the previous configuration stays in force");
            }
        }
    }

    /// The guard in force, for callers that do not forward requests.
    pub fn guard(&self) -> Guard {
        self.0.live.load().guard.clone()
    }

    /// The forward-auth settings in force, if there are any.
    pub(crate) fn forward_auth(&self) -> Option<ForwardAuthSettings> {
        let live = self.0.live.load();
        live.settings.as_ref()?.forward_auth().cloned()
    }

    /// The `ext_authz` settings in force, if there are any.
    pub(crate) fn ext_authz(&self) -> Option<ExtAuthzSettings> {
        let live = self.0.live.load();
        live.settings.as_ref()?.ext_authz().cloned()
    }

    /// Adds the CORS headers to a rejection of another proxy's request, so that an allowed page can read
    /// it.
    pub(crate) async fn readable(
        &self,
        origin: Option<&HeaderValue>,
        rejection: Response<Body>,
    ) -> Response<Body> {
        let live = self.0.live.load_full();
        match &live.cors {
            Some(cors) => cors.mark(origin, rejection).await,
            None => rejection,
        }
    }

    /// Whether services behind the gateway receive tokens and proofs.
    pub(crate) fn passes_on_credentials(&self) -> bool {
        let live = self.0.live.load();
        let settings = live.settings.as_ref();
        settings.is_some_and(|settings| settings.forwarding().danger_pass_on_credentials)
    }

    /// Answers a request, or forwards it to the upstream.
    pub fn answer(
        &self,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send + use<> {
        let live = self.0.live.load_full();
        async move {
            if let Some(events) = live
                .events
                .as_ref()
                .filter(|events| events.is_for(&request))
            {
                return events.answer(request).await;
            }
            if live.guard.has_metadata_at(request.uri()) {
                let answer = live.guard.metadata(request).await;
                return answer.unwrap_or_else(|| proxy::problem(StatusCode::NOT_FOUND));
            }
            let Some(guarded) = &live.guarded else {
                return proxy::problem(StatusCode::SERVICE_UNAVAILABLE);
            };
            match &live.cors {
                Some(cors) => cors.answer(request, |request| guarded.call(request)).await,
                None => guarded.call(request).await,
            }
        }
    }
}

impl Live {
    fn of(settings: Settings, memory: &ReloadState) -> Result<Self, SettingsError> {
        let guard = settings.guard(memory)?;
        let events = settings.events(memory)?;
        let proxy = settings.upstreams().map(|upstreams| {
            Proxy::new(
                upstreams.clone(),
                Arc::clone(guard.identity()),
                settings.forwarding().clone(),
                settings.timeouts(),
            )
        });
        let proxy = proxy
            .transpose()
            .map_err(|error| settings.error(error.to_string()))?;
        if settings.is_open_by_default() {
            warn!(target: "gateway", "the default mode admits requests without a token");
        }
        if settings.forwarding().danger_pass_on_credentials {
            warn!(target: "gateway", "access tokens and proofs are passed on to the upstream");
        }
        for warning in settings.warnings() {
            warn!(target: "gateway", "{warning}");
        }
        Ok(Self {
            guarded: proxy.map(|proxy| guard.protect(&proxy)),
            guard,
            cors: settings.cors().cloned(),
            events,
            settings: Some(settings),
        })
    }
}

impl Service<Request<Body>> for Gateway {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.answer(request);
        Box::pin(async move { Ok(answer.await) })
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("guard", &self.0.live.load().guard)
            .finish_non_exhaustive()
    }
}

/// Reloads the file for as long as the future is polled: whenever it changes, whenever a certificate or key
/// file that it names changes, and whenever the process receives `SIGHUP`. A `SIGHUP` also reloads the secrets
/// and keys in other files.
///
/// # Errors
///
/// Returns an error if the file's folder cannot be watched.
pub async fn watch(gateway: Gateway, path: PathBuf) -> io::Result<Infallible> {
    let (changed, mut changes) = mpsc::channel(1);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // Reading the file is an event as well. An error may hide a change, so it counts as one.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            // One pending event is enough: the file is read after it.
            let _ = changed.try_send(());
        }
    })
    .map_err(io::Error::other)?;
    // Watches the folder, since editors replace the file with a new one.
    watcher
        .watch(folder_of(&path), RecursiveMode::NonRecursive)
        .map_err(io::Error::other)?;
    let mut hangups = Hangups::new()?;
    let mut last = {
        let live = gateway.0.live.load();
        let in_force = live.settings.as_ref();
        in_force.map(|settings| (Ok(settings.text().to_owned()), settings.tls_files()))
    };
    let mut tls_files = Vec::new();
    // Starts with a check: the file may have changed before the watch began.
    let mut is_asked = false;
    loop {
        let text = settings::text(&path);
        if let Ok(text) = &text {
            tls_files = settings::tls_files(text, &path);
        }
        watch_folders(&mut watcher, &tls_files);
        let now = (
            text.as_ref().map_err(ToString::to_string).cloned(),
            Fingerprint::of(&tls_files),
        );
        if is_asked || last.as_ref() != Some(&now) {
            last = Some(now);
            gateway.read_again(&path, text);
        }
        is_asked = tokio::select! {
            _ = changes.recv() => {
                let _ = tokio::time::timeout(LONGEST_WAIT, quiet(&mut changes)).await;
                false
            }
            () = hangups.next() => true,
        };
    }
}

/// Watches the folders of the files, and those that symbolic links lead to. A folder that is there again
/// under its old name is another one, so this is done each time.
fn watch_folders(watcher: &mut notify::RecommendedWatcher, files: &[PathBuf]) {
    for file in files {
        let behind_links = file.canonicalize().ok();
        for file in std::iter::once(file).chain(&behind_links) {
            let folder = folder_of(file);
            if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                warn!(target: "gateway", "{} cannot be watched: {error}", folder.display());
            }
        }
    }
}

/// A new file is put in place of the old one, by editors and by programs that renew certificates. So the
/// folder is watched.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

async fn quiet(changes: &mut mpsc::Receiver<()>) {
    while let Ok(Some(())) = tokio::time::timeout(QUIET, changes.recv()).await {}
}

#[cfg(unix)]
struct Hangups(tokio::signal::unix::Signal);

#[cfg(unix)]
impl Hangups {
    fn new() -> io::Result<Self> {
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).map(Self)
    }

    async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
struct Hangups;

#[cfg(not(unix))]
impl Hangups {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        std::future::pending().await
    }
}
