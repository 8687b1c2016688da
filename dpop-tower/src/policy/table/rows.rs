use super::{Policy, PolicyTable};

/// Rows that apply together.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(super) rows: Vec<usize>,
    pub(super) with_fallback: bool,
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

    pub(super) fn add_fallback(&mut self) {
        self.with_fallback = true;
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

    pub(crate) fn rows(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().copied()
    }

    pub(crate) const fn with_fallback(&self) -> bool {
        self.with_fallback
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
