//! Everything needed to see `dpop gateway` at work. Without arguments, it starts all parts on this
//! machine and shows what a client can do through the gateway, and what a thief cannot.

mod demo;
mod f1_results;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use demo_support::{IdentityProvider, interrupted, listen};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Show what the gateway does, and exit. The exit code is 1 if any response was not as expected.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// Use this `dpop` program instead of building it.
    #[arg(long)]
    dpop: Option<PathBuf>,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Serve race results on port 9000, for the gateway to protect.
    F1Results,
    /// Issue DPoP-bound tokens on port 9001 to anyone who asks.
    IdentityProvider,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let Arguments { dpop, part } = Arguments::parse();
    let (port, router) = match part {
        None if demo::show(dpop).await? => return Ok(ExitCode::SUCCESS),
        None => return Ok(ExitCode::FAILURE),
        Some(Part::F1Results) => (9000, f1_results::router()),
        Some(Part::IdentityProvider) => {
            let provider = identity_provider("http://127.0.0.1:9001", "http://127.0.0.1:8080");
            (9001, provider.router()?)
        }
    };
    let (listener, url) = listen(port).await?;
    println!("listening on {url}");
    axum::serve(listener, router)
        .with_graceful_shutdown(interrupted())
        .await?;
    Ok(ExitCode::SUCCESS)
}

/// The identity provider that `gateway.toml` names.
fn identity_provider(url: &str, gateway: &str) -> IdentityProvider {
    IdentityProvider::new(url, "https://f1.example")
        .scope("f1:read")
        .try_with(gateway, "f1-results")
}
