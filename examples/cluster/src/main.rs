//! Three nodes behind nginx, and a thief who sends each proof to all of them at once, also while the store of used
//! proofs fails.
//!
//! ```text
//! cargo run -p cluster-example                  with one Redis
//! cargo run -p cluster-example -- sentinel      with a master, a replica and Sentinels
//! cargo run -p cluster-example -- cluster       with a Redis Cluster
//! cargo run -p cluster-example -- postgres      with PostgreSQL
//! cargo run -p cluster-example -- hash          with stores in memory: nginx sends equal proofs to one node
//! ```
//!
//! The database and nginx have to be installed. Everything runs on loopback, on free ports, with its files in
//! temporary folders, and ends with the program. `--serve` leaves it running until Ctrl-C.

mod database;
mod nginx;
mod nodes;
mod story;
mod thief;

use std::{error::Error, process::ExitCode};

use clap::{Parser, ValueEnum};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Show what becomes of proofs that are sent to several nodes, and exit. The exit code is 1 if one passed twice.
#[derive(Parser)]
struct Arguments {
    /// What remembers used proofs.
    #[arg(value_enum, default_value = "redis")]
    store: Store,
    /// The number of proofs in each step.
    #[arg(long, default_value = "200")]
    proofs: usize,
    /// Keep everything running until Ctrl-C, and print where it is.
    #[arg(long)]
    serve: bool,
}

/// What remembers used proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    /// One Redis, which forgets everything when it is killed.
    Redis,
    /// A master and a replica of Redis. Sentinel promotes the replica when the master is killed.
    Sentinel,
    /// A Redis Cluster, one of whose nodes is killed.
    Cluster,
    /// One PostgreSQL, which keeps everything when it is killed.
    Postgres,
    /// A store in the memory of each node. nginx sends equal proofs to one node.
    Hash,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match story::tell(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cluster-example: {error}");
            ExitCode::FAILURE
        }
    }
}
