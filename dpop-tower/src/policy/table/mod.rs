//! Policies selected by path and method.

mod builder;
mod covered;
mod display;
mod index;
mod pattern;
mod rows;

pub use self::builder::PolicyTableBuilder;
pub(crate) use self::rows::{Choice, Rows};

use http::Method;

use self::{
    index::Index,
    pattern::{Pattern, Spelling},
};
use super::{MalformedPath, Policy, path};

/// A table that selects the policy by request path and method.
///
/// Use it if a service has one layer in front of all routes. Patterns have the syntax of axum 0.8:
/// `{id}` matches one segment, as in `/orders/{id}`, and `{*path}` matches the rest of the path, which is
/// not empty, as in `/files/{*path}`. A gRPC method is a path as well: `/pkg.Service/Method`, or
/// `/pkg.Service/{*method}` for all methods of a service.
///
/// ```
/// use dpop_tower::{Policy, policy::PolicyTable};
/// use http::Method;
///
/// let table = PolicyTable::builder()
///     .route("/health", Policy::off())
///     .route("/orders/{id}", Policy::strict().require_any_scope(["orders:read", "orders:write"]))
///     .methods("/orders", [Method::POST], Policy::strict().require_scope("orders:write"))
///     .route("/grpc.health.v1.Health/{*method}", Policy::off())
///     .otherwise(Policy::deny())
///     .build()?;
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # Precedence
///
/// - The narrowest pattern that matches a path applies. If two match and neither is narrower, such as
///   `/a/{x}/secret` and `/a/b/{*rest}`, the request has to satisfy both policies.
/// - A method that a pattern does not list has to satisfy the policies of the listed methods and the
///   policy of the next wider pattern.
/// - A request that matches no pattern gets the policy of [`otherwise`](PolicyTableBuilder::otherwise).
///   Without one, it gets the policy of the [configuration](crate::DpopConfigBuilder::policy).
///
/// # Readings
///
/// The service behind the layer may read a path in another way. It may decode the path once or twice. It
/// may ignore path parameters (`;v=1`), doubled slashes, a trailing slash, trailing blanks, or case. It may
/// cut the path at an encoded `?` or `#`. A request has to satisfy the policies of all such readings
/// together, as if they belonged to nested layers. Therefore `/Admin/` never requires less than `/admin`.
/// A request for `/projects/group%2Fproject` is admitted if it satisfies the policies of both
/// `/projects/{id}` and `/projects/group/project`.
///
/// A path that no honest client sends is rejected with 400; see [`MalformedPath`].
///
/// # Testing
///
/// [`policy_for`](Self::policy_for) returns the policy of a request. Use it to find a misspelled gRPC
/// method or a missing prefix.
#[derive(Clone, Debug)]
pub struct PolicyTable {
    entries: Vec<Entry>,
    /// The patterns as given, and in every spelling in which one of them differs.
    indexes: Vec<Index>,
    /// The lookups that are made for each reading.
    lookups: Vec<Lookup>,
    policies: Vec<Policy>,
    /// The policy for requests that match no pattern, if one was given.
    pub(crate) otherwise: Option<Policy>,
    /// What is valid but often a mistake.
    pub(crate) warnings: Vec<String>,
}

/// A pattern, and where in the list of policies its rows are.
#[derive(Clone, Debug)]
struct Entry {
    text: String,
    pattern: Pattern,
    by_method: Vec<(Method, usize)>,
    other_methods: Option<usize>,
    /// Is `true` if no spelling of a matching path matches another pattern that is not wider.
    is_settled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lookup {
    /// The position in the list of indexes.
    index: usize,
    spelling: Spelling,
}

impl PolicyTable {
    /// Returns a builder without rows.
    pub fn builder() -> PolicyTableBuilder {
        PolicyTableBuilder::default()
    }

    /// Returns the policy of a request with this method for this path, as the client sends it.
    ///
    /// Returns `None` if it is the policy of the configuration.
    ///
    /// ```
    /// use dpop_tower::{Mode, Policy, PolicyTable};
    /// use http::Method;
    ///
    /// let table = PolicyTable::builder()
    ///     .route("/shop.Orders/{*method}", Policy::strict().require_scope("orders"))
    ///     .otherwise(Policy::deny())
    ///     .build()?;
    /// let policy = |path| table.policy_for(&Method::POST, path).unwrap().unwrap();
    /// assert_eq!(policy("/shop.Orders/Cancel").to_string(), "strict, scope orders");
    /// assert_eq!(policy("/shop.Order/Cancel").mode(), Mode::Deny);
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns [`MalformedPath`] if such a request is rejected whatever its token.
    pub fn policy_for(&self, method: &Method, path: &str) -> Result<Option<Policy>, MalformedPath> {
        let rows = match self.choose(method, path)? {
            Choice::Row(row) => Rows {
                rows: vec![row],
                with_fallback: false,
            },
            Choice::Rows(rows) => rows,
        };
        match &self.otherwise {
            Some(otherwise) => Ok(Some(rows.policy(self, otherwise))),
            None if rows.rows.is_empty() => Ok(None),
            // The configuration's own is not known here, and can only ask for more.
            None => Ok(Some(rows.policy(self, &Policy::off()))),
        }
    }

    /// Returns the policy and the pattern of each row.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&Policy, &str)> {
        (self.policies.iter().enumerate()).map(|(row, policy)| {
            let mut entries = self.entries.iter();
            let of_row = entries.find(|entry| entry.rows().any(|listed| listed == row));
            (policy, of_row.map_or("", |entry| entry.text.as_str()))
        })
    }

    /// Selects the [`rows`](Self::rows) that apply to such a request, or the fallback.
    pub(crate) fn choose(&self, method: &Method, path: &str) -> Result<Choice, MalformedPath> {
        if !path.starts_with('/') {
            // `OPTIONS *`, and `CONNECT` with an authority.
            return Ok(Choice::Rows(Rows::default()));
        }
        if path::keeps_its_segments(path)
            && let Some(row) = self.settled(method, path)
        {
            return Ok(Choice::Row(row));
        }
        let mut rows = Rows::default();
        if path::is_plain(path) {
            self.read(method, path, true, &mut rows);
        } else {
            for (index, reading) in path::readings(path)?.iter().enumerate() {
                self.read(method, reading, index == 0, &mut rows);
            }
        }
        Ok(Choice::Rows(rows))
    }

    /// Returns the row of a path that [keeps its segments](path::keeps_its_segments), if no other spelling
    /// of the path can match a pattern that is not wider.
    fn settled(&self, method: &Method, path: &str) -> Option<usize> {
        let entry = self.indexes.first()?.simple(path)?;
        let entry = self.entries.get(entry).filter(|entry| entry.is_settled)?;
        entry.row(method)
    }

    /// Adds the rows for one reading.
    fn read(&self, method: &Method, reading: &str, is_as_sent: bool, rows: &mut Rows) {
        let folded = path::folded(reading);
        let mut is_listed = false;
        let mut done = Vec::with_capacity(self.lookups.len());
        for Lookup { index, spelling } in &self.lookups {
            let path = match spelling {
                Spelling::AsSent if !is_as_sent => continue,
                Spelling::Decoded {
                    is_folded: true, ..
                } => folded.as_str(),
                _ => reading,
            };
            // Exact spellings come first.
            if done.contains(&(index, path)) {
                continue;
            }
            let fits = (self.indexes.get(*index))
                .is_some_and(|index| index.collect(&self.entries, path, method, rows));
            // An exact server does not treat it as the path of an inexact row.
            is_listed |= fits && spelling.is_exact();
            done.push((index, path));
        }
        if !is_listed {
            rows.with_fallback = true;
        }
    }
}

impl Entry {
    fn row(&self, method: &Method) -> Option<usize> {
        let of = |method: &Method| {
            let mut methods = self.by_method.iter();
            methods.find_map(|(listed, policy)| (listed == method).then_some(*policy))
        };
        // Servers answer HEAD with what they have for GET (RFC 9110 section 9.3.2).
        of(method)
            .or_else(|| of(&Method::GET).filter(|_| method == Method::HEAD))
            .or(self.other_methods)
    }

    fn rows_of_methods(&self) -> impl Iterator<Item = usize> {
        self.by_method.iter().map(|(_, policy)| *policy)
    }

    fn rows(&self) -> impl Iterator<Item = usize> {
        self.rows_of_methods().chain(self.other_methods)
    }

    fn add(&mut self, methods: Option<Vec<Method>>, policy: usize) -> Result<(), &'static str> {
        let twice = "two policies are given for it";
        match methods {
            None if self.other_methods.is_some() => return Err(twice),
            None => self.other_methods = Some(policy),
            Some(methods) if methods.is_empty() => return Err("it is for no method"),
            Some(methods) => {
                for method in methods {
                    if self.by_method.iter().any(|(listed, _)| *listed == method) {
                        return Err(twice);
                    }
                    self.by_method.push((method, policy));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
