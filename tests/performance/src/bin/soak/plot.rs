//! Draws the table: what the programs took, and what became of the requests.

use std::path::Path;

use dpop_tower_performance::load::Error;
use plotters::{
    prelude::{IntoDrawingArea as _, PathElement, RGBColor, Rectangle, SVGBackend, Text, WHITE},
    style::{Color as _, IntoFont as _},
};

use crate::record::Row;

const WIDTH: i32 = 860;
const LEFT: i32 = 70;
const RIGHT: i32 = 190;
const TOP: i32 = 76;
const PANEL: i32 = 130;
const GAP: i32 = 42;
/// How many points a line has at most.
const POINTS: usize = 400;

const INK: RGBColor = RGBColor(0x22, 0x2b, 0x38);
const FAINT: RGBColor = RGBColor(0x6b, 0x76, 0x85);
const GRID: RGBColor = RGBColor(0xdd, 0xe2, 0xe8);
const FAULT: RGBColor = RGBColor(0xf6, 0xdd, 0xcf);
const COLOURS: [RGBColor; 3] = [
    RGBColor(0x2f, 0x6d, 0xb5),
    RGBColor(0x4c, 0x9f, 0x70),
    RGBColor(0xd9, 0x8e, 0x32),
];

type Value = fn(&Row) -> Option<f64>;

struct Line {
    name: &'static str,
    value: Value,
}

struct Panel {
    title: String,
    /// Each step of the axis is ten times the one before.
    logarithmic: bool,
    lines: Vec<Line>,
}

fn panels(interval: f64) -> Vec<Panel> {
    let line = |name, value| Line { name, value };
    fn mib(kib: u64) -> Option<f64> {
        Some(kib as f64 / 1024.0)
    }
    /// In some intervals no request is admitted.
    fn measured(ms: f64) -> Option<f64> {
        (ms > 0.0).then_some(ms)
    }
    fn counted(row: &Row, name: &str) -> Option<f64> {
        Some(row.count(name) as f64)
    }
    vec![
        Panel {
            title: "resident memory, MiB".to_owned(),
            logarithmic: false,
            lines: vec![
                line("gateway", |row| mib(row.usage[0].memory)),
                line("gateway with TLS", |row| mib(row.usage[1].memory)),
                line("axum service", |row| mib(row.usage[2].memory)),
            ],
        },
        Panel {
            title: "open files and sockets".to_owned(),
            logarithmic: false,
            lines: vec![
                line("gateway", |row| Some(row.usage[0].handles as f64)),
                line("gateway with TLS", |row| Some(row.usage[1].handles as f64)),
                line("axum service", |row| Some(row.usage[2].handles as f64)),
            ],
        },
        Panel {
            title: "entries of the replay stores".to_owned(),
            logarithmic: false,
            lines: vec![
                line("Redis", |row| row.redis_entries.map(|n| n as f64)),
                line("memory", |row| Some(row.memory_entries as f64)),
            ],
        },
        Panel {
            title: match interval {
                seconds if seconds < 1.5 => "requests in a second".to_owned(),
                seconds => format!("requests in {seconds:.0} seconds"),
            },
            logarithmic: false,
            lines: vec![
                line("admitted", |row| {
                    Some((row.count("admitted") + row.count("admitted_api")) as f64)
                }),
                line("rejected", |row| counted(row, "rejected")),
                line("503 in a fault", |row| counted(row, "unavailable_in_fault")),
            ],
        },
        Panel {
            title: "99 % of the good requests within, ms".to_owned(),
            logarithmic: true,
            lines: vec![
                line("gateway", |row| measured(row.latencies[1])),
                line("axum service", |row| measured(row.latencies[3])),
            ],
        },
    ]
}

/// Draws the rows.
pub fn draw(rows: &[Row], path: &Path) -> Result<(), Error> {
    let interval = match rows {
        [.., before, last] => last.seconds - before.seconds,
        _ => 1.0,
    };
    let panels = panels(interval);
    let height = TOP + panels.len() as i32 * (PANEL + GAP) + 10;
    let area = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    area.fill(&WHITE)?;
    let font = |size: i32, colour: &RGBColor| ("sans-serif", size).into_font().color(colour);
    let end = rows.last().map_or(1.0, |row| row.seconds);
    let x = |seconds: f64| LEFT + (seconds / end * f64::from(WIDTH - LEFT - RIGHT)) as i32;
    area.draw(&Text::new(
        "An hour under mixed load".replace("An hour", &length(end)),
        (16, 14),
        font(22, &INK),
    ))?;
    let subtitle = "shaded: Redis is killed or stopped for some seconds";
    area.draw(&Text::new(subtitle, (16, 42), font(15, &FAINT)))?;
    let faults = faults(rows);
    for (number, panel) in (0..).zip(&panels) {
        let top = TOP + number * (PANEL + GAP) + 20;
        let bottom = top + PANEL;
        area.draw(&Text::new(
            panel.title.as_str(),
            (LEFT, top - 20),
            font(15, &INK),
        ))?;
        for (begin, end) in &faults {
            let (begin, end) = (x(*begin), x(*end).max(x(*begin) + 2));
            area.draw(&Rectangle::new(
                [(begin, top), (end, bottom)],
                FAULT.filled(),
            ))?;
        }
        let values = panel
            .lines
            .iter()
            .flat_map(|line| rows.iter().filter_map(line.value));
        let axis = Axis::new(values.fold(0.0, f64::max), panel.logarithmic);
        let y = |value: f64| bottom - (axis.part(value) * f64::from(PANEL)) as i32;
        for value in axis.ticks() {
            let line = vec![(LEFT, y(value)), (WIDTH - RIGHT, y(value))];
            area.draw(&PathElement::new(line, GRID.stroke_width(1)))?;
            let text = format!("{value}");
            let left = LEFT - 10 - 8 * i32::try_from(text.len())?;
            area.draw(&Text::new(text, (left, y(value) - 7), font(14, &FAINT)))?;
        }
        for (index, line) in panel.lines.iter().enumerate() {
            let every = rows.len().div_ceil(POINTS).max(1);
            let points: Vec<(i32, i32)> = rows
                .chunks(every)
                .filter_map(|rows| {
                    // The highest of some rows, so that no peak is left out.
                    let value = rows.iter().filter_map(line.value).reduce(f64::max)?;
                    Some((x(rows[0].seconds), y(value)))
                })
                .collect();
            area.draw(&PathElement::new(points, COLOURS[index].stroke_width(2)))?;
            let beside = (WIDTH - RIGHT + 14, top + 8 + index as i32 * 22);
            let mark = [(beside.0, beside.1 + 5), (beside.0 + 18, beside.1 + 9)];
            area.draw(&Rectangle::new(mark, COLOURS[index].filled()))?;
            area.draw(&Text::new(
                line.name,
                (beside.0 + 26, beside.1),
                font(15, &INK),
            ))?;
        }
        for part in 0..=4 {
            let seconds = end * f64::from(part) / 4.0;
            let text = match end >= 600.0 {
                true => format!("{:.0} min", seconds / 60.0),
                false => format!("{seconds:.0} s"),
            };
            area.draw(&Text::new(
                text,
                (x(seconds) - 14, bottom + 4),
                font(13, &FAINT),
            ))?;
        }
    }
    area.present()?;
    Ok(())
}

fn length(seconds: f64) -> String {
    match seconds >= 600.0 {
        true => format!("{:.0} minutes", seconds / 60.0),
        false => format!("{seconds:.0} seconds"),
    }
}

/// Returns when the store was out of reach. A row has the events of the time since the row before.
fn faults(rows: &[Row]) -> Vec<(f64, f64)> {
    let mut faults: Vec<(f64, f64)> = Vec::new();
    let mut begun = None;
    let mut before = 0.0;
    for row in rows {
        if row.events.contains("Redis killed") || row.events.contains("Redis stopped") {
            begun = Some(before);
        }
        if row.events.contains("Redis answers") || row.events.contains("Redis continued") {
            faults.push((begun.take().unwrap_or(before), row.seconds));
        }
        before = row.seconds;
    }
    faults
}

/// The values of a panel.
enum Axis {
    /// From zero to this.
    Linear(f64),
    /// From a tenth to ten to this power.
    Logarithmic(i32),
}

impl Axis {
    fn new(highest: f64, logarithmic: bool) -> Self {
        let power = highest.max(1.0).log10();
        if logarithmic {
            return Self::Logarithmic((power.ceil() as i32).max(1));
        }
        let power = 10_f64.powf(power.floor());
        let steps = [1.0, 2.0, 4.0, 5.0, 10.0];
        let step = steps.iter().find(|step| **step * power >= highest);
        Self::Linear(step.unwrap_or(&10.0) * power)
    }

    /// Returns how far up a value is, from 0 to 1.
    fn part(&self, value: f64) -> f64 {
        match self {
            Self::Linear(highest) => value / highest,
            Self::Logarithmic(power) => (value.max(0.1).log10() + 1.0) / f64::from(power + 1),
        }
    }

    fn ticks(&self) -> Vec<f64> {
        match self {
            Self::Linear(highest) => vec![0.0, highest / 2.0, *highest],
            Self::Logarithmic(power) => (-1..=*power).map(|power| 10_f64.powi(power)).collect(),
        }
    }
}
