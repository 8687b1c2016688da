//! Redis: a server, replicas, sentinels, a cluster, TLS.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::sleep;

use crate::free_port;

/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// A server, which ends with the test.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    process: Child,
    arguments: Vec<String>,
    folder: TempDir,
    tls: Option<PathBuf>,
    program: &'static str,
}

impl Redis {
    /// Starts a server that writes nothing to the disk.
    pub async fn start() -> Self {
        Self::with(&["--save", ""]).await
    }

    /// Starts a server with these arguments.
    pub async fn with(arguments: &[&str]) -> Self {
        Self::run("redis-server", TempDir::new().unwrap(), arguments, None).await
    }

    /// Starts a server that speaks only TLS, with certificates for 127.0.0.1.
    pub async fn with_tls() -> Self {
        let folder = TempDir::new().unwrap();
        certificates(folder.path());
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let (authority, certificate, key) =
            (path("ca.pem"), path("server.pem"), path("server.key"));
        let arguments = [
            "--save",
            "",
            "--tls-auth-clients",
            "no",
            "--tls-ca-cert-file",
            &authority,
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
        ];
        let tls = PathBuf::from(&authority);
        Self::run("redis-server", folder, &arguments, Some(tls)).await
    }

    async fn run(
        program: &'static str,
        folder: TempDir,
        arguments: &[&str],
        tls: Option<PathBuf>,
    ) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let port = free_port();
        let process = spawn(program, folder.path(), port, &arguments, tls.is_some());
        let mut server = Self {
            port,
            process,
            arguments,
            folder,
            tls,
            program,
        };
        while !server.answers().await {
            let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
            assert!(log.contains("Address already in use"), "{program}: {log}");
            // Another program took the port first.
            server.port = free_port();
            server.process = spawn(
                program,
                server.folder.path(),
                server.port,
                &server.arguments,
                server.tls.is_some(),
            );
        }
        server
    }

    /// Waits until the server answers. Returns `false` if it ended.
    async fn answers(&mut self) -> bool {
        let begun = Instant::now();
        loop {
            if self.process.try_wait().unwrap().is_some() {
                return false;
            }
            let answer = self.ask(&["PING"]);
            // A server with users answers that it knows nobody.
            if ["PONG", "NOAUTH", "NOPERM", "MASTERDOWN"]
                .iter()
                .any(|known| answer.contains(known))
            {
                return true;
            }
            assert!(begun.elapsed() < PATIENCE, "{}: {answer}", self.program);
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL without a user.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() {
            "rediss"
        } else {
            "redis"
        };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    /// Returns the certificate authority in PEM.
    pub fn authority(&self) -> String {
        fs::read_to_string(self.tls.as_ref().unwrap()).unwrap()
    }

    /// Returns the answer to a command, which may be an error.
    pub fn ask(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]);
        if let Some(authority) = &self.tls {
            cli.arg("--tls").arg("--cacert").arg(authority);
        }
        let output = cli
            .args(command)
            .stdin(Stdio::null())
            .output()
            .expect("please install redis-cli (Debian's package redis-tools)");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8(text).unwrap().trim().to_owned()
    }

    /// Gives a command that succeeds.
    pub fn tell(&self, command: &[&str]) {
        let answer = self.ask(command);
        assert_eq!(answer.lines().next(), Some("OK"), "{command:?}");
    }

    /// Returns a line of `INFO`.
    pub fn info(&self, name: &str) -> String {
        let info = self.ask(&["INFO"]);
        let line = info
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_default().trim().to_owned()
    }

    /// Ends the process with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts the process again, on its port and with its files.
    pub async fn restart(&mut self) {
        self.process = spawn(
            self.program,
            self.folder.path(),
            self.port,
            &self.arguments,
            self.tls.is_some(),
        );
        assert!(
            self.answers().await,
            "{}",
            fs::read_to_string(self.folder.path().join("log")).unwrap()
        );
        until("the server has loaded its files", || {
            self.info("loading") == "0"
        })
        .await;
    }

    /// Stops the process, whose connections stay open.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Continues the process.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let process = self.process.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &process])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Makes this server a replica, and waits until it has all of the other's records.
    pub async fn replicate(&self, port: u16) {
        self.tell(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        until("the replica is connected", || {
            self.info("master_link_status") == "up"
        })
        .await;
    }

    /// Makes a replica a master.
    pub fn promote(&self) {
        self.tell(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Starts a sentinel that watches a master as the service `main`.
    pub async fn sentinel(master: u16) -> Self {
        let folder = TempDir::new().unwrap();
        let sentinel = free_port();
        let config = format!(
            "port {sentinel}\nsentinel monitor main 127.0.0.1 {master} 1\nsentinel down-after-milliseconds main 1000\n\
             sentinel failover-timeout main 10000\n"
        );
        fs::write(folder.path().join("sentinel.conf"), config).unwrap();
        let process = Command::new("redis-sentinel")
            .arg(folder.path().join("sentinel.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("please install redis-sentinel (Debian's package redis-sentinel)");
        let mut sentinel = Self {
            port: sentinel,
            process,
            arguments: Vec::new(),
            folder,
            tls: None,
            program: "redis-sentinel",
        };
        assert!(sentinel.answers().await, "the sentinel has ended");
        sentinel
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(program: &str, folder: &Path, port: u16, arguments: &[String], tls: bool) -> Child {
    let port = port.to_string();
    let ports = if tls {
        ["--port", "0", "--tls-port", &port]
    } else {
        ["--port", &port, "--tls-port", "0"]
    };
    Command::new(program)
        .args(ports)
        .args([
            "--bind",
            "127.0.0.1",
            "--logfile",
            "log",
            "--enable-debug-command",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
            "--dir",
        ])
        .arg(folder)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| {
            panic!("please install {program} (Debian's package {program}): {error}")
        })
}

/// Makes a certificate authority and a certificate for a server.
fn certificates(folder: &Path) {
    let openssl = |arguments: &str| {
        let made = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output()
            .expect("please install openssl (Debian's package openssl)");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    };
    fs::write(
        folder.join("names"),
        "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )
    .unwrap();
    openssl(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=tests -keyout ca.key -out ca.pem",
    );
    openssl(
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=server -keyout server.key -out server.csr",
    );
    openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    );
}

/// A cluster of three masters with a replica each.
#[derive(Debug)]
pub struct Cluster {
    /// The servers. The first three are the masters at first.
    pub servers: Vec<Redis>,
}

impl Cluster {
    /// Starts the servers and joins them.
    pub async fn start() -> Self {
        let mut servers = Vec::new();
        for _ in 0..6 {
            let bus = free_port().to_string();
            servers.push(
                Redis::with(&[
                    "--save",
                    "",
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ])
                .await,
            );
        }
        let addresses: Vec<String> = servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        let mut command = vec!["--cluster", "create"];
        command.extend(addresses.iter().map(String::as_str));
        command.extend(["--cluster-replicas", "1", "--cluster-yes"]);
        let answer = servers[0].ask(&command);
        assert!(answer.contains("All 16384 slots covered"), "{answer}");
        for server in &servers {
            until("the cluster is complete", || {
                server
                    .ask(&["CLUSTER", "INFO"])
                    .contains("cluster_state:ok")
                    && (server.info("role") == "master"
                        || server.info("master_link_status") == "up")
            })
            .await;
        }
        Self { servers }
    }

    /// Returns the URL with several of its servers.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self
            .servers
            .iter()
            .map(|server| format!("127.0.0.1:{}", server.port))
            .collect();
        format!("redis-cluster://{}", hosts.join(","))
    }
}
