//! Results for the table and the plots, as lines of JSON.

use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

/// Returns the directory for the results of this run, `DPOP_RESULTS`, if it is set.
fn directory() -> Option<PathBuf> {
    env::var_os("DPOP_RESULTS").map(PathBuf::from)
}

/// Records a result under the name of the measuring program.
pub fn record(program: &str, row: &Value) -> io::Result<()> {
    let Some(directory) = directory() else {
        return Ok(());
    };
    fs::create_dir_all(&directory)?;
    let path = directory.join(format!("{program}.jsonl"));
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    writeln!(file, "{row}")
}

/// Returns the results of a program.
pub fn read(directory: &Path, program: &str) -> io::Result<Vec<Value>> {
    let file = File::open(directory.join(format!("{program}.jsonl")))?;
    let lines = BufReader::new(file).lines();
    lines
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect()
}

/// Describes the machine.
pub fn machine() -> Value {
    let first = |path: &str, key: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        let value = line.split_once(':').map_or("", |(_, value)| value);
        value.trim().to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "processor": first("/proc/cpuinfo", "model name"),
        "processors": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": kernel.trim(),
        "has_sha_instructions": first("/proc/cpuinfo", "flags").split(' ').any(|flag| flag == "sha_ni"),
    })
}
