//! Rows whose policy is never in force alone.

use http::Method;

use super::{Choice, Entry, PolicyTable};
use crate::policy::Policy;

/// No fixed segment of a pattern is likely to have this text.
const PARAMETER: &str = "dpop-tower-parameter";
/// No row is likely to list this method.
const OTHER_METHOD: &[u8] = b"DPOP-TOWER-METHOD";

impl PolicyTable {
    /// Describes each row that only applies together with rows that require more.
    pub(super) fn covered_rows(&self) -> Vec<String> {
        let entries = self.entries.iter();
        let rows = entries.flat_map(|entry| entry.rows().map(move |row| (entry, row)));
        rows.filter_map(|(entry, row)| self.covered(entry, row))
            .collect()
    }

    fn covered(&self, entry: &Entry, row: usize) -> Option<String> {
        // A narrower row cannot match every path of a wider one, so one example shows what applies to the others.
        let (method, path) = (entry.method_of(row)?, entry.pattern.example(PARAMETER));
        let Choice::Rows(mut rows) = self.choose(&method, &path).ok()? else {
            return None;
        };
        let policy = self.policies.get(row)?;
        rows.with_fallback = false;
        let together = rows.policy(self, &Policy::off()).to_string();
        if !rows.rows.contains(&row) || together == policy.to_string() {
            return None;
        }
        let label = entry.label(row);
        Some(format!(
            "the policy of `{label}` ({policy}) is never in force alone, because servers may read its paths as those \
             of other rows, whose policies apply as well: {}",
            self.labels_of(&rows.rows, row)
        ))
    }

    /// Returns the methods and the patterns of these rows without `except`.
    fn labels_of(&self, rows: &[usize], except: usize) -> String {
        let entries = self.entries.iter();
        let labels = entries
            .flat_map(|entry| entry.rows().map(move |row| (entry, row)))
            .filter(|(_, row)| *row != except && rows.contains(row))
            .map(|(entry, row)| format!("`{}`", entry.label(row)));
        labels.collect::<Vec<_>>().join(" and ")
    }
}

impl Entry {
    /// Returns a method that the row is for.
    fn method_of(&self, row: usize) -> Option<Method> {
        let mut by_method = self.by_method.iter();
        let listed = by_method.find(|(_, listed)| *listed == row);
        match listed {
            Some((method, _)) => Some(method.clone()),
            None => Method::from_bytes(OTHER_METHOD).ok(),
        }
    }
}
