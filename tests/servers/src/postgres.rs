//! PostgreSQL, started with its own data folder, which can be killed, stopped, frozen, restarted and replicated.

use std::{
    fs,
    net::Ipv4Addr,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to start, stop or catch up.
const PATIENCE: Duration = Duration::from_secs(120);

/// Fast enough for tests. Files survive a killed process without `fsync`, because the operating system has them.
const SETTINGS: &str = "\
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 16MB
autovacuum_naptime = 1s
log_min_messages = warning
wal_level = replica
max_wal_senders = 4
hot_standby = on
";

const TRUSTING: &str = "\
local all all trust
local replication all trust
host all all 127.0.0.0/8 trust
host replication all 127.0.0.0/8 trust
";

const WITH_PASSWORD: &str = "\
local all all trust
host all all 127.0.0.0/8 scram-sha-256
";

/// The certificate and the key of a server, in PEM.
#[derive(Clone, Copy, Debug)]
pub struct Certificate<'a> {
    /// The certificate.
    pub certificate: &'a [u8],
    /// Its private key.
    pub key: &'a [u8],
}

/// A server that has not been started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Builder<'a> {
    settings: &'a str,
    password: Option<&'a str>,
    certificate: Option<Certificate<'a>>,
}

impl<'a> Builder<'a> {
    /// Adds lines to `postgresql.conf`.
    #[must_use]
    pub const fn settings(mut self, lines: &'a str) -> Self {
        self.settings = lines;
        self
    }

    /// Requires this password of the user `postgres` over TCP.
    #[must_use]
    pub const fn password(mut self, password: &'a str) -> Self {
        self.password = Some(password);
        self
    }

    /// Turns TLS on.
    #[must_use]
    pub const fn certificate(mut self, certificate: Certificate<'a>) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// Starts the server.
    ///
    /// # Panics
    ///
    /// Panics if PostgreSQL is not installed, or if it does not start.
    #[must_use]
    pub fn start(self) -> Postgres {
        let folder = Folder::new();
        let mut initdb = folder.command("initdb");
        initdb
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C"])
            .arg("--pgdata")
            .arg(folder.data());
        if let Some(password) = self.password {
            let file = folder.path().join("password");
            folder.write(&file, password.as_bytes());
            initdb.arg("--pwfile").arg(file);
        }
        succeed(&mut initdb);
        let mut settings = format!("{SETTINGS}{}\n", self.settings);
        if let Some(Certificate { certificate, key }) = self.certificate {
            folder.write(&folder.data().join("server.crt"), certificate);
            folder.write(&folder.data().join("server.key"), key);
            settings.push_str("ssl = on\n");
        }
        let access = match self.password {
            Some(_) => WITH_PASSWORD,
            None => TRUSTING,
        };
        folder.write(&folder.data().join("pg_hba.conf"), access.as_bytes());
        let conf = folder.data().join("postgresql.auto.conf");
        folder.write(&conf, settings.as_bytes());
        Postgres::run(folder)
    }
}

/// A running or stopped server.
#[derive(Debug)]
pub struct Postgres {
    folder: Folder,
    address: Ipv4Addr,
    port: u16,
    process: Option<Child>,
}

impl Postgres {
    /// Starts a server that trusts everyone on loopback.
    ///
    /// # Panics
    ///
    /// Panics if PostgreSQL is not installed, or if it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Describes a server.
    #[must_use]
    pub fn builder<'a>() -> Builder<'a> {
        Builder::default()
    }

    /// Starts a server that follows this one.
    ///
    /// # Panics
    ///
    /// Panics if the copy cannot be made or does not start.
    #[must_use]
    pub fn standby(&self) -> Self {
        let folder = Folder::new();
        let mut copy = folder.command("pg_basebackup");
        copy.args(["--no-sync", "--write-recovery-conf", "--wal-method=stream"])
            .args(["--checkpoint=fast", "--username=postgres"])
            .arg(format!("--host={}", self.address))
            .arg(format!("--port={}", self.port))
            .arg("--pgdata")
            .arg(folder.data());
        succeed(&mut copy);
        Self::run(folder)
    }

    fn run(folder: Folder) -> Self {
        let (address, port) = own_address();
        let mut server = Self {
            folder,
            address,
            port,
            process: None,
        };
        server.restart();
        server
    }

    /// Returns the URL of the database for the user `postgres`, without a password.
    #[must_use]
    pub fn url(&self) -> String {
        format!(
            "postgres://postgres@{}:{}/postgres",
            self.address, self.port
        )
    }

    /// Returns the address that the server listens at.
    #[must_use]
    pub const fn address(&self) -> (Ipv4Addr, u16) {
        (self.address, self.port)
    }

    /// Starts the server after it has ended, at the same address.
    ///
    /// # Panics
    ///
    /// Panics if it does not start.
    pub fn restart(&mut self) {
        assert!(self.process.is_none(), "the server runs");
        let begun = Instant::now();
        loop {
            self.process = Some(self.spawn());
            if self.wait_until_ready(begun) {
                return;
            }
            // Processes of a killed server may still hold its shared memory.
            self.process = None;
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn spawn(&self) -> Child {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        self.folder
            .command("postgres")
            .arg("-D")
            .arg(self.folder.data())
            .arg("-p")
            .arg(self.port.to_string())
            .arg("-h")
            .arg(self.address.to_string())
            .arg("-k")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Returns whether the server accepts connections, or `false` if it has ended.
    fn wait_until_ready(&mut self, begun: Instant) -> bool {
        while !self.psql("SELECT 1").status.success() {
            let process = self.process.as_mut().unwrap();
            if process.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", self.log());
            thread::sleep(Duration::from_millis(50));
        }
        true
    }

    /// Kills the server at once (`kill -9`), with all of its processes.
    ///
    /// # Panics
    ///
    /// Panics if it does not run.
    pub fn kill(&mut self) {
        let mut process = self.process.take().expect("the server runs");
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Stops the server in order.
    ///
    /// # Panics
    ///
    /// Panics if it does not end.
    pub fn stop(&mut self) {
        self.end("INT");
    }

    /// Stops the server without a checkpoint, so that it recovers at the next start.
    ///
    /// # Panics
    ///
    /// Panics if it does not end.
    pub fn stop_immediately(&mut self) {
        self.end("QUIT");
    }

    fn end(&mut self, signal: &str) {
        let mut process = self.process.take().expect("the server runs");
        send_signal(signal, process.id());
        let begun = Instant::now();
        while process.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills one of the processes that serve a connection over TCP. The server then ends all others, and recovers.
    ///
    /// # Panics
    ///
    /// Panics if there is no such connection.
    pub fn crash_backend(&self) {
        let pids = self.sql("SELECT pid FROM pg_stat_activity WHERE client_addr IS NOT NULL");
        let first = pids.lines().next().expect("there is a connection");
        send_signal("KILL", first.parse().unwrap());
    }

    /// Stops the server's first process and those that serve a connection, so that all connections hang, also new
    /// ones. Returns what continues them.
    ///
    /// # Panics
    ///
    /// Panics if the server does not run.
    #[must_use]
    pub fn freeze(&self) -> Frozen {
        let first = self.process.as_ref().expect("the server runs").id();
        let pids = self.sql("SELECT pid FROM pg_stat_activity WHERE client_addr IS NOT NULL");
        let backends = pids.lines().map(|pid| pid.parse().unwrap());
        let pids: Vec<u32> = [first].into_iter().chain(backends).collect();
        for pid in &pids {
            send_signal("STOP", *pid);
        }
        Frozen { pids }
    }

    /// Ends the stream of changes from the primary. What it does from now on is lost if this server is promoted.
    ///
    /// # Panics
    ///
    /// Panics if the stream does not end.
    pub fn stop_receiving(&self) {
        self.sql("ALTER SYSTEM SET primary_conninfo = ''");
        self.sql("SELECT pg_reload_conf()");
        self.wait_for("SELECT count(*) = 0 FROM pg_stat_wal_receiver");
    }

    /// Makes a standby accept writes.
    ///
    /// # Panics
    ///
    /// Panics if it does not.
    pub fn promote(&self) {
        self.sql("SELECT pg_promote(true, 120)");
        self.wait_for("SELECT NOT pg_is_in_recovery()");
    }

    /// Waits until a statement returns `true`.
    ///
    /// # Panics
    ///
    /// Panics if it does not for two minutes.
    pub fn wait_for(&self, condition: &str) {
        let begun = Instant::now();
        while self.sql(condition) != "t" {
            assert!(begun.elapsed() < PATIENCE, "{condition}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Runs a statement as a superuser over the server's own socket, and returns its rows as text.
    ///
    /// # Panics
    ///
    /// Panics if it fails.
    pub fn sql(&self, statement: &str) -> String {
        let output = self.psql(statement);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{statement}: {error}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Runs a statement in the same way, and returns whether it succeeds.
    #[must_use]
    pub fn try_sql(&self, statement: &str) -> bool {
        self.psql(statement).status.success()
    }

    fn psql(&self, statement: &str) -> Output {
        let mut psql = self.folder.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args(["--username=postgres", "--dbname=postgres"])
            .args(["--set=ON_ERROR_STOP=1", "--command", statement])
            .arg("--host")
            .arg(self.folder.path())
            .arg(format!("--port={}", self.port));
        psql.output().unwrap()
    }

    /// Returns what the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else {
            return;
        };
        send_signal("QUIT", process.id());
        let begun = Instant::now();
        while matches!(process.try_wait(), Ok(None)) {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = process.kill();
                let _ = process.wait();
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Stopped processes, which continue when this value is dropped.
#[derive(Debug)]
pub struct Frozen {
    pids: Vec<u32>,
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.pids {
            send_signal("CONT", *pid);
        }
    }
}

/// A temporary folder, and the user to whom it belongs. PostgreSQL does not run as root.
#[derive(Debug)]
struct Folder {
    folder: TempDir,
    user: Option<(u32, u32)>,
}

impl Folder {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
        let user = is_root.then(unprivileged_user);
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        Self { folder, user }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn write(&self, path: &Path, content: &[u8]) {
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Some((uid, gid)) = self.user {
            chown(path, Some(uid), Some(gid)).unwrap();
        }
    }

    /// Describes a call of one of PostgreSQL's programs.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(programs().join(program));
        command
            .current_dir(self.path())
            .env_clear()
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .stdin(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

fn unprivileged_user() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            match fields[..] {
                [user, _, uid, gid, ..] if user == name => {
                    Some((uid.parse().unwrap(), gid.parse().unwrap()))
                }
                _ => None,
            }
        })
    };
    find("postgres")
        .or_else(|| find("nobody"))
        .expect("there is a user besides root")
}

/// Returns the folder of PostgreSQL's programs, which Debian keeps off the search path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    folders.sort();
    let search = std::env::var_os("PATH").unwrap_or_default();
    folders
        .pop()
        .or_else(|| std::env::split_paths(&search).find(|folder| folder.join("initdb").exists()))
        .expect("please install PostgreSQL (Debian's package postgresql)")
}

/// Returns an address of loopback that no other server of any test has, and a port that is free there, so that a
/// server that is down keeps its address.
fn own_address() -> (Ipv4Addr, u16) {
    static SERVERS: AtomicU32 = AtomicU32::new(0);
    let number = SERVERS.fetch_add(1, Ordering::Relaxed);
    let [_, a, b, c] = std::process::id()
        .wrapping_mul(61)
        .wrapping_add(number)
        .to_be_bytes();
    let address = Ipv4Addr::new(127, a | 128, b, c.clamp(1, 254));
    let listener = std::net::TcpListener::bind((address, 0)).unwrap();
    (address, listener.local_addr().unwrap().port())
}

fn send_signal(signal: &str, pid: u32) {
    let mut kill = Command::new("sh");
    let status = kill
        .args([
            "-c",
            "kill -s \"$1\" \"$2\"",
            "sh",
            signal,
            &pid.to_string(),
        ])
        .status();
    assert!(
        status.unwrap().success() || signal == "CONT" || signal == "QUIT",
        "{signal} {pid}"
    );
}

fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_survives_a_kill_with_its_rows_and_a_standby_follows_it() {
        let mut primary = Postgres::start();
        primary.sql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
        primary.kill();
        primary.restart();
        assert_eq!(primary.sql("SELECT n FROM t"), "1");

        let standby = primary.standby();
        primary.sql("INSERT INTO t VALUES (2)");
        standby.wait_for("SELECT count(*) = 2 FROM t");
        standby.stop_receiving();
        primary.sql("INSERT INTO t VALUES (3)");
        primary.stop_immediately();
        standby.promote();
        assert_eq!(standby.sql("SELECT count(*) FROM t"), "2");
        standby.sql("INSERT INTO t VALUES (4)");
    }
}
