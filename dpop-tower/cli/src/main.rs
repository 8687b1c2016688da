//! The program `dpop`. Run `dpop --help` for its commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dpop_cli::{failure::Failure, gateway, terminal::Terminal};

/// DPoP (RFC 9449) on the command line.
#[derive(Debug, Parser)]
#[command(name = "dpop", version)]
struct Arguments {
    /// Print results as JSON, one value on one line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A reverse proxy that checks DPoP for services that do not support it.
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// An issuer of DPoP-bound tokens, for development only.
    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    Idp(dpop_cli::idp::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.command, Terminal::new(arguments.json)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("dpop: {failure}");
            failure.exit_code()
        }
    }
}

async fn run(command: Command, terminal: Terminal) -> Result<(), Failure> {
    match command {
        Command::Gateway(command) => gateway::run(command)
            .await
            .map_err(|error| Failure::rejected(error.to_string())),
        #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
        Command::Idp(arguments) => dpop_cli::idp::run(arguments, terminal).await,
    }
}
