//! The store keeps the contract of `ReplayStore`, on dynalite, which is killed, stopped and emptied.

use std::{
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::Stdio,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use dpop_tower::{
    replay::AcceptanceWindows,
    test_util::replay::{FixtureError, ReplayContract, Rule, StoreFixture},
};
use store_dynamodb::{CLOCK_DIFFERENCE, DynamoDbReplayStore};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
    time::{Instant, sleep},
};

const TABLE: &str = "dpop-replay";

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
        DynamoDbReplayStore::create_table(&server.client(), TABLE).await?;
        Ok(server)
    }

    async fn run(&self) -> Result<(), FixtureError> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("node_modules/dynalite/cli.js");
        if !program.exists() {
            return Err("please install dynalite: run `npm ci` in examples/store-dynamodb".into());
        }
        let mut process = self.process.lock().await;
        let started = Command::new("node")
            .arg(program)
            .args(["--host", "127.0.0.1", "--port", &self.port.to_string()])
            .arg("--path")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("please install Node.js 20 or newer: {error}"))?;
        *process = Some(started);
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
            .await
            .is_err()
        {
            if began.elapsed() > Duration::from_secs(60) {
                return Err("dynalite does not listen".into());
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

    fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("eu-central-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(format!("http://127.0.0.1:{}", self.port))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Client::from_conf(config)
    }
}

struct Fixture(Server);

const KILLED: &str = "killed and started again";
const STOPPED: &str = "stopped for a while";

impl StoreFixture for Fixture {
    type Store = DynamoDbReplayStore;

    async fn open(&self) -> Result<DynamoDbReplayStore, FixtureError> {
        let windows = AcceptanceWindows::at_least(Duration::from_secs(70))?;
        Ok(DynamoDbReplayStore::new(&self.0.client(), TABLE, windows))
    }

    fn clock_difference(&self) -> Duration {
        CLOCK_DIFFERENCE
    }

    fn kept_longer_by(&self) -> Option<Duration> {
        Some(CLOCK_DIFFERENCE)
    }

    fn longest_life(&self) -> Duration {
        Duration::from_secs(120)
    }

    fn faults(&self) -> Vec<&'static str> {
        vec![KILLED, STOPPED]
    }

    async fn begin(&self, fault: &'static str) -> Result<(), FixtureError> {
        match fault {
            KILLED => self.0.kill().await,
            _ => self.0.signal("-STOP").await,
        }
    }

    async fn end(&self, fault: &'static str) -> Result<(), FixtureError> {
        match fault {
            KILLED => self.0.run().await,
            _ => self.0.signal("-CONT").await,
        }
    }

    /// Deletes the table, and creates it again under the same name.
    async fn lose_records(&self) -> Result<bool, FixtureError> {
        let client = self.0.client();
        client.delete_table().table_name(TABLE).send().await?;
        while client
            .describe_table()
            .table_name(TABLE)
            .send()
            .await
            .is_ok()
        {
            sleep(Duration::from_millis(50)).await;
        }
        DynamoDbReplayStore::create_table(&client, TABLE).await?;
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_store_keeps_the_contract() {
    let fixture = Fixture(Server::start().await.unwrap());
    let report = ReplayContract::new(fixture).check_all().await.unwrap();
    let unchecked: Vec<Rule> = report.unchecked().map(|(rule, _)| rule).collect();
    // Nothing limits a table but its throughput.
    assert_eq!(
        unchecked,
        [Rule::LiveEntriesStay, Rule::Bounded, Rule::Bounded],
        "{report}"
    );
}
