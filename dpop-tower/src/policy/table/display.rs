use std::fmt;

use http::Method;

use super::{Entry, PolicyTable};

/// Writes a line for each row, in the order in which they were added, and one for other requests.
///
/// It is for humans, and may change with every version.
impl fmt::Display for PolicyTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (label, policy) in self.labels().zip(&self.policies) {
            writeln!(f, "{label}: {policy}")?;
        }
        match &self.otherwise {
            Some(policy) => write!(f, "other requests: {policy}"),
            None => f.write_str("other requests: the policy of the configuration"),
        }
    }
}

impl PolicyTable {
    /// Returns the methods and the pattern of each row.
    pub(crate) fn labels(&self) -> impl Iterator<Item = String> {
        (0..self.policies.len()).map(|row| {
            let mut entries = self.entries.iter();
            let of_row = entries.find(|entry| entry.rows().any(|listed| listed == row));
            of_row.map_or_else(String::new, |entry| entry.label(row))
        })
    }
}

impl Entry {
    pub(super) fn label(&self, row: usize) -> String {
        let methods = (self.by_method.iter()).filter(|(_, listed)| *listed == row);
        let methods: Vec<&str> = methods.map(|(method, _)| Method::as_str(method)).collect();
        let methods = match (methods.is_empty(), self.by_method.is_empty()) {
            (false, _) => format!("{} ", methods.join(" ")),
            (true, true) => String::new(),
            (true, false) => "other methods of ".to_owned(),
        };
        format!("{methods}{}", self.text)
    }
}
