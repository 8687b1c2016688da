//! Servers as processes, and the processor time that they use.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    param::clock_ticks_per_second,
    process::{Pid, Signal, kill_process},
};
use tempfile::TempDir;

use super::{Error, GENERATOR_CORE, SERVER_CORE};

/// A server that is stopped when this value is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Removed after the server has exited.
    _directory: Option<TempDir>,
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command` on the servers' core and sends it `setup`. The server answers with its address.
    pub fn start(command: &[String], setup: &str) -> Result<Self, Error> {
        Self::start_with(&[], command, setup)
    }

    /// Starts `command` with these variables in its environment as well.
    pub fn start_with(
        variables: &[(&str, &str)],
        command: &[String],
        setup: &str,
    ) -> Result<Self, Error> {
        let mut child = Command::new("taskset")
            .args(["-c", SERVER_CORE])
            .args(command)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let mut told = Ok(());
        if let Some(mut input) = child.stdin.take() {
            told = writeln!(input, "{setup}");
        }
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        // The address may be missing. The child is stopped even then.
        let mut server = Self {
            child,
            _directory: None,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        told?;
        let address = line.trim().parse();
        server.address = address.map_err(|_| format!("{command:?} has not started"))?;
        Ok(server)
    }

    /// Waits for a running server that does not report its address, until it listens at `address`.
    pub fn wait(child: Child, address: SocketAddr, directory: TempDir) -> Result<Self, Error> {
        let mut server = Self {
            child,
            _directory: Some(directory),
            address,
        };
        let begin = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server has ended: {status}").into());
            }
            if begin.elapsed() > Duration::from_secs(30) {
                return Err("the server does not listen".into());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Returns the processor time that the server and its children have used so far.
    pub fn cpu_time(&self) -> Result<Duration, Error> {
        cpu_time_of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have exited by itself. It has not been reaped, so the ID cannot belong to another
            // process.
            let _ = kill_process(pid, Signal::TERM);
        }
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begin.elapsed() > Duration::from_secs(10) {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Restricts this process to the generator's core.
pub fn stay_on_core() -> Result<(), Error> {
    let pid = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["-a", "-c", "-p", GENERATOR_CORE, &pid]);
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).into())
}

/// Returns the processor time that all processes which this one has started have used so far, with their children.
pub fn children_cpu_time() -> Result<Duration, Error> {
    Ok(cpu_time_of(std::process::id())?.saturating_sub(own_cpu_time()?))
}

fn cpu_time_of(root: u32) -> Result<Duration, Error> {
    let processes = processes()?;
    let mut of_it = vec![root];
    let mut next = 0;
    let mut ticks = 0;
    while let Some(&pid) = of_it.get(next) {
        next += 1;
        ticks += processes.get(&pid).ok_or("the process has ended")?.ticks;
        let children = processes.iter().filter(|(_, child)| child.parent == pid);
        of_it.extend(children.map(|(pid, _)| *pid));
    }
    Ok(duration(ticks))
}

/// Returns the processor time that this process has used so far.
pub fn own_cpu_time() -> Result<Duration, Error> {
    let processes = processes()?;
    let own = processes
        .get(&std::process::id())
        .ok_or("no such process")?;
    Ok(duration(own.ticks))
}

/// Returns the processor time that all processes have used so far, on all processors.
pub fn all_cpu_time() -> Result<Duration, Error> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let numbers: Vec<u64> = line
        .split(' ')
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; the time of guests is included in user.
    let busy = numbers.iter().take(8).sum::<u64>() - numbers.iter().skip(3).take(2).sum::<u64>();
    Ok(duration(busy))
}

struct Process {
    parent: u32,
    ticks: u64,
}

fn processes() -> Result<HashMap<u32, Process>, Error> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // It may have exited meanwhile.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        // The name in parentheses may contain anything. The fields after it, from the state on, do not.
        let (_, stat) = stat.rsplit_once(") ").ok_or("/proc has changed")?;
        let fields: Vec<&str> = stat.split(' ').collect();
        let number = |index: usize| -> Result<u64, Error> {
            Ok(fields.get(index).ok_or("/proc has changed")?.parse()?)
        };
        let process = Process {
            parent: u32::try_from(number(1)?)?,
            // utime and stime.
            ticks: number(11)? + number(12)?,
        };
        processes.insert(pid, process);
    }
    Ok(processes)
}

fn duration(ticks: u64) -> Duration {
    Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64)
}
