//! The store keeps the contract of `ReplayStore`, on real servers that are killed, stopped and emptied.

use std::{
    net::{Ipv4Addr, TcpListener},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_nats::{ConnectOptions, jetstream, jetstream::stream::StorageType};
use dpop_tower::{
    replay::AcceptanceWindows,
    test_util::replay::{FixtureError, ReplayContract, Rule, StoreFixture},
};
use store_nats::{CLOCK_DIFFERENCE, NatsReplayStore, Settings};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
    time::{Instant, sleep},
};

/// A server with its files in a temporary folder. It ends with this value.
struct Server {
    port: u16,
    folder: TempDir,
    process: Mutex<Option<Child>>,
}

impl Server {
    async fn start() -> Result<Self, FixtureError> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let server = Self {
            port,
            folder: TempDir::new()?,
            process: Mutex::new(None),
        };
        server.run().await?;
        Ok(server)
    }

    async fn run(&self) -> Result<(), FixtureError> {
        let mut process = self.process.lock().await;
        let started = Command::new("nats-server")
            .args([
                "--addr",
                "127.0.0.1",
                "--jetstream",
                "--port",
                &self.port.to_string(),
            ])
            .arg("--store_dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| {
                format!("please install nats-server (Debian's package nats-server): {error}")
            })?;
        *process = Some(started);
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .is_err()
        {
            if began.elapsed() > Duration::from_secs(60) {
                return Err("nats-server does not listen".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn kill(&self) -> Result<(), FixtureError> {
        if let Some(mut process) = self.process.lock().await.take() {
            process.kill().await?;
        }
        Ok(())
    }

    async fn signal(&self, signal: &str) -> Result<(), FixtureError> {
        let process = self.process.lock().await;
        let id = process
            .as_ref()
            .and_then(Child::id)
            .ok_or("it does not run")?;
        let sent = Command::new("kill")
            .args([signal, &id.to_string()])
            .status()
            .await?;
        sent.success()
            .then_some(())
            .ok_or_else(|| "no signal was sent".into())
    }
}

struct Fixture {
    server: Server,
    settings: Settings,
    is_short: bool,
    small: AtomicUsize,
}

impl Fixture {
    async fn with(storage: StorageType) -> Self {
        Self {
            server: Server::start().await.unwrap(),
            settings: Settings {
                storage,
                ..Settings::default()
            },
            is_short: false,
            small: AtomicUsize::new(0),
        }
    }

    async fn store(&self, settings: Settings) -> Result<NatsReplayStore, FixtureError> {
        let client = ConnectOptions::new()
            .reconnect_delay_callback(|_| Duration::from_millis(100))
            .connect(format!("127.0.0.1:{}", self.server.port))
            .await?;
        let windows = AcceptanceWindows::at_least(Duration::from_secs(70))?;
        Ok(NatsReplayStore::new(
            jetstream::new(client),
            settings,
            windows,
        ))
    }
}

const KILLED: &str = "killed and started again";
const STOPPED: &str = "stopped for a while";

impl StoreFixture for Fixture {
    type Store = NatsReplayStore;

    async fn open(&self) -> Result<NatsReplayStore, FixtureError> {
        self.store(self.settings.clone()).await
    }

    fn longest_life(&self) -> Duration {
        self.settings.max_age - CLOCK_DIFFERENCE - Duration::from_secs(1)
    }

    fn clock_difference(&self) -> Duration {
        CLOCK_DIFFERENCE
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        self.is_short.then_some(self.settings.max_age)
    }

    async fn open_small(&self) -> Result<Option<NatsReplayStore>, FixtureError> {
        let settings = Settings {
            name: format!("small-{}", self.small.fetch_add(1, SeqCst)),
            max_records: 2_000,
            ..self.settings.clone()
        };
        Ok(Some(self.store(settings).await?))
    }

    fn faults(&self) -> Vec<&'static str> {
        vec![KILLED, STOPPED]
    }

    async fn begin(&self, fault: &'static str) -> Result<(), FixtureError> {
        match fault {
            KILLED => self.server.kill().await,
            _ => self.server.signal("-STOP").await,
        }
    }

    async fn end(&self, fault: &'static str) -> Result<(), FixtureError> {
        match fault {
            KILLED => self.server.run().await,
            _ => self.server.signal("-CONT").await,
        }
    }

    async fn lose_records(&self) -> Result<bool, FixtureError> {
        self.server.kill().await?;
        let folder = self.server.folder.path().join("jetstream");
        if folder.exists() {
            std::fs::remove_dir_all(folder)?;
        }
        self.server.run().await?;
        Ok(true)
    }
}

async fn unchecked(fixture: Fixture, rules: &[Rule]) -> Vec<(Rule, &'static str)> {
    let contract = Arc::new(ReplayContract::new(fixture));
    let mut unchecked = Vec::new();
    for rule in rules {
        unchecked.extend(contract.check(*rule).await.unwrap().unchecked());
    }
    unchecked
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_the_contract_with_files() {
    let fixture = Fixture::with(StorageType::File).await;
    let unchecked = unchecked(fixture, &Rule::ALL).await;
    let rules: Vec<Rule> = unchecked.iter().map(|(rule, _)| *rule).collect();
    // The other test checks that records end. There are no shares.
    assert_eq!(
        rules,
        [Rule::ExpiryIsAnInstant, Rule::Bounded],
        "{unchecked:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_last_for_the_whole_window_and_end() {
    let mut fixture = Fixture::with(StorageType::File).await;
    fixture.is_short = true;
    fixture.settings.max_age = Duration::from_secs(12);
    assert_eq!(
        unchecked(fixture, &[Rule::ExpiryIsAnInstant, Rule::ExpiredIsNotFresh]).await,
        []
    );
}

/// A restart loses everything. The fence says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_passes_twice_when_a_restart_empties_the_memory() {
    let fixture = Fixture::with(StorageType::Memory).await;
    let rules = [Rule::Atomic, Rule::FailClosed, Rule::NoRecordLostUnseen];
    assert_eq!(unchecked(fixture, &rules).await, []);
}
