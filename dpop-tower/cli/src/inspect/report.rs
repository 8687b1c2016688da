//! The result of an inspection.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{reasons, rules::Rule, text};

/// The outcome of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The check passes.
    Passed,
    /// The check fails.
    Failed,
    /// The check was not made. The detail says why.
    NotChecked,
}

/// One check, with the clause that requires it.
#[derive(Clone, Debug)]
pub struct Check {
    pub(super) rule: Rule,
    pub(super) outcome: Outcome,
    pub(super) detail: Option<String>,
    /// The code of the library for a failed check, or the error code of a challenge.
    pub(super) reason: Option<&'static str>,
    /// Whether the check was not made because something was not given.
    pub(super) is_gap: bool,
}

impl Check {
    pub(super) const fn new(rule: Rule, outcome: Outcome) -> Self {
        Self {
            rule,
            outcome,
            detail: None,
            reason: None,
            is_gap: false,
        }
    }

    pub(super) const fn passed(rule: Rule) -> Self {
        Self::new(rule, Outcome::Passed)
    }

    pub(super) fn skipped(rule: Rule, why: impl Into<String>) -> Self {
        Self::new(rule, Outcome::NotChecked).detail(why)
    }

    /// A check that has to be made elsewhere before the verdict is complete.
    pub(super) fn gap(rule: Rule, why: impl Into<String>) -> Self {
        Self {
            is_gap: true,
            ..Self::skipped(rule, why)
        }
    }

    pub(super) fn failed(rule: Rule, reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            rule,
            outcome: Outcome::Failed,
            detail: Some(detail.into()),
            reason: Some(reason),
            is_gap: false,
        }
    }

    pub(super) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Returns what is checked.
    pub const fn name(&self) -> &'static str {
        self.rule.name()
    }

    /// Returns the clause that requires the check.
    pub const fn clause(&self) -> &'static str {
        self.rule.clause()
    }

    /// Returns the outcome.
    pub const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns the reason code of a failed check.
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns what to change if the check fails.
    pub fn fix(&self) -> Option<&'static str> {
        self.reason.and_then(reasons::fix)
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name(),
            "clause": self.clause(),
            "outcome": self.outcome,
            "detail": self.detail,
            "reason": self.reason,
            "fix": self.fix(),
        })
    }
}

/// A JWT as it was read, without its signature.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    pub(super) what: &'static str,
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// The number of claims that are left out.
    pub(super) omitted: usize,
}

/// One inspected thing: a proof, a token, a request, a response.
#[derive(Clone, Debug)]
pub struct Item {
    pub(super) title: String,
    pub(super) checks: Vec<Check>,
    pub(super) decoded: Vec<Decoded>,
    pub(super) notes: Vec<String>,
    pub(super) reason: Option<&'static str>,
    /// Whether a server has said the reason, and not the library.
    pub(super) is_by_server: bool,
    /// The nonce that the server gave.
    pub(super) nonce: Option<String>,
}

impl Item {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            checks: Vec::new(),
            decoded: Vec::new(),
            notes: Vec::new(),
            reason: None,
            is_by_server: false,
            nonce: None,
        }
    }

    /// Returns what was inspected.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the checks in the order in which the library makes them.
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }

    /// Returns the remarks that belong to no check.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the code of the reason for which the layer rejects this, or `None` if nothing is wrong.
    pub const fn reason(&self) -> Option<&'static str> {
        self.reason
    }

    /// Returns the clause of the check that fails.
    pub fn clause(&self) -> Option<&'static str> {
        let reason = self.reason?;
        let failed = (self.checks.iter()).find(|check| check.reason == Some(reason));
        failed.map(Check::clause)
    }

    fn to_json(&self) -> Value {
        let jwts: Vec<Value> = (self.decoded.iter())
            .map(|jwt| {
                json!({
                    "what": jwt.what,
                    "header": jwt.header,
                    "claims": jwt.claims,
                    "omitted_claims": jwt.omitted,
                })
            })
            .collect();
        json!({
            "title": self.title,
            "valid": self.reason.is_none(),
            "reason": self.reason,
            "clause": self.clause(),
            "checks": self.checks.iter().map(Check::to_json).collect::<Vec<_>>(),
            "decoded": jwts,
            "notes": self.notes,
        })
    }
}

/// What an inspection has found.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) input: &'static str,
    pub(super) items: Vec<Item>,
    pub(super) notes: Vec<String>,
}

impl Report {
    /// Returns what the input was taken for.
    pub const fn input(&self) -> &'static str {
        self.input
    }

    /// Returns what was inspected, in the order of the input.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Returns the remarks on the input as a whole.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Returns the code of the first reason for a rejection, or `None` if nothing is wrong.
    pub fn reason(&self) -> Option<&'static str> {
        self.first_rejected()?.reason
    }

    /// Returns the clause of the check that fails first.
    pub fn clause(&self) -> Option<&'static str> {
        self.first_rejected()?.clause()
    }

    /// Returns whether a server rejected the request, and the library found nothing wrong.
    pub fn is_rejected_by_server(&self) -> bool {
        self.first_rejected().is_some_and(|item| item.is_by_server)
    }

    fn first_rejected(&self) -> Option<&Item> {
        self.items.iter().find(|item| item.reason.is_some())
    }

    /// Returns the checks that were not made because something was not given.
    pub fn not_checked(&self) -> Vec<&Check> {
        let mut found: Vec<&Check> = Vec::new();
        for check in self.items.iter().flat_map(|item| &item.checks) {
            if check.is_gap && !found.iter().any(|other| other.rule == check.rule) {
                found.push(check);
            }
        }
        found
    }

    /// Returns the report as text for people.
    ///
    /// Characters of the input that could control a terminal are escaped.
    pub fn to_text(&self, colours: bool) -> String {
        text::of(self, colours)
    }

    /// Returns the report as one JSON object.
    pub fn to_json(&self) -> Value {
        let not_checked: Vec<&str> = self
            .not_checked()
            .iter()
            .map(|check| check.name())
            .collect();
        json!({
            "input": self.input,
            "valid": self.reason().is_none(),
            "reason": self.reason(),
            "clause": self.clause(),
            "not_checked": not_checked,
            "items": self.items.iter().map(Item::to_json).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}
