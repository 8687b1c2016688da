//! Draws the results: `plot RESULTS DIRECTORY`.

use std::{collections::BTreeMap, env, error::Error, fs, path::Path};

use dpop_tower_performance::results;
use plotters::{
    prelude::{DrawingBackend, IntoDrawingArea as _, RGBColor, Rectangle, SVGBackend, Text, WHITE},
    style::{Color as _, IntoFont as _},
};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WIDTH: i32 = 760;
const ROW: i32 = 30;
const LABELS: i32 = 300;
const BAR: i32 = 18;

const INK: RGBColor = RGBColor(0x22, 0x2b, 0x38);
const FAINT: RGBColor = RGBColor(0x6b, 0x76, 0x85);
const OURS: RGBColor = RGBColor(0x2f, 0x6d, 0xb5);
const RAW: RGBColor = RGBColor(0xa9, 0xb8, 0xc9);
const PARTS: [RGBColor; 7] = [
    RGBColor(0x2f, 0x6d, 0xb5),
    RGBColor(0x4c, 0x9f, 0x70),
    RGBColor(0xd9, 0x8e, 0x32),
    RGBColor(0x8a, 0x63, 0xb0),
    RGBColor(0xc4, 0x5a, 0x5a),
    RGBColor(0x3c, 0x9a, 0xa8),
    RGBColor(0x8d, 0x8a, 0x3a),
];

struct Bar {
    label: String,
    value: f64,
    text: String,
    colour: RGBColor,
}

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let (Some(results), Some(target)) = (arguments.next(), arguments.next()) else {
        return Err("usage: plot RESULTS DIRECTORY".into());
    };
    let (results, target) = (Path::new(&results), Path::new(&target));
    fs::create_dir_all(target)?;
    // Part of the results can be drawn alone.
    if results.join("targets.jsonl").exists() {
        request(results, &target.join("request.svg"))?;
    }
    if results.join("criterion").exists() {
        stages(&results.join("criterion"), &target.join("stages.svg"))?;
    }
    if results.join("http.jsonl").exists() {
        http(results, &target.join("http.svg"))?;
    }
    if results.join("stores.jsonl").exists() {
        stores(results, &target.join("stores.svg"))?;
    }
    Ok(())
}

/// Plots a whole request next to the raw signature check.
fn request(results: &Path, path: &Path) -> Result<()> {
    let mut bars = Vec::new();
    for row in results::read(results, "targets")? {
        let (Some(case), Some(median)) = (row["case"].as_str(), row["median_us"].as_f64()) else {
            continue;
        };
        let ratio = row["ratio"].as_f64();
        let ratio_text = ratio.map_or_else(String::new, |ratio| format!("   {ratio:.2} x"));
        bars.push(Bar {
            label: format!("{}, {case}", row["backend"].as_str().unwrap_or_default()),
            value: median,
            text: format!("{median:.1} us{ratio_text}"),
            colour: if ratio.is_some() { OURS } else { RAW },
        });
    }
    draw(
        path,
        "One request through the layer, and one signature check",
        "median, one thread, microseconds; x: times the raw check by the same backend",
        &bars,
    )
}

/// Plots criterion's results for each stage that contains no signature check.
fn stages(criterion: &Path, path: &Path) -> Result<()> {
    let mut bars = Vec::new();
    for (directory, label) in [
        ("parsing/ath", "hash of the token (ath)"),
        ("parsing/htu", "one htu, parsed"),
        ("parsing/key and thumbprint", "key and thumbprint"),
        (
            "parsing/proof, all but the signature",
            "proof: all but the signature",
        ),
        (
            "unbound token, aws-lc-rs/ES256, known",
            "whole request, known bearer token",
        ),
        ("replay store/insertion", "replay store: insertion"),
    ] {
        let file = criterion.join(directory).join("new/estimates.json");
        let text =
            fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let estimates: Value = serde_json::from_str(&text)?;
        let nanoseconds = estimates["median"]["point_estimate"].as_f64();
        let value = nanoseconds.ok_or("criterion has no median")? / 1000.0;
        bars.push(Bar {
            label: label.to_owned(),
            value,
            text: format!("{value:.2} us"),
            colour: PARTS[bars.len() % PARTS.len()],
        });
    }
    draw(
        path,
        "What does not need a signature check",
        "median, microseconds",
        &bars,
    )
}

/// Plots the cost of a request for each server. Requests per second are next to it as numbers: as bars,
/// those of all servers that check anything would be short next to axum alone.
fn http(results: &Path, path: &Path) -> Result<()> {
    let mut servers: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for row in results::read(results, "http")? {
        if let (Some(name), Some(cpu), Some(rate)) = (
            row["server"].as_str(),
            row["cpu_us_per_request"].as_f64(),
            row["requests_per_second"].as_f64(),
        ) && row["protocol"] == "http/1.1"
        {
            let [cpus, rates] = servers.entry(name.to_owned()).or_default();
            cpus.push(cpu);
            rates.push(rate);
        }
    }
    let mut bars: Vec<Bar> = servers
        .into_iter()
        .map(|(label, [cpus, rates])| {
            let (value, rate) = (median(cpus), median(rates));
            Bar {
                colour: if label.contains("dpop-tower") {
                    OURS
                } else {
                    RAW
                },
                text: format!("{value:.0} us, {rate:.0}/s"),
                label,
                value,
            }
        })
        .collect();
    bars.sort_by(|one, other| one.value.total_cmp(&other.value));
    draw(
        path,
        "One request over HTTP/1.1, server on one core",
        "processor time of the server, microseconds, and requests a second; medians of the runs",
        &bars,
    )
}

/// Plots the requests per second of a node with each replay store, and what its clients wait at half that rate.
fn stores(results: &Path, path: &Path) -> Result<()> {
    let mut stores: BTreeMap<String, [Vec<f64>; 2]> = BTreeMap::new();
    for row in results::read(results, "stores")? {
        if let (Some(name), Some(rate), Some(p99)) = (
            row["store"].as_str(),
            row["requests_per_second"].as_f64(),
            row["half_p99_us"].as_f64(),
        ) {
            let [rates, p99s] = stores.entry(name.to_owned()).or_default();
            rates.push(rate);
            p99s.push(p99);
        }
    }
    let mut bars: Vec<Bar> = stores
        .into_iter()
        .map(|(label, [rates, p99s])| {
            let (value, p99) = (median(rates), median(p99s) / 1000.0);
            Bar {
                colour: if label == "memory" { RAW } else { OURS },
                text: format!("{value:.0}/s, {p99:.1} ms"),
                label,
                value,
            }
        })
        .collect();
    bars.sort_by(|one, other| other.value.total_cmp(&one.value));
    draw(
        path,
        "One node over HTTP/1.1 with each replay store",
        "requests a second on one core, and 99 % within at half of it; medians of the runs",
        &bars,
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn draw(path: &Path, title: &str, subtitle: &str, bars: &[Bar]) -> Result<()> {
    let rows = i32::try_from(bars.len())?;
    let height = 70 + rows * ROW + 10;
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32| ("sans-serif", size).into_font();
    let (ink, faint) = (font(17).color(&INK), font(16).color(&FAINT));
    let heading = font(22).color(&INK);
    area.draw(&Text::new(title.to_owned(), (16, 14), heading))?;
    area.draw(&Text::new(subtitle.to_owned(), (16, 40), faint))?;
    let longest = bars
        .iter()
        .map(|bar| bar.value)
        .fold(f64::MIN_POSITIVE, f64::max);
    for (row, bar) in (0..).zip(bars) {
        let top = 70 + row * ROW;
        let room = f64::from(WIDTH - LABELS - 170);
        #[expect(clippy::cast_possible_truncation, reason = "it is a number of pixels")]
        let length = (bar.value / longest * room).max(1.0) as i32;
        area.draw(&Text::new(bar.label.clone(), (16, top + 3), ink.clone()))?;
        let corners = [(LABELS, top), (LABELS + length, top + BAR)];
        area.draw(&Rectangle::new(corners, bar.colour.filled()))?;
        let beside = (LABELS + length + 8, top + 3);
        area.draw(&Text::new(bar.text.clone(), beside, ink.clone()))?;
    }
    finish(&area)
}

fn finish<B: DrawingBackend>(
    area: &plotters::drawing::DrawingArea<B, plotters::coord::Shift>,
) -> Result<()>
where
    B::ErrorType: 'static,
{
    area.present()?;
    Ok(())
}
