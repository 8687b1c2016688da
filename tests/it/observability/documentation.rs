//! The page about observability lists what there is, and the files for Prometheus and Grafana use nothing else.

use std::{collections::BTreeSet, fs};

use dpop_conformance::documentation::repository;
use dpop_tower::telemetry::{Metric, MetricKind};
use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

fn page() -> String {
    read("docs/observability.md")
}

/// Returns the cells of the rows whose first cell is a name in backticks, below a heading.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let (_, section) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let cells = line.trim_matches('|').split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// Returns all names of metrics in a text, without the suffixes that Prometheus adds to histograms.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c));
    let ours = words.filter(|word| word.starts_with("dpop_") && !word.starts_with("dpop_tower"));
    ours.map(|name| {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix));
        base.unwrap_or(name).to_owned()
    })
    .collect()
}

#[test]
fn the_page_lists_each_metric_with_its_type_its_labels_and_its_unit() {
    let rows = rows(&page(), "Metrics");
    let expected: Vec<_> = Metric::ALL
        .iter()
        .map(|metric| {
            let kind = match metric.kind() {
                MetricKind::Counter => "counter",
                MetricKind::Gauge => "gauge",
                _ => "histogram",
            };
            let labels: Vec<_> = (metric.label_names().iter())
                .map(|label| format!("`{label}`"))
                .collect();
            let labels = match &*labels {
                [] => "none".to_owned(),
                labels => labels.join(", "),
            };
            let unit = metric.unit().unwrap_or("none");
            [&format!("`{}`", metric.name()), kind, &labels, unit].map(str::to_owned)
        })
        .collect();
    let listed: Vec<_> = rows.iter().map(|row| &row[..4]).collect();
    assert_eq!(listed, expected);
}

#[test]
fn names_of_metrics_follow_the_conventions_of_prometheus() {
    for metric in Metric::ALL {
        let name = metric.name();
        let is_counter = metric.kind() == MetricKind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        assert_eq!(
            name.ends_with("_seconds"),
            metric.unit().is_some(),
            "{name}"
        );
        let is_histogram = metric.kind() == MetricKind::Histogram;
        assert_eq!(metric.buckets().is_some(), is_histogram, "{name}");
        let buckets = metric.buckets().unwrap_or_default();
        assert!(buckets.is_sorted_by(|a, b| a < b), "{name}");
        assert!(metric.label_names().is_sorted(), "{name}");
    }
}

#[test]
fn the_page_lists_each_field_of_the_span() {
    let source = read("dpop-tower/src/verifier/trace.rs");
    let (_, span) = source.split_once("\"dpop.verify\",").unwrap();
    let (span, _) = span.split_once("\n            ),").unwrap();
    let in_source: BTreeSet<_> = span
        .lines()
        .filter_map(|line| Some(line.split_once(" = ")?.0.trim().to_owned()))
        .collect();
    let listed = rows(&page(), "The span").into_iter();
    let listed: BTreeSet<_> = listed
        .map(|row| row[0].trim_matches('`').to_owned())
        .collect();
    assert_eq!(in_source.len(), 6);
    assert_eq!(in_source, listed);
}

#[test]
fn each_line_that_the_page_lists_is_in_the_source() {
    let mut source = String::new();
    let mut folders = vec![repository().join("dpop-tower/src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => source += &fs::read_to_string(path).unwrap(),
            }
        }
    }
    let rows = rows(&page(), "The log");
    assert!(rows.len() > 10);
    for row in rows {
        let line = row[0].trim_matches('`');
        assert!(source.contains(line), "{line}");
        let target = row[2].trim_matches('`');
        let module = target.trim_start_matches("dpop_tower::");
        let folder = repository().join("dpop-tower/src").join(module);
        assert!(
            folder.exists() || folder.with_extension("rs").exists(),
            "{target}"
        );
    }
}

#[test]
fn the_dashboard_and_the_alerts_use_only_metrics_that_there_are() {
    let known: BTreeSet<_> = Metric::ALL
        .iter()
        .map(|metric| metric.name().to_owned())
        .collect();
    let (dashboard, alerts) = (
        read("examples/observability/dashboard.json"),
        read("examples/observability/alerts.yml"),
    );
    serde_json::from_str::<Value>(&dashboard).unwrap();
    let page = page();
    for (file, text, least) in [
        ("dashboard", &dashboard, 8),
        ("alerts", &alerts, 5),
        ("page", &page, Metric::ALL.len()),
    ] {
        let used = names(text);
        assert!(used.len() >= least, "{file}: {used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
    for line in alerts.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            assert!(
                page.contains(&format!("`{name}`")),
                "{name} is not on the page"
            );
        }
    }
}
