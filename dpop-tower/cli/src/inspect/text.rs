//! A report as text for people.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::report::{Check, Item, Outcome, Report};

/// The column of the clauses.
const CLAUSE_COLUMN: usize = 46;

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

/// Writes text, in colours if the terminal has them.
struct Writer {
    text: String,
    colours: bool,
}

/// Returns the report as text.
pub(super) fn of(report: &Report, colours: bool) -> String {
    let mut writer = Writer {
        text: String::new(),
        colours,
    };
    for note in report.notes() {
        writer.line(0, &shown(note));
    }
    let is_long = report.items().len() > 1;
    for item in report.items() {
        writer.item(item, is_long && item.reason().is_none());
    }
    writer.verdict(report);
    writer.text
}

impl Writer {
    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    fn coloured(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("{colour}{text}{PLAIN}"),
            false => text.to_owned(),
        }
    }

    /// Writes one item. A short one has no list of checks and no claims.
    fn item(&mut self, item: &Item, is_short: bool) {
        if !self.text.is_empty() {
            self.line(0, "");
        }
        self.line(0, &shown(item.title()));
        if is_short {
            self.summary(item);
        } else {
            for check in item.checks() {
                self.check(check);
            }
        }
        for note in item.notes() {
            self.line(2, &format!("note: {}", shown(note)));
        }
        for jwt in item.decoded.iter().filter(|_| !is_short) {
            self.object(&format!("header of the {}", jwt.what), &jwt.header, 0);
            self.object(
                &format!("claims of the {}", jwt.what),
                &jwt.claims,
                jwt.omitted,
            );
        }
    }

    fn summary(&mut self, item: &Item) {
        let count = |outcome| {
            let checks = item.checks().iter();
            checks.filter(|check| check.outcome() == outcome).count()
        };
        let (passed, skipped) = (count(Outcome::Passed), count(Outcome::NotChecked));
        if passed > 0 {
            let mark = self.coloured(GREEN, "✓");
            let text = format!("{mark} {passed} checks pass, and {skipped} were not made");
            self.line(2, &text);
        }
    }

    fn check(&mut self, check: &Check) {
        let (mark, colour) = match check.outcome() {
            Outcome::Passed => ("✓", GREEN),
            Outcome::Failed => ("✗", RED),
            Outcome::NotChecked => ("–", DIM),
        };
        let mark = self.coloured(colour, mark);
        let name = check.name();
        let clause = self.coloured(DIM, check.clause());
        self.line(2, &format!("{mark} {name:CLAUSE_COLUMN$}{clause}"));
        if let Some(detail) = &check.detail {
            self.line(6, &shown(detail));
        }
        if let Some(fix) = check.fix() {
            self.line(6, &format!("to fix it: {fix}"));
        }
    }

    fn object(&mut self, what: &str, object: &Map<String, Value>, omitted: usize) {
        let more = match omitted {
            0 => String::new(),
            count => format!(" ({count} more: give --claims)"),
        };
        self.line(2, &format!("{what}{more}:"));
        for (name, value) in object {
            let (name, value) = (shown(name), shown(&value.to_string()));
            self.line(6, &format!("{name}: {value}"));
        }
    }

    fn verdict(&mut self, report: &Report) {
        self.line(0, "");
        let not_checked = report.not_checked();
        let rejected = match report.is_rejected_by_server() {
            true => "rejected by the server",
            false => "rejected",
        };
        match (report.reason(), report.clause()) {
            (Some(reason), Some(clause)) => {
                let text = format!("{rejected}: {reason} ({clause})");
                self.line(0, &self.coloured(RED, &text));
            }
            (Some(reason), None) => {
                self.line(0, &self.coloured(RED, &format!("{rejected}: {reason}")));
            }
            (None, _) if not_checked.is_empty() => self.line(0, &self.coloured(GREEN, "valid")),
            (None, _) => {
                self.line(0, &self.coloured(GREEN, "valid as far as it was checked"));
            }
        }
        for check in not_checked {
            let why = check.detail.as_deref().unwrap_or_default();
            self.line(0, &format!("not checked: {} ({why})", check.name()));
        }
    }
}

/// Escapes what could change the terminal or the direction of the text.
fn shown(text: &str) -> String {
    let is_bad = |char: char| {
        char.is_control()
            || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match is_bad(char) {
            true => shown.extend(char.escape_unicode()),
            false => shown.push(char),
        }
    }
    shown
}
