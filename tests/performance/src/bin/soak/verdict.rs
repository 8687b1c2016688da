//! What fails a run, and its summary.

use std::{fs, time::Duration};

use serde_json::{Value, json};

use dpop_tower_performance::{load::Error, results};

use crate::{
    api,
    logs::Log,
    programs::{REFRESH_AFTER, Usage},
    record::Row,
    state::State,
};

const PROGRAMS: [&str; 3] = ["gateway", "gateway with TLS", "axum service"];

/// The memory that an entry of the store in memory may take, in bytes; see docs/performance.md.
const BYTES_PER_ENTRY: u64 = 90;
/// By how much memory may differ between two measurements of a program that does not grow, in KiB. In a long run,
/// this is what the slope over its second half may add in that time.
const NOISE: f64 = 2048.0;
const NOISE_RATIO: f64 = 0.05;
/// The same in a short run, whose caches are still filling.
const NOISE_OF_SHORT_RUN: f64 = 16384.0;

/// What the programs take before the load, and after it.
#[derive(Debug)]
pub struct Ends {
    pub idle: Vec<Usage>,
    pub end: Vec<Usage>,
    /// The tasks of the axum service after the load.
    pub tasks: u64,
    /// The processor time of the programs with Redis, and of this program.
    pub cpu: (Duration, Duration),
}

/// Checks what has been recorded, writes the summary, and returns whether nothing failed.
pub fn judge(state: &State, ends: &Ends, logs: &[Log]) -> Result<bool, Error> {
    let mut verdicts = Vec::new();
    let mut check = |name: String, value: f64, limit: f64| verdicts.push((name, value, limit));
    let record = state.record.borrow();
    let rows = &record.rows;
    let (first, last) = rows.split_at(rows.len() / 2);
    let settled = &first[first.len() / 2..];
    let end = &last[last.len() / 2..];
    let middle = |rows: &[Row], of: &dyn Fn(&Row) -> u64| {
        let mut values: Vec<u64> = rows.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or_default() as f64
    };
    for (index, program) in PROGRAMS.iter().enumerate() {
        let memory = |row: &Row| row.usage[index].memory;
        let before = middle(settled, &memory);
        if state.settings.is_long() {
            let points: Vec<_> = last
                .iter()
                .map(|row| (row.seconds, memory(row) as f64))
                .collect();
            let growth = slope(&points) * (last[last.len() - 1].seconds - last[0].seconds);
            let limit = NOISE.max(before * NOISE_RATIO);
            check(
                format!("{program}: KiB added in the second half, by its slope"),
                growth,
                limit,
            );
        } else {
            let growth = middle(end, &memory) - before;
            let entries = if index == 2 {
                api::CAPACITY as u64 * BYTES_PER_ENTRY / 1024
            } else {
                0
            };
            check(
                format!("{program}: KiB from the second quarter to the last"),
                growth,
                NOISE_OF_SHORT_RUN + entries as f64,
            );
        }
        let threads = |row: &Row| row.usage[index].threads;
        check(
            format!("{program}: threads from the second quarter to the last"),
            middle(end, &threads) - middle(settled, &threads),
            1.0,
        );
        check(
            format!("{program}: handles after the load, more than before it"),
            ends.end[index].handles as f64 - ends.idle[index].handles as f64,
            0.0,
        );
    }
    let tasks = |row: &Row| row.api_tasks;
    check(
        "axum service: tasks from the second quarter to the last".to_owned(),
        middle(end, &tasks) - middle(settled, &tasks),
        10.0,
    );
    // The connection that asks is one.
    check(
        "axum service: tasks after the load".to_owned(),
        ends.tasks as f64,
        2.0,
    );
    let most = |of: &dyn Fn(&Row) -> u64| rows.iter().map(of).max().unwrap_or_default() as f64;
    check(
        "entries of the store in memory".to_owned(),
        most(&|row| row.memory_entries),
        api::CAPACITY as f64,
    );
    check("failures".to_owned(), record.total("failures") as f64, 0.0);

    // A run in which something has not happened says nothing about it.
    let missing = |name: &str, count: u64| {
        (
            format!("{name}: none"),
            if count == 0 { 1.0 } else { 0.0 },
            0.0,
        )
    };
    for name in [
        "admitted",
        "admitted_tls",
        "admitted_api",
        "challenged",
        "unavailable_in_fault",
        "rejected",
        "replays_rejected",
        "flood_admitted",
        "flood_limited",
        "hostile",
        "hung_up",
        "status_431",
    ] {
        verdicts.push(missing(name, record.total(name)));
    }
    for event in [
        "Redis answers",
        "Redis continued",
        "issuer up",
        "issuer works",
        "files changed",
        "old key must be unknown",
    ] {
        verdicts.push(missing(
            event,
            record.event_counts.get(event).copied().unwrap_or_default(),
        ));
    }
    let withdrawn = record
        .reasons
        .keys()
        .filter(|(kind, _)| *kind == "withdrawn key")
        .count();
    verdicts.push(missing("requests with a withdrawn key", withdrawn as u64));
    let changes = record
        .event_counts
        .get("files changed")
        .copied()
        .unwrap_or_default();
    for log in &logs[..2] {
        verdicts.push(missing(
            "reloads in a log",
            log.reloads.saturating_sub(changes),
        ));
        verdicts.push(missing("reload errors in a log", log.reload_errors));
    }

    let good = verdicts.iter().all(|(_, value, limit)| value <= limit);
    let verdict = |(name, value, limit): &(String, f64, f64)| {
        let passed = value <= limit;
        if !name.ends_with(": none") || !passed {
            println!(
                "{} {name}: {value:.0} (at most {limit:.0})",
                if passed { "ok    " } else { "FAILED" }
            );
        }
        json!({ "name": name, "value": value, "limit": limit, "passed": passed })
    };
    let verdicts: Vec<Value> = verdicts.iter().map(verdict).collect();
    for failure in &record.failures {
        println!("FAILED {failure}");
    }
    let count = |name: &str| record.total(name);
    let counts: serde_json::Map<_, _> = crate::record::COUNTS
        .iter()
        .map(|name| ((*name).to_owned(), count(name).into()))
        .collect();
    let usage = |usages: &[Usage]| -> Vec<Value> {
        let usage = |usage: &Usage| json!({ "memory_kib": usage.memory, "handles": usage.handles, "threads": usage.threads });
        usages.iter().map(usage).collect()
    };
    let reasons: Vec<Value> = record
        .reasons
        .iter()
        .map(|((kind, reason), count)| json!({ "kind": kind, "reason": reason, "count": count }))
        .collect();
    let highest = |index: usize| {
        json!({
            "memory_kib": most(&|row| row.usage[index].memory),
            "handles": most(&|row| row.usage[index].handles),
            "threads": most(&|row| row.usage[index].threads),
        })
    };
    let summary = json!({
        "machine": results::machine(),
        "seconds": record.elapsed().as_secs(),
        "good_per_second": state.settings.rate,
        "max_age": state.settings.max_age,
        "leeway": state.settings.leeway,
        "refresh_after": REFRESH_AFTER,
        "seconds_of_store_faults": state.windows.borrow().total().as_secs(),
        "passed": good,
        "verdicts": verdicts,
        "failures": record.failures,
        "counts": counts,
        "events": record.event_counts,
        "reasons": reasons,
        "before": usage(&ends.idle),
        "after": usage(&ends.end),
        "highest": [highest(0), highest(1), highest(2)],
        "log_lines": logs.iter().map(|log| log.lines).collect::<Vec<_>>(),
        "gateway_ms": [record.quantile(false, 0.5), record.quantile(false, 0.99), record.quantile(false, 0.999)],
        "api_ms": [record.quantile(true, 0.5), record.quantile(true, 0.99), record.quantile(true, 0.999)],
        "cpu_seconds": [ends.cpu.0.as_secs(), ends.cpu.1.as_secs()],
    });
    fs::write(
        state.settings.results.join("soak.json"),
        serde_json::to_string_pretty(&summary)?,
    )?;
    println!(
        "{}: {} admitted by the gateways, {} by the axum service, {} rejected, {} challenged, {} unavailable in faults, \
         {} replays rejected, {} hung up",
        if good { "passed" } else { "FAILED" },
        count("admitted") + count("admitted_tls"),
        count("admitted_api"),
        count("rejected"),
        count("challenged"),
        count("unavailable_in_fault"),
        count("replays_rejected"),
        count("hung_up"),
    );
    Ok(good)
}

/// Fits a line through the points, and returns its slope.
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for point in points {
        covariance += (point.0 - x) * (point.1 - y);
        variance += (point.0 - x).powi(2);
    }
    if variance == 0.0 {
        0.0
    } else {
        covariance / variance
    }
}
