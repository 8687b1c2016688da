//! The rules of the contract, and what a check of them yields.

use std::{error::Error, fmt};

use super::history::Call;

/// A rule in the documentation of [`ReplayStore`](crate::replay::ReplayStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Rule 1: of any number of concurrent calls for one proof, exactly one returns `Fresh`.
    Atomic,
    /// Rule 2: client key and `jti` identify a proof, and nothing else does.
    KeyedByBoth,
    /// Rule 3: a full store forgets nothing that is live.
    LiveEntriesStay,
    /// Rule 4: a proof is remembered until an instant, which a replay does not move.
    ExpiryIsAnInstant,
    /// Rule 5: an expired proof is not fresh.
    ExpiredIsNotFresh,
    /// Rule 6: a store that cannot tell does not say `Fresh`.
    FailClosed,
    /// Rule 7: the store is bounded, and nobody can take all of it.
    Bounded,
    /// Rule 8: a store with a fence loses no record unseen.
    NoRecordLostUnseen,
    /// Rule 9: the store has one set of windows.
    OneSetOfWindows,
    /// Rule 10: a call that is dropped takes no record away.
    CancelSafe,
}

impl Rule {
    /// All rules, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Atomic,
        Self::KeyedByBoth,
        Self::LiveEntriesStay,
        Self::ExpiryIsAnInstant,
        Self::ExpiredIsNotFresh,
        Self::FailClosed,
        Self::Bounded,
        Self::NoRecordLostUnseen,
        Self::OneSetOfWindows,
        Self::CancelSafe,
    ];

    /// Returns the number of the rule in the documentation of [`ReplayStore`](crate::replay::ReplayStore).
    pub const fn number(self) -> u8 {
        match self {
            Self::Atomic => 1,
            Self::KeyedByBoth => 2,
            Self::LiveEntriesStay => 3,
            Self::ExpiryIsAnInstant => 4,
            Self::ExpiredIsNotFresh => 5,
            Self::FailClosed => 6,
            Self::Bounded => 7,
            Self::NoRecordLostUnseen => 8,
            Self::OneSetOfWindows => 9,
            Self::CancelSafe => 10,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Atomic => "atomic",
            Self::KeyedByBoth => "keyed by both",
            Self::LiveEntriesStay => "live entries stay",
            Self::ExpiryIsAnInstant => "expiry is an instant",
            Self::ExpiredIsNotFresh => "expired proofs are not fresh",
            Self::FailClosed => "fail closed",
            Self::Bounded => "bounded",
            Self::NoRecordLostUnseen => "no record lost unseen",
            Self::OneSetOfWindows => "one set of windows",
            Self::CancelSafe => "cancel safe",
        }
    }
}

/// Shows the number and the title.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} ({})", self.number(), self.title())
    }
}

/// How a check ended that found nothing wrong.
pub(super) enum Coverage {
    Checked,
    /// The rest, which could not be checked, and why.
    Without(Vec<&'static str>),
}

/// The rules that a store keeps, as far as they were checked.
#[derive(Clone, Debug, Default)]
pub struct Report {
    unchecked: Vec<(Rule, &'static str)>,
}

impl Report {
    pub(super) fn add(&mut self, rule: Rule, coverage: Coverage) {
        if let Coverage::Without(rest) = coverage {
            self.unchecked
                .extend(rest.into_iter().map(|why| (rule, why)));
        }
    }

    /// Returns what was not checked because the fixture or the store does not provide for it, and the reason.
    ///
    /// Compare it in your test, so that no check is left out by mistake.
    pub fn unchecked(&self) -> impl Iterator<Item = (Rule, &'static str)> {
        self.unchecked.iter().copied()
    }
}

/// Shows what was not checked, one line each.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store keeps the rules that were checked")?;
        for (rule, why) in &self.unchecked {
            write!(f, "\n  not checked: {rule}: {why}")?;
        }
        Ok(())
    }
}

/// A rule that a store breaks, with the calls that show it.
///
/// `Debug` prints the same text as `Display`, in several lines, so a test can return this error.
pub struct Violation {
    rule: Rule,
    what: String,
    calls: Vec<Call>,
}

impl Violation {
    pub(super) fn new(rule: Rule, what: impl Into<String>, calls: Vec<Call>) -> Self {
        Self {
            rule,
            what: what.into(),
            calls,
        }
    }

    /// Names the fault during which the rule was broken.
    pub(super) fn during(mut self, fault: &str) -> Self {
        self.what = format!("{} (fault: {fault})", self.what);
        self
    }

    /// Returns the rule that is broken. If the fixture failed, it is the rule that was being checked.
    pub const fn rule(&self) -> Rule {
        self.rule
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)?;
        if !self.calls.is_empty() {
            f.write_str(
                "\nthe calls for this proof, with the instants at which they began and ended:",
            )?;
        }
        for call in &self.calls {
            write!(f, "\n  {call}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for Violation {}
