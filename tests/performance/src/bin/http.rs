//! `http ROUNDS REQUESTS SERVER...`: requests per second, latencies and processor time of servers, in
//! turn.
//!
//! Every server is a process on one processor, and this program runs on another. Each connection waits
//! for a response before it sends the next request, so latencies are those of a constantly busy server.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    process::ExitCode,
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_tower_performance::{
    load::{
        Error, apache,
        client::{Load, Protocol, Sender, drive},
        probes,
        process::{Server, all_cpu_time, own_cpu_time, stay_on_core},
        setup::{Parties, Setup},
    },
    results,
};
use http::HeaderValue;
use serde_json::{Value, json};
use tokio::task::LocalSet;

/// The number of requests before the measurement, in which caches fill and interpreters compile.
const WARM_UP: usize = 2000;

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
    let usage = "usage: http ROUNDS REQUESTS SERVER...";
    let [rounds, requests, servers @ ..] = arguments else {
        return Err(usage.into());
    };
    let (rounds, requests): (usize, usize) = (rounds.parse()?, requests.parse()?);
    let cases = cases(servers)?;
    if rounds == 0 || requests == 0 || cases.is_empty() {
        return Err(usage.into());
    }
    stay_on_core()?;
    results::record("machine", &results::machine())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    for round in 0..rounds {
        let parties = Parties::new();
        let proofs: Vec<String> = (0..WARM_UP + requests).map(|_| parties.proof()).collect();
        let values: Result<_, _> = proofs
            .iter()
            .map(|text| HeaderValue::from_str(text))
            .collect();
        let load = Rc::new(Load {
            authorization: HeaderValue::from_str(&format!("DPoP {}", parties.token))?,
            proofs: values?,
        });
        let probes = probes::probes(&parties, &proofs[0]);
        for offset in 0..cases.len() {
            // No server always follows the same other one.
            let case = &cases[(round + offset) % cases.len()];
            let future = measure(case, &parties, &load, &probes);
            let row = LocalSet::new().block_on(&runtime, future);
            let row = row.map_err(|error| format!("{case:?}: the run is void: {error}"))?;
            println!("{row}");
            results::record("http", &row)?;
            rows.push(row);
        }
    }
    print(&rows);
    Ok(())
}

#[derive(Clone, Debug)]
struct Case {
    server: String,
    protocol: Protocol,
}

fn cases(servers: &[String]) -> Result<Vec<Case>, Error> {
    let mut cases = Vec::new();
    for server in servers {
        label(server)?;
        for protocol in [Protocol::Http1, Protocol::Http2] {
            if protocol == Protocol::Http1 || is_built_in(server) {
                let server = server.clone();
                cases.push(Case { server, protocol });
            }
        }
    }
    Ok(cases)
}

/// Whether the server is part of the program `server`. The others are measured over HTTP/1.1.
fn is_built_in(server: &str) -> bool {
    !matches!(server, "express" | "mod_oauth2")
}

/// Returns the name of the server in the results.
fn label(server: &str) -> Result<&'static str, Error> {
    Ok(match server {
        "bare" => "axum alone",
        "aws-lc-rs" => "dpop-tower, aws-lc-rs",
        "josekit" => "dpop-tower, josekit",
        "huskarl" => "huskarl-resource-server",
        "dpop-verifier" => "dpop-verifier",
        "express" => "express-oauth2-jwt-bearer",
        "mod_oauth2" => "Apache, mod_oauth2",
        _ => return Err(format!("{server} is not known").into()),
    })
}

fn start(server: &str, setup: &Setup) -> Result<Server, Error> {
    if server == "mod_oauth2" {
        return apache::start(setup);
    }
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not text");
    let command = if server == "express" {
        let script = peers.join("express/server.mjs");
        vec!["node".to_owned(), text(&script)?]
    } else {
        let program = env::current_exe()?.with_file_name("server");
        vec![text(&program)?, server.to_owned()]
    };
    Server::start(&command, &setup.line())
}

async fn measure(
    case: &Case,
    parties: &Parties,
    load: &Rc<Load>,
    probes: &[probes::Probe],
) -> Result<Value, Error> {
    let server = start(&case.server, &Setup::new(&parties.issuer))?;
    let senders = Sender::connect(server.address, case.protocol).await?;
    let (mut senders, _) = drive(senders, load, 0..WARM_UP).await?;
    let sender = senders.first_mut().ok_or("there is no connection")?;
    let (rejected, accepted) = probes::run(sender, probes).await?;
    let expected: &[&str] = match &*case.server {
        "aws-lc-rs" | "josekit" => &[],
        _ => &accepted,
    };
    if accepted != expected {
        return Err(format!("accepted although bad: {accepted:?}").into());
    }
    let before = Usage::now(&server)?;
    let range = WARM_UP..load.proofs.len();
    let count = range.len() as f64;
    let (senders, latencies) = drive(senders, load, range).await?;
    let after = Usage::now(&server)?;
    drop(senders);
    let wall = (after.instant - before.instant).as_secs_f64();
    let used = |of: fn(&Usage) -> Duration| (of(&after) - of(&before)).as_secs_f64();
    let (by_server, by_generator) = (used(|usage| usage.server), used(|usage| usage.generator));
    let by_others = used(|usage| usage.all) - by_server - by_generator;
    let quantile = |quantile| latencies.value_at_quantile(quantile) as f64 / 1000.0;
    Ok(json!({
        "server": label(&case.server)?,
        "protocol": case.protocol.name(),
        "requests": count,
        "requests_per_second": (count / wall).round(),
        "p50_us": quantile(0.5),
        "p90_us": quantile(0.9),
        "p99_us": quantile(0.99),
        "p999_us": quantile(0.999),
        "cpu_us_per_request": by_server / count * 1e6,
        "server_busy": by_server / wall,
        "generator_busy": by_generator / wall,
        "others_busy": (by_others / wall).max(0.0),
        "checks": rejected.join(", "),
        "does_not_check": accepted.join(", "),
    }))
}

/// The processor time used so far.
struct Usage {
    instant: Instant,
    server: Duration,
    generator: Duration,
    all: Duration,
}

impl Usage {
    fn now(server: &Server) -> Result<Self, Error> {
        Ok(Self {
            server: server.cpu_time()?,
            generator: own_cpu_time()?,
            all: all_cpu_time()?,
            instant: Instant::now(),
        })
    }
}

/// Prints the medians of the rounds.
fn print(rows: &[Value]) {
    let mut cases: BTreeMap<(&str, &str), Vec<&Value>> = BTreeMap::new();
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        let case = (text("protocol"), text("server"));
        cases.entry(case).or_default().push(row);
    }
    println!(
        "{:9} {:26} {:>9} {:>19} {:>9} {:>7} {:>7} {:>7} {:>7} {:>6} {:>6} {:>6}",
        "protocol",
        "server",
        "req/s",
        "(least, most)",
        "cpu us",
        "p50",
        "p90",
        "p99",
        "p99.9",
        "server",
        "gen.",
        "others"
    );
    for ((protocol, server), rows) in cases {
        let sorted = |name: &str| {
            let mut values: Vec<f64> = rows.iter().filter_map(|row| row[name].as_f64()).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let median = |name: &str| {
            let values = sorted(name);
            values[values.len() / 2]
        };
        let rates = sorted("requests_per_second");
        println!(
            "{protocol:9} {server:26} {:9.0} {:>19} {:9.1} {:7.0} {:7.0} {:7.0} {:7.0} {:6.2} {:6.2} {:6.2}",
            median("requests_per_second"),
            format!("({:.0}, {:.0})", rates[0], rates[rates.len() - 1]),
            median("cpu_us_per_request"),
            median("p50_us"),
            median("p90_us"),
            median("p99_us"),
            median("p999_us"),
            median("server_busy"),
            median("generator_busy"),
            median("others_busy"),
        );
    }
}
