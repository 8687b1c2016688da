//! Policies selected by path and method.

mod index;
mod pattern;

use std::collections::BTreeMap;

use http::Method;

use self::{
    index::Index,
    pattern::{Pattern, Spelling},
};
use super::{Draft, MalformedPath, Mode, Policy, path};
use crate::error::{ConfigError, ConfigErrorKind};

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
    otherwise: Option<Policy>,
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

/// Rows that apply together.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    rows: Vec<usize>,
    with_fallback: bool,
}

/// The rows that apply to a request.
#[derive(Debug)]
pub(crate) enum Choice {
    /// One row alone.
    Row(usize),
    Rows(Rows),
}

impl Rows {
    fn add(&mut self, row: usize) {
        if !self.rows.contains(&row) {
            self.rows.push(row);
        }
    }

    fn add_fallback(&mut self) {
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

    /// Returns the policy for requests that match no pattern, if one was given.
    pub(crate) fn fallback(&self) -> Option<&Policy> {
        self.otherwise.as_ref()
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
            rows.add_fallback();
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

/// Builds a [`PolicyTable`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct PolicyTableBuilder {
    rows: Vec<Row>,
    otherwise: Option<Policy<Draft>>,
}

#[derive(Clone, Debug)]
struct Row {
    pattern: String,
    methods: Option<Vec<Method>>,
    policy: Policy<Draft>,
}

impl PolicyTableBuilder {
    /// Sets the policy for paths of this pattern, for all methods that have no policy of their own.
    ///
    /// The order of the rows has no effect; see [precedence](PolicyTable#precedence).
    pub fn route<S>(mut self, pattern: impl Into<String>, policy: Policy<S>) -> Self {
        self.rows.push(Row {
            pattern: pattern.into(),
            methods: None,
            policy: policy.into_draft(),
        });
        self
    }

    /// Sets the policy for paths of this pattern and these methods.
    ///
    /// `GET` includes `HEAD` unless `HEAD` is listed itself. A method that is not listed has to satisfy
    /// the policies of the listed ones and the policy of the next wider pattern.
    ///
    /// ```
    /// use dpop_tower::{Policy, PolicyTable};
    /// use http::Method;
    ///
    /// let table = PolicyTable::builder()
    ///     .methods("/orders", [Method::GET], Policy::strict().require_scope("orders:read"))
    ///     .methods("/orders", [Method::POST], Policy::strict().require_scope("orders:write"))
    ///     .otherwise(Policy::strict())
    ///     .build()?;
    /// let policy = |method| table.policy_for(&method, "/orders").unwrap().unwrap().to_string();
    /// assert_eq!(policy(Method::HEAD), "strict, scope orders:read");
    /// assert_eq!(policy(Method::DELETE), "strict, scope orders:read, scope orders:write");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn methods<S>(
        mut self,
        pattern: impl Into<String>,
        methods: impl IntoIterator<Item = Method>,
        policy: Policy<S>,
    ) -> Self {
        self.rows.push(Row {
            pattern: pattern.into(),
            methods: Some(methods.into_iter().collect()),
            policy: policy.into_draft(),
        });
        self
    }

    /// Sets the policy for requests that match no pattern.
    ///
    /// Defaults to the policy of the [configuration](crate::DpopConfigBuilder::policy). With
    /// [`Policy::deny`], a path that is missing or misspelled in the table is closed.
    pub fn otherwise<S>(mut self, policy: Policy<S>) -> Self {
        self.otherwise = Some(policy.into_draft());
        self
    }

    /// Checks the rows and builds the table.
    ///
    /// A pattern such as `/{*rest}`, or the policy for other requests, can be weaker than a row that it
    /// includes. This is valid but often a mistake, so a warning is logged.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] that names the pattern if it is malformed, can never match, or contradicts
    /// another, or if no request can satisfy its policy.
    ///
    /// ```
    /// use dpop_tower::{Policy, PolicyTable};
    ///
    /// let table = |pattern| PolicyTable::builder().route(pattern, Policy::strict()).build();
    /// assert!(table("/orders/{id}").is_ok());
    /// assert!(table("orders").is_err());
    /// assert!(table("/orders/{id").is_err());
    /// ```
    pub fn build(self) -> Result<PolicyTable, ConfigError> {
        let mut policies = Vec::new();
        let mut entries: Vec<Entry> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for Row {
            pattern: text,
            methods,
            policy,
        } in self.rows
        {
            let wrong = |why: &str| rejected(&text, why);
            let pattern = Pattern::parse(&text).map_err(|why| wrong(&why))?;
            let policy = policy.check().map_err(|why| wrong(&why))?;
            let place = *places.entry(pattern.route()).or_insert_with(|| {
                entries.push(Entry {
                    text: text.clone(),
                    pattern,
                    by_method: Vec::new(),
                    other_methods: None,
                    is_settled: false,
                });
                entries.len().saturating_sub(1)
            });
            if let Some(entry) = entries.get_mut(place) {
                (entry.add(methods, policies.len())).map_err(wrong)?;
            }
            policies.push(policy);
        }
        let otherwise = self.otherwise.map(Policy::build).transpose()?;
        let table = PolicyTable::new(entries, policies, otherwise)?;
        for warning in table.weak_patterns() {
            tracing::warn!("{warning}");
        }
        Ok(table)
    }
}

impl PolicyTable {
    fn new(
        mut entries: Vec<Entry>,
        policies: Vec<Policy>,
        otherwise: Option<Policy>,
    ) -> Result<Self, ConfigError> {
        let (mut indexes, mut lookups) = (Vec::new(), Vec::new());
        let mut spelled_before: Vec<Vec<Pattern>> = Vec::new();
        for spelling in Spelling::ALL {
            let patterns: Vec<Pattern> = (entries.iter())
                .map(|entry| entry.pattern.spelled(spelling))
                .collect();
            let known = spelled_before.iter().position(|before| *before == patterns);
            let index = known.unwrap_or(indexes.len());
            if known.is_none() {
                let built = Index::new(&patterns).map_err(|(place, error)| {
                    let text = entries.get(place).map_or("", |entry| &entry.text);
                    let why = "beside a parameter, a pattern for the rest of the path cannot be told apart";
                    rejected(text, why).with_source(error)
                })?;
                indexes.push(built);
                spelled_before.push(patterns);
            }
            lookups.push(Lookup { index, spelling });
        }
        for (place, entry) in entries.iter_mut().enumerate() {
            entry.is_settled = indexes.iter().all(|index: &Index| index.is_simple(place));
        }
        Ok(Self {
            entries,
            indexes,
            lookups,
            policies,
            otherwise,
        })
    }

    /// Describes each pattern for the rest of a path that requires less than a row it includes.
    fn weak_patterns(&self) -> Vec<String> {
        let of_patterns = self.entries.iter().filter_map(|outer| {
            let weak = self.modes(outer).min_by_key(|mode| mode.strictness())?;
            let is_inside = |inner: &Entry| {
                outer.pattern.takes_the_rest() && outer.pattern.contains(&inner.pattern)
            };
            self.weaker(&format!("`{}`", outer.text), weak, is_inside)
        });
        let of_fallback = self
            .otherwise
            .as_ref()
            .and_then(|it| self.weak_fallback(it));
        of_patterns.chain(of_fallback).collect()
    }

    /// Does the same for the policy of requests that match no pattern.
    pub(crate) fn weak_fallback(&self, fallback: &Policy) -> Option<String> {
        self.weaker("what no row lists", fallback.mode(), |_| true)
    }

    fn weaker(
        &self,
        outer: &str,
        weak: Mode,
        is_inside: impl Fn(&Entry) -> bool,
    ) -> Option<String> {
        let inside = self.entries.iter().filter(|entry| is_inside(entry));
        let modes = inside.flat_map(|entry| self.modes(entry).map(move |mode| (entry, mode)));
        let (inner, strict) = modes.max_by_key(|(_, mode)| mode.strictness())?;
        (weak.strictness() < strict.strictness()).then(|| {
            format!(
                "the policy of {outer} is {}, which is weaker than {} for `{}`: whatever the stricter \
                 rows do not list passes by the weaker policy",
                weak.as_str(),
                strict.as_str(),
                inner.text
            )
        })
    }

    fn modes(&self, entry: &Entry) -> impl Iterator<Item = Mode> {
        (entry.rows())
            .filter_map(|row| self.policies.get(row))
            .map(Policy::mode)
    }

    /// Returns whether any row can reject a request.
    pub(crate) fn enforces(&self) -> bool {
        let all = self.policies.iter().chain(&self.otherwise);
        all.map(Policy::mode).any(Mode::enforces)
    }
}

fn rejected(pattern: &str, why: &str) -> ConfigError {
    let message = format!("the policy for the pattern {pattern:?} cannot be used: {why}");
    ConfigError::new(ConfigErrorKind::Policy, message)
}

#[cfg(test)]
mod tests;
