//! `stores ROUNDS REQUESTS`: one node over HTTP with its replay store in memory, in Redis and in PostgreSQL, in turn.
//!
//! The node runs on one processor, and this program and the databases on another. Each round measures every store
//! twice: as many requests as the node can do, and half as many a second.

use std::{
    collections::BTreeMap,
    env,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_test_servers::{postgres::Postgres, redis::Redis};
use dpop_tower_performance::{
    load::{
        Error,
        client::{Load, Protocol, Sender, drive, drive_at},
        process::{Server, children_cpu_time, own_cpu_time, stay_on_core},
        setup::{Parties, Setup},
    },
    results,
};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::task::LocalSet;

/// The store whose table the server makes `UNLOGGED`.
const UNLOGGED: &str = "PostgreSQL, unlogged table";

const WARM_UP: usize = 2000;

/// The settings of PostgreSQL that matter here. Its data folder is on the disk of this machine.
const POSTGRES: &str = "fsync = on\nfull_page_writes = on\nshared_buffers = 128MB\n";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Error> {
    let [rounds, requests] = arguments else {
        return Err("usage: stores ROUNDS REQUESTS".into());
    };
    let (rounds, requests): (usize, usize) = (rounds.parse()?, requests.parse()?);
    // The databases inherit the processor.
    stay_on_core()?;
    results::record("machine", &results::machine())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let redis = runtime.block_on(Redis::start());
    let logged = Postgres::builder().settings(POSTGRES).start();
    let unlogged = Postgres::builder().settings(POSTGRES).start();
    let stores = [
        ("memory", "memory".to_owned()),
        ("Redis", redis.url()),
        ("PostgreSQL", logged.url()),
        (UNLOGGED, unlogged.url()),
    ];
    let mut rows = Vec::new();
    for round in 0..rounds {
        for offset in 0..stores.len() {
            // No store always follows the same other one.
            let (name, url) = &stores[(round + offset) % stores.len()];
            let future = measure(name, url, requests);
            let row = LocalSet::new().block_on(&runtime, future);
            let row = row.map_err(|error| format!("{name}: the run is void: {error}"))?;
            println!("{row}");
            results::record("stores", &row)?;
            rows.push(row);
        }
    }
    print(&rows);
    Ok(())
}

async fn measure(name: &str, url: &str, requests: usize) -> Result<Value, Error> {
    let parties = Parties::new();
    let program = env::current_exe()?.with_file_name("server");
    let program = program.to_str().ok_or("a path is not text")?;
    let command = [program.to_owned(), "store".to_owned()];
    let setup = Setup::new(&parties.issuer);
    let unlogged = if name == UNLOGGED { "yes" } else { "" };
    let variables = [("DPOP_REPLAY_STORE", url), ("UNLOGGED", unlogged)];
    let server = Server::start_with(&variables, &command, &setup.line())?;
    // Made after the store began, so that its fence does not reject them.
    let proofs: Result<_, _> = (0..WARM_UP + 2 * requests)
        .map(|_| HeaderValue::from_str(&parties.proof()))
        .collect();
    let load = Rc::new(Load {
        authorization: HeaderValue::from_str(&format!("DPoP {}", parties.token))?,
        proofs: proofs?,
    });
    let senders = Sender::connect(server.address, Protocol::Http1).await?;
    let (senders, _) = drive(senders, &load, 0..WARM_UP).await?;
    let (cpu, own, begun) = (server.cpu_time()?, own_cpu_time()?, Instant::now());
    let children = children_cpu_time()?;
    let full = WARM_UP..WARM_UP + requests;
    let (senders, at_full) = drive(senders, &load, full.clone()).await?;
    let wall = begun.elapsed().as_secs_f64();
    let seconds = |used: Duration| used.as_secs_f64();
    let (cpu, own) = (
        seconds(server.cpu_time()? - cpu),
        seconds(own_cpu_time()? - own),
    );
    // Only the database of this store does anything.
    let database = seconds(children_cpu_time()? - children) - cpu;
    let rate = requests as f64 / wall;
    let half = full.end..full.end + requests;
    let (senders, at_half) = drive_at(rate / 2.0, senders, &load, half).await?;
    drop(senders);
    let quantile = |latencies: &hdrhistogram::Histogram<u64>, quantile| {
        latencies.value_at_quantile(quantile) as f64 / 1000.0
    };
    Ok(json!({
        "store": name,
        "requests": requests,
        "requests_per_second": rate.round(),
        "cpu_us_per_request": cpu / requests as f64 * 1e6,
        "database_us_per_request": database.max(0.0) / requests as f64 * 1e6,
        "server_busy": cpu / wall,
        "generator_busy": own / wall,
        "p50_us": quantile(&at_full, 0.5),
        "p99_us": quantile(&at_full, 0.99),
        "half_p50_us": quantile(&at_half, 0.5),
        "half_p99_us": quantile(&at_half, 0.99),
        "half_p999_us": quantile(&at_half, 0.999),
    }))
}

/// Prints the medians of the rounds.
fn print(rows: &[Value]) {
    let mut stores: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in rows {
        stores
            .entry(row["store"].as_str().unwrap_or_default())
            .or_default()
            .push(row);
    }
    let sorted = |rows: &[&Value], name: &str| {
        let mut values: Vec<f64> = rows.iter().filter_map(|row| row[name].as_f64()).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let median = |rows: &[&Value], name: &str| {
        let values = sorted(rows, name);
        values[values.len() / 2]
    };
    let memory = stores
        .get("memory")
        .map(|rows| median(rows, "requests_per_second"));
    println!(
        "{:37} {:>7} {:>16} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9} {:>9} {:>9} {:>5} {:>5}",
        "store",
        "req/s",
        "(least, most)",
        "/memory",
        "cpu us",
        "db us",
        "p50",
        "p99",
        "half p50",
        "half p99",
        "p99.9",
        "node",
        "gen."
    );
    for (store, rows) in stores {
        let rates = sorted(&rows, "requests_per_second");
        let rate = median(&rows, "requests_per_second");
        println!(
            "{store:37} {rate:7.0} {:>16} {:7.2} {:7.1} {:7.1} {:7.0} {:7.0} {:9.0} {:9.0} {:9.0} {:5.2} {:5.2}",
            format!("({:.0}, {:.0})", rates[0], rates[rates.len() - 1]),
            memory.map_or(f64::NAN, |memory| rate / memory),
            median(&rows, "cpu_us_per_request"),
            median(&rows, "database_us_per_request"),
            median(&rows, "p50_us"),
            median(&rows, "p99_us"),
            median(&rows, "half_p50_us"),
            median(&rows, "half_p99_us"),
            median(&rows, "half_p999_us"),
            median(&rows, "server_busy"),
            median(&rows, "generator_busy"),
        );
    }
}
