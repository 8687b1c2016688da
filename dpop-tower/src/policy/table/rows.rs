use super::{Policy, PolicyTable};

/// Rows that apply together.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<usize>,
    pub(crate) with_fallback: bool,
}

/// The rows that apply to a request.
#[derive(Debug)]
pub(crate) enum Choice {
    /// One row alone.
    Row(usize),
    Rows(Rows),
}

impl Rows {
    pub(super) fn add(&mut self, row: usize) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
    }

    /// Returns the policy that all of them make together.
    pub(crate) fn policy(&self, table: &PolicyTable, fallback: &Policy) -> Policy {
        let rows = self.rows.iter().filter_map(|row| table.policies.get(*row));
        let fallback = (self.with_fallback || self.rows.is_empty()).then_some(fallback);
        rows.chain(fallback)
            .cloned()
            .reduce(|all, policy| all.and(&policy))
            .unwrap_or_else(Policy::deny)
    }

    /// Returns the only row, or the fallback alone, and `None` if several policies apply.
    pub(crate) fn only(&self) -> Option<Option<usize>> {
        match (self.rows.as_slice(), self.with_fallback) {
            ([], _) => Some(None),
            ([row], false) => Some(Some(*row)),
            _ => None,
        }
    }
}
