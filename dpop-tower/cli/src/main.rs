//! The program `dpop`. Run `dpop --help` for its commands.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use dpop_cli::{
    failure::Failure, gateway, inspect, key, proof, request, terminal::Terminal, token,
};

/// DPoP (RFC 9449) on the command line.
#[derive(Debug, Parser)]
#[command(
    name = "dpop",
    version,
    after_help = "Exit codes: 0 done, 1 rejected by the other side, 2 wrong use, 3 out of reach."
)]
struct Arguments {
    /// Print results as JSON, one value on one line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Private keys, to which access tokens are bound.
    #[command(subcommand)]
    Key(key::Command),
    /// Get an access token that is bound to a key.
    Token(Box<token::Arguments>),
    /// Make a proof for one request.
    Proof(proof::Arguments),
    /// Send a request with an access token and a proof, as curl would.
    Request(Box<request::Arguments>),
    /// A reverse proxy that checks DPoP for services that do not support it.
    #[command(subcommand)]
    Gateway(gateway::Command),
    /// An issuer of DPoP-bound tokens, for development only.
    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    Idp(dpop_cli::idp::Arguments),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands to a folder.
    Man {
        /// Write the pages to this folder, which has to exist.
        #[arg(long, value_name = "FOLDER")]
        out: Option<PathBuf>,
    },
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
        Command::Key(command) => key::run(&command, terminal),
        Command::Token(arguments) => token::run(*arguments, terminal).await,
        Command::Proof(arguments) => proof::run(arguments, terminal).await,
        Command::Request(arguments) => request::run(*arguments, terminal).await,
        Command::Gateway(command) => gateway::run(command, terminal).await,
        #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
        Command::Idp(arguments) => dpop_cli::idp::run(arguments, terminal).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "dpop", &mut script);
            io::Write::write_all(&mut io::stdout(), &script).map_err(|error| unwritten(&error))
        }
        Command::Man { out: None } => clap_mangen::Man::new(Arguments::command())
            .render(&mut io::stdout())
            .map_err(|error| unwritten(&error)),
        Command::Man { out: Some(folder) } => {
            clap_mangen::generate_to(Arguments::command(), folder)
                .map_err(|error| unwritten(&error))
        }
        Command::Inspect(arguments) => inspect::run(*arguments, terminal).await,
    }
}

fn unwritten(error: &io::Error) -> Failure {
    Failure::wrong_use(format!("cannot write: {error}"))
}
