//! The program `dpop`. Run `dpop --help` for its commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dpop_cli::gateway;

/// DPoP (RFC 9449) on the command line.
#[derive(Debug, Parser)]
#[command(name = "dpop")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A reverse proxy that checks DPoP for services that do not support it.
    #[command(subcommand)]
    Gateway(gateway::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Gateway(command) => gateway::run(command).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dpop: {error}");
            ExitCode::FAILURE
        }
    }
}
