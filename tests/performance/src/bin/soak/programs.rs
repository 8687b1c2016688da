//! The programs under test, their files, and what they take of the machine.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use dpop_tower_performance::load::Error;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    people::{ISSUER, ORIGIN},
    state::Settings,
};

/// A program, which ends with this value. Its log is in a file.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    pub address: SocketAddr,
    pub log: PathBuf,
    child: Child,
}

/// What a program takes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Resident memory in KiB.
    pub memory: u64,
    /// Open files and sockets.
    pub handles: u64,
    pub threads: u64,
}

impl Program {
    /// Starts `dpop gateway serve`.
    pub fn gateway(
        name: &'static str,
        dpop: &Path,
        file: &Path,
        address: SocketAddr,
    ) -> Result<Self, Error> {
        let log = log_of(file.with_file_name("logs"), name)?;
        let child = Command::new(dpop)
            .args(["gateway", "serve"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(File::create(log.with_extension("out"))?)
            .stderr(File::create(&log)?)
            .spawn()
            .map_err(|error| format!("{}: {error}", dpop.display()))?;
        let mut program = Self {
            name,
            address,
            log,
            child,
        };
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            program.must_run()?;
            if begun.elapsed() > Duration::from_secs(30) {
                return Err(format!("{name} does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(program)
    }

    /// Starts the axum service of [`crate::api`], and sends it the keys of the issuer.
    pub fn api(folder: &Path, settings: &Settings, jwks: &str) -> Result<Self, Error> {
        let log = log_of(folder.join("logs"), "api")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args([
                "api",
                &settings.max_age.to_string(),
                &settings.leeway.to_string(),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()?;
        let (mut line, mut told) = (String::new(), Ok(()));
        if let Some(mut input) = child.stdin.take() {
            told = writeln!(input, "{jwks}");
        }
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut program = Self {
            name: "api",
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            child,
        };
        told?;
        program.address = line
            .trim()
            .parse()
            .map_err(|_| "the axum service has not started")?;
        Ok(program)
    }

    /// Fails if the program has ended.
    pub fn must_run(&mut self) -> Result<(), Error> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                let end: Vec<&str> = log.lines().rev().take(5).collect();
                Err(format!("{} has ended: {status}: {end:?}", self.name).into())
            }
        }
    }

    /// Returns what the program takes now.
    pub fn usage(&self) -> Result<Usage, Error> {
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(folder.join("status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
            number.ok_or_else(|| format!("/proc has no {name}"))
        };
        Ok(Usage {
            memory: number("VmRSS:")?,
            threads: number("Threads:")?,
            handles: fs::read_dir(folder.join("fd"))?.count() as u64,
        })
    }

    /// Asks the program to end, and returns whether it did so without an error.
    pub fn end(&mut self) -> Result<bool, Error> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.success());
            }
            if begun.elapsed() > Duration::from_secs(15) {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Logs are in a folder of their own: the gateway looks at its file whenever something changes beside it.
fn log_of(folder: PathBuf, name: &str) -> Result<PathBuf, Error> {
    fs::create_dir_all(&folder)?;
    Ok(folder.join(format!("{name}.log")))
}

/// The file of a gateway.
#[derive(Debug)]
pub struct GatewayFile {
    pub path: PathBuf,
    text: String,
    changes: usize,
}

/// Secrets that must not be in any log.
pub const PASSWORD: &str = "the-password-of-the-replay-store";
pub const NONCE_SECRET: &str = "a-secret-for-nonces-that-is-long-enough";

impl GatewayFile {
    /// Writes the file of the gateway.
    pub fn write(
        folder: &Path,
        name: &str,
        settings: &Settings,
        addresses: &Addresses,
        tls: bool,
    ) -> Result<Self, Error> {
        fs::write(folder.join("redis-password"), PASSWORD)?;
        fs::write(folder.join("nonce-secret"), NONCE_SECRET)?;
        let Addresses {
            listen,
            upstream,
            issuer,
            redis,
        } = addresses;
        let Settings {
            max_age, leeway, ..
        } = settings;
        let tls = match tls {
            true => "[tls]\ncertificate_file = 'server.pem'\nkey_file = 'server.key'\n",
            false => "",
        };
        let text = format!(
            "\
listen = '{listen}'
upstream = 'http://{upstream}'
public_origins = ['{ORIGIN}']
shutdown_timeout = 5

[proof]
max_age = {max_age}
leeway = {leeway}

[nonces]
secret_file = 'nonce-secret'

[replay]
store = 'redis://dpop@127.0.0.1:{redis}'
password_file = 'redis-password'
clock_margin = {CLOCK_MARGIN}
time_out_ms = {STORE_TIME_OUT_MS}

[limits]
header_timeout = {HEADER_TIMEOUT}
idle_timeout = 10

{tls}
[[issuer]]
url = '{ISSUER}'
audiences = ['{ORIGIN}']
jwks_url = 'http://{issuer}/jwks'
danger_allow_plain_http = true

[issuer.key_fetching]
refresh_after = {REFRESH_AFTER}
min_refresh_after = {REFRESH_AFTER}
unknown_key_cool_down = 1
min_retry_delay = 1
max_retry_delay = 2

[[route]]
path = '/reports/{{id}}'
scopes = ['reports']
"
        );
        let file = Self {
            path: folder.join(format!("{name}.toml")),
            text,
            changes: 0,
        };
        fs::write(&file.path, &file.text)?;
        Ok(file)
    }

    /// Changes the file, which then has one more route or one less.
    pub fn change(&mut self) -> Result<(), Error> {
        self.changes += 1;
        let mut text = self.text.clone();
        if self.changes % 2 == 1 {
            text += "\n[[route]]\npath = '/invoices/{id}'\nscopes = ['invoices']\nmax_age = 10\n";
        }
        Ok(fs::write(&self.path, text)?)
    }

    /// Writes a file with a mistake.
    pub fn spoil(&self) -> Result<(), Error> {
        Ok(fs::write(
            &self.path,
            format!("misspelled = true\n{}", self.text),
        )?)
    }
}

/// By how much the clocks may differ, in seconds. There is only one.
pub const CLOCK_MARGIN: u64 = 2;
/// How long the replay store may take. It is longer than the default, since other programs use this machine, too.
pub const STORE_TIME_OUT_MS: u64 = 3000;
/// How long the headers of a request may take, in seconds.
pub const HEADER_TIMEOUT: u64 = 5;
/// How old the issuer's keys get, in seconds.
pub const REFRESH_AFTER: u64 = 10;

/// Where the gateway and its neighbours are.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub listen: SocketAddr,
    pub upstream: SocketAddr,
    pub issuer: SocketAddr,
    pub redis: u16,
}

/// Makes a certificate for the gateway with TLS.
pub fn certificate(folder: &Path) -> Result<(), Error> {
    let output = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost",
            "-days",
            "2",
            "-keyout",
            "server.key",
            "-out",
            "server.pem",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into()),
    }
}
