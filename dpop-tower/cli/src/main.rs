//! The program `dpop`. Run `dpop --help` for its commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dpop_cli::{failure::Failure, gateway, inspect, terminal::Terminal};

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
    /// Explains why a token, a proof or a request is rejected, check by check.
    ///
    /// Exit codes: 0 valid, 1 rejected, 2 the input cannot be inspected, 3 the issuer is out of reach.
    Inspect(Box<inspect::Arguments>),
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
        Command::Inspect(arguments) => inspect::run(*arguments, terminal).await,
    }
}
