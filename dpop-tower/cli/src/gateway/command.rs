//! The subcommands of `dpop gateway`.

use std::{
    error::Error,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Subcommand;
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    failure::Failure,
    gateway::{
        self, Gateway, Settings, Shutdown,
        ext_authz::{self, ExtAuthz},
        forward_auth::{self, ForwardAuth},
        probe::{self, Probe},
    },
    signal::told_to_end,
    terminal::Terminal,
};

/// What to do with a configuration file.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve requests according to the file, until SIGTERM or SIGINT. The file is reloaded when it
    /// changes, and on SIGHUP.
    Serve {
        /// The configuration file. See docs/gateway.md.
        file: PathBuf,
    },
    /// Check the file without serving anything, and print the settings in force.
    Check {
        /// The configuration file. See docs/gateway.md.
        file: PathBuf,
    },
}

/// Runs the command.
///
/// # Errors
///
/// Returns an error if the file is not valid, or if a socket cannot be served.
pub async fn run(command: Command, terminal: Terminal) -> Result<(), Failure> {
    match command {
        Command::Serve { file } => serve(file)
            .await
            .map_err(|error| Failure::wrong_use(error.to_string())),
        Command::Check { file } => check(&file, terminal),
    }
}

fn check(file: &Path, terminal: Terminal) -> Result<(), Failure> {
    let settings = Settings::read(file).map_err(|error| Failure::wrong_use(error.to_string()))?;
    let warnings: Vec<_> = (settings.warnings().iter())
        .chain(settings.layer_warnings())
        .collect();
    for warning in &warnings {
        terminal.warn(warning);
    }
    let policies = settings.policies_in_force().iter();
    let policies = policies.map(|(route, policy)| json!({ "route": route, "policy": policy }));
    let (file, effective) = (file.display(), settings.effective());
    let json = json!({
        "file": file.to_string(),
        "valid": true,
        "warnings": warnings,
        "policies": policies.collect::<Vec<_>>(),
        "settings": effective.lines().collect::<Vec<_>>(),
    });
    terminal.print(&format!("{effective}\n{file}: valid"), &json)
}

async fn serve(file: PathBuf) -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let settings = Settings::read(&file)?;
    let (limits, timeout) = (settings.limits(), settings.shutdown_timeout());
    let proxying = listen_if(settings.listen()).await?;
    let forward_auth = listen_if(settings.forward_auth().map(|asked| asked.listen)).await?;
    let ext_authz = listen_if(settings.ext_authz().map(|asked| asked.listen)).await?;
    let probes = listen_if(settings.probe()).await?;
    let gateway = Gateway::new(settings)?;
    let watching = tokio::spawn(gateway::watch(gateway.clone(), file));
    // A mistake that only the store knows of, such as a wrong password, is in the log at once.
    let starting = gateway.clone();
    tokio::spawn(async move { starting.wait_for_replay_store().await });
    let (end, ended) = watch::channel(false);
    tokio::spawn(async move {
        told_to_end().await;
        // Fails if nothing is being served any more.
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
    if let Some(listener) = probes {
        let probe = Probe::new(gateway.clone());
        serving.spawn(probe::serve(listener, probe, limits, shutdown()));
    }
    let served = async {
        while let Some(served) = serving.join_next().await {
            served??;
        }
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! {
        served = served => served?,
        // Nobody would notice a gateway that ignores changes to its file, so it stops.
        watched = watching => {
            watched??;
        }
    }
    Ok(())
}

async fn listen_if(address: Option<SocketAddr>) -> Result<Option<TcpListener>, String> {
    match address {
        Some(address) => listen(address).await.map(Some),
        None => Ok(None),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}: {error}"))
}
