//! The gateway as a program; `gateway --help` says what it can do.

use std::{error::Error, future::Future, net::SocketAddr, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand, error::ErrorKind};
use gateway::{
    Gateway, Settings, Shutdown,
    demo::{f1_results, identity_provider, story},
    ext_authz::{self, ExtAuthz},
    forward_auth::{self, ForwardAuth},
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// A reverse proxy that checks DPoP (RFC 9449) for services that do not know it.
#[derive(Parser)]
#[command(name = "gateway", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The file that says what to do; docs/gateway.md describes it. It is read again when it changes,
    /// and on SIGHUP.
    file: Option<PathBuf>,
    /// Only say whether the file is good.
    #[arg(long, requires = "file")]
    check: bool,
    /// Start everything on this machine, show what the gateway does, and exit, with 1 if any answer
    /// was not as expected.
    #[arg(long, conflicts_with_all = ["file", "check"])]
    demo: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Serve race results, for the gateway to protect.
    F1Results {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9000")]
        listen: SocketAddr,
    },
    /// Issue DPoP-bound tokens to whoever asks, for trying the gateway.
    IdentityProvider {
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:9001")]
        listen: SocketAddr,
        /// What clients call the gateway.
        #[arg(long, default_value = "http://127.0.0.1:8080")]
        gateway: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments {
        Arguments {
            part: Some(part), ..
        } => serve_part(part).await,
        Arguments { demo: true, .. } => story::tell().await,
        Arguments {
            file: Some(file),
            check: true,
            ..
        } => check(&file),
        Arguments {
            file: Some(file), ..
        } => run(file).await,
        Arguments { file: None, .. } => {
            let message = "a file is needed, or --demo";
            Arguments::command()
                .error(ErrorKind::MissingRequiredArgument, message)
                .exit()
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &std::path::Path) -> Result<bool, Box<dyn Error>> {
    Settings::read(file)?;
    println!("{}: good", file.display());
    Ok(true)
}

async fn run(file: PathBuf) -> Result<bool, Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let settings = Settings::read(&file)?;
    let (limits, timeout) = (settings.limits(), settings.shutdown_timeout());
    let proxying = listen_if(settings.listen()).await?;
    let forward_auth = listen_if(settings.forward_auth().map(|asked| asked.listen)).await?;
    let ext_authz = listen_if(settings.ext_authz().map(|asked| asked.listen)).await?;
    let gateway = Gateway::new(settings)?;
    let watching = tokio::spawn(gateway::watch(gateway.clone(), file));
    let (end, ended) = watch::channel(false);
    tokio::spawn(async move {
        told_to_end().await;
        // Nobody may be serving any more.
        let _ = end.send(true);
    });
    let shutdown = || {
        let mut ended = ended.clone();
        Shutdown {
            signal: async move {
                let _ = ended.wait_for(|ended| *ended).await;
            },
            timeout,
        }
    };
    let mut serving = JoinSet::new();
    if let Some(listener) = proxying {
        serving.spawn(gateway::serve(
            listener,
            gateway.clone(),
            limits,
            shutdown(),
        ));
    }
    if let Some(listener) = forward_auth {
        let forward_auth = ForwardAuth::new(gateway.clone());
        serving.spawn(forward_auth::serve(
            listener,
            forward_auth,
            limits,
            shutdown(),
        ));
    }
    if let Some(listener) = ext_authz {
        let ext_authz = ExtAuthz::new(gateway.clone());
        serving.spawn(ext_authz::serve(listener, ext_authz, limits, shutdown()));
    }
    let served = async {
        while let Some(served) = serving.join_next().await {
            served??;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! {
        served = served => served?,
        // Nobody would learn otherwise that changes of the file do not count.
        watched = watching => {
            watched??;
        }
    }
    Ok(true)
}

async fn listen_if(address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    match address {
        Some(address) => listen(address).await.map(Some),
        None => Ok(None),
    }
}

async fn serve_part(part: Part) -> Result<bool, Box<dyn Error>> {
    let address = match &part {
        Part::F1Results { listen } | Part::IdentityProvider { listen, .. } => *listen,
    };
    let listener = listen(address).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = match part {
        Part::F1Results { .. } => f1_results::router(),
        Part::IdentityProvider { gateway, .. } => identity_provider::router(&url, &gateway),
    };
    println!("listening on {url}");
    axum::serve(listener, router)
        .with_graceful_shutdown(told_to_end())
        .await?;
    Ok(true)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}

/// Completes on SIGTERM and SIGINT.
fn told_to_end() -> impl Future<Output = ()> {
    #[cfg(unix)]
    let terminated = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            // Without a handler, the default action of the signal ends the process.
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<()>();
    async {
        let interrupted = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = terminated => {}
            () = interrupted => {}
        }
    }
}
