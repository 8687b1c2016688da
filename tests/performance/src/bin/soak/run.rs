//! Programs under mixed load for a long time: nothing may grow, and no good request may be rejected outside of faults.

use std::{
    cell::{Cell, RefCell},
    fs,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_test_servers::{free_port, redis::Redis};
use dpop_tower_performance::load::{
    Error,
    process::{children_cpu_time, own_cpu_time},
};
use tokio::{
    sync::Mutex,
    task::{JoinSet, spawn_local},
    time::{sleep, timeout},
};

use crate::{
    client::{Connection, request, request_with},
    faults::{self, Lengths, Neighbours, Windows},
    hostile::{self, Slow},
    load,
    logs::{self, Log},
    people::People,
    plot,
    programs::{self, Addresses, GatewayFile, PASSWORD, Program},
    record::{Record, Row},
    servers::{Issuer, Upstream},
    state::{Settings, State, Target},
    tls, verdict,
};
/// The clients: those of the gateway, of the axum service, and hostile ones.
const GATEWAY_CLIENTS: usize = 10;
const API_CLIENTS: usize = 4;
const OTHER_CLIENTS: usize = 6;

/// Runs it all. Returns whether nothing went wrong.
pub async fn run(settings: Settings) -> Result<bool, Error> {
    logs::check()?;
    fs::create_dir_all(&settings.results)?;
    // The logs of the programs stay there.
    let folder = &fs::canonicalize(&settings.results)?;
    let cycles = cycles(&settings);
    let clients = GATEWAY_CLIENTS + API_CLIENTS + OTHER_CLIENTS;
    let people = People::new(cycles.0 + 1, clients);
    let issuer = Issuer::start(people.jwks(0..1)).await?;
    let upstream = Upstream::start().await?;
    let redis = start_redis().await;
    let addresses = |listen| Addresses {
        listen,
        upstream: upstream.address,
        issuer: issuer.address,
        redis: redis.port(),
    };
    let listen = || SocketAddr::from(([127, 0, 0, 1], free_port()));
    let (plain, tls) = (addresses(listen()), addresses(listen()));
    programs::certificate(folder)?;
    let files = [("gateway", plain, false), ("tls", tls, true)];
    let files = files
        .iter()
        .map(|(name, addresses, tls)| GatewayFile::write(folder, name, &settings, addresses, *tls))
        .collect::<Result<Vec<_>, _>>()?;
    let mut programs = vec![
        Program::gateway("gateway", &settings.dpop, &files[0].path, plain.listen)?,
        Program::gateway("tls", &settings.dpop, &files[1].path, tls.listen)?,
        Program::api(folder, &settings, &people.jwks(0..people.keys.len()))?,
    ];
    let state = Rc::new(State {
        record: RefCell::new(Record::new(&settings.results.join("soak.csv"))?),
        people: RefCell::new(people),
        windows: RefCell::new(Windows::default()),
        addresses: [plain.listen, tls.listen, programs[2].address],
        client_hello: tls::client_hello()?,
        stopped: Cell::new(false),
        settings: settings.clone(),
    });
    let mut logs: Vec<Log> = programs
        .iter()
        .map(|program| Log::new(program.log.clone()))
        .collect();
    until_admitted(&state).await?;
    let idle = usage(&programs)?;

    let neighbours = Rc::new(Neighbours {
        redis: Mutex::new(redis),
        issuer: Rc::clone(&issuer),
        files: Mutex::new(files),
    });
    let mut tasks = spawn_load(&state);
    let faults = spawn_local(commit_faults(
        Rc::clone(&state),
        Rc::clone(&neighbours),
        cycles,
    ));
    let mut inside = Connection::new(state.address(Target::Api), false);
    let begun = Instant::now();
    let mut intervals = 0;
    while begun.elapsed() < settings.length {
        intervals += 1;
        let due = begun + settings.interval() * intervals;
        sleep(due.saturating_duration_since(Instant::now())).await;
        for program in &mut programs {
            program.must_run()?;
        }
        let row = sample(&programs, &neighbours, &upstream, &mut inside).await?;
        for log in &mut logs {
            for finding in log.scan(&state.people.borrow())? {
                state.fail(finding);
            }
        }
        state.record.borrow_mut().row(row)?;
    }
    state.stopped.set(true);
    state.event("load ends");
    let ended = async { while tasks.join_next().await.is_some() {} };
    if timeout(Duration::from_secs(30), ended).await.is_err() {
        state.fail("a task of this program has not ended");
    }
    faults.await??;
    drop(inside);
    upstream.stop();
    issuer.stop().await;
    let end = drained(&programs, &idle).await?;
    let cpu = (children_cpu_time()?, own_cpu_time()?);
    let mut inside = Connection::new(state.address(Target::Api), false);
    let (_, tasks) = ask_inside(&mut inside).await?;
    drop(inside);
    for program in &mut programs[..2] {
        if !program.end()? {
            state.fail(format!("{} does not end without an error", program.name));
        }
    }
    for log in &mut logs {
        for finding in log.scan(&state.people.borrow())? {
            state.fail(finding);
        }
    }
    let good = verdict::judge(
        &state,
        &verdict::Ends {
            idle,
            end,
            tasks,
            cpu,
        },
        &logs,
    )?;
    plot::draw(
        &state.record.borrow().rows,
        &settings.results.join("soak.svg"),
    )?;
    Ok(good)
}

/// Returns how many cycles of faults there are, and the times in one.
fn cycles(settings: &Settings) -> (usize, Lengths) {
    let seconds = Duration::from_secs;
    match settings.is_long() {
        // A cycle takes about five minutes.
        true => (
            (settings.length.as_secs() / 290) as usize + 1,
            Lengths {
                killed: seconds(5),
                paused: seconds(6),
                issuer_down: seconds(15),
                between: seconds(36),
            },
        ),
        false => (
            1,
            Lengths {
                killed: seconds(1),
                paused: seconds(4),
                issuer_down: seconds(2),
                between: Duration::from_millis(1500),
            },
        ),
    }
}

/// Starts a server with a user that may do what the store needs, and nothing else.
async fn start_redis() -> Redis {
    let password = format!(">{PASSWORD}");
    let user = [
        "--save",
        "",
        "--user",
        "dpop",
        "on",
        &password,
        "resetkeys",
        "resetchannels",
        "~dpop:*",
        "-@all",
        "+evalsha",
        "+script|load",
        "+info",
        "+time",
        "+get",
        "+set",
        "+pexpire",
    ];
    Redis::with(&user).await
}

/// Waits until good requests are admitted: the fence of the new store rejects the first ones.
async fn until_admitted(state: &State) -> Result<(), Error> {
    for target in [Target::Gateway, Target::Api] {
        let mut connection = Connection::new(state.address(target), false);
        let begun = Instant::now();
        loop {
            let credentials = state.people.borrow_mut().good(0, "GET", "/orders/42", None);
            let reply = connection
                .send(request("/orders/42", &credentials, None)?)
                .await?;
            if reply.status == 200 {
                break;
            }
            if begun.elapsed() > Duration::from_secs(60) {
                return Err(format!("{target:?} is not ready: {}", reply.reason()).into());
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
    Ok(())
}

fn spawn_load(state: &Rc<State>) -> JoinSet<()> {
    let every = |rate: f64| Duration::from_secs_f64(1.0 / rate);
    let rate = state.settings.rate;
    let mut tasks = JoinSet::new();
    // A share of the good requests goes to the axum service.
    let (to_gateway, to_api) = (rate * 0.75, rate * 0.25);
    for client in 0..GATEWAY_CLIENTS {
        let pace = every(to_gateway / GATEWAY_CLIENTS as f64);
        let http2 = client % 4 == 3;
        tasks.spawn_local(load::good(
            Rc::clone(state),
            Target::Gateway,
            http2,
            client,
            pace,
        ));
    }
    for client in 0..API_CLIENTS {
        let pace = every(to_api / API_CLIENTS as f64);
        let client = GATEWAY_CLIENTS + client;
        tasks.spawn_local(load::good(
            Rc::clone(state),
            Target::Api,
            client % 4 == 3,
            client,
            pace,
        ));
    }
    let other = |number| GATEWAY_CLIENTS + API_CLIENTS + number;
    for target in [Target::Gateway, Target::Api] {
        tasks.spawn_local(load::bad(Rc::clone(state), target, every(10.0)));
        tasks.spawn_local(load::replays(Rc::clone(state), target, every(4.0)));
        tasks.spawn_local(load::unknown_keys(
            Rc::clone(state),
            target,
            other(0),
            every(8.0),
        ));
        tasks.spawn_local(hostile::slow_body(Rc::clone(state), target, other(1)));
        tasks.spawn_local(hostile::hang_up(
            Rc::clone(state),
            target,
            other(2),
            every(5.0),
        ));
    }
    tasks.spawn_local(load::flood(
        Rc::clone(state),
        Target::Gateway,
        other(3),
        every(10.0),
    ));
    tasks.spawn_local(load::flood(
        Rc::clone(state),
        Target::Api,
        other(3),
        every(40.0),
    ));
    tasks.spawn_local(hostile::malformed(Rc::clone(state), every(4.0)));
    tasks.spawn_local(hostile::streams(Rc::clone(state), other(4), every(1.0)));
    tasks.spawn_local(tls::handshakes(Rc::clone(state), every(2.0)));
    tasks.spawn_local(tls::requests(Rc::clone(state), other(5), every(1.0)));
    for _ in 0..10 {
        tasks.spawn_local(hostile::slow(
            Rc::clone(state),
            Target::Gateway,
            Slow::Nothing,
        ));
        tasks.spawn_local(hostile::slow(Rc::clone(state), Target::Gateway, Slow::Head));
        tasks.spawn_local(hostile::slow(
            Rc::clone(state),
            Target::Tls,
            Slow::Handshake,
        ));
        tasks.spawn_local(hostile::slow(Rc::clone(state), Target::Api, Slow::Head));
    }
    tasks
}

async fn commit_faults(
    state: Rc<State>,
    neighbours: Rc<Neighbours>,
    (cycles, lengths): (usize, Lengths),
) -> Result<(), Error> {
    // The last faults end before the load, so that what they leave is seen.
    let quiet = if state.settings.is_long() { 60 } else { 0 };
    let last = state
        .settings
        .length
        .saturating_sub(Duration::from_secs(quiet));
    for cycle in 0..cycles {
        if cycle > 0
            && state.record.borrow().elapsed() > last.saturating_sub(Duration::from_secs(240))
        {
            break;
        }
        faults::cycle(&state, &neighbours, lengths).await?;
    }
    Ok(())
}

fn usage(programs: &[Program]) -> Result<Vec<programs::Usage>, Error> {
    programs.iter().map(Program::usage).collect()
}

async fn sample(
    programs: &[Program],
    neighbours: &Neighbours,
    upstream: &Upstream,
    inside: &mut Connection,
) -> Result<Row, Error> {
    let mut row = Row::default();
    for (usage, program) in row.usage.iter_mut().zip(programs) {
        *usage = program.usage()?;
    }
    // It does not answer while it is down.
    if let Ok(redis) = neighbours.redis.try_lock() {
        row.redis_entries = redis.ask(&["DBSIZE"]).parse().ok();
    }
    (row.memory_entries, row.api_tasks) = ask_inside(inside).await?;
    row.upstream_connections = upstream.open.get() as u64;
    row.upstream_streams = upstream.streams.get() as u64;
    row.key_fetches = neighbours.issuer.fetches.get();
    Ok(row)
}

async fn ask_inside(connection: &mut Connection) -> Result<(u64, u64), Error> {
    let request = request_with("/inside", &[], &[], None)?;
    let reply = connection.send(request).await?;
    let text = String::from_utf8_lossy(&reply.body);
    let (entries, tasks) = text
        .split_once(' ')
        .ok_or("the axum service says nothing")?;
    Ok((entries.parse()?, tasks.parse()?))
}

/// Waits until the programs have let go of what belonged to clients, and returns what they then take.
async fn drained(
    programs: &[Program],
    idle: &[programs::Usage],
) -> Result<Vec<programs::Usage>, Error> {
    let begun = Instant::now();
    loop {
        let now = usage(programs)?;
        let done = now
            .iter()
            .zip(idle)
            .all(|(now, idle)| now.handles <= idle.handles);
        if done || begun.elapsed() > Duration::from_secs(20) {
            return Ok(now);
        }
        sleep(Duration::from_millis(200)).await;
    }
}
