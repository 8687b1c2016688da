use std::collections::BTreeMap;

use http::Method;

use super::{
    Entry, Lookup, PolicyTable,
    index::Index,
    pattern::{Pattern, Spelling},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    policy::{Draft, Mode, Policy},
};

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
    /// includes. A row can apply only together with another one, because [servers may read](PolicyTable#readings)
    /// their paths as the same: `/orders` and `/Orders`. Both are valid but often a mistake, so a warning is logged,
    /// which is also part of the text of a [`DpopLayer`](crate::DpopLayer).
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
        for row in self.rows {
            let text = row.pattern;
            let wrong = |why: &str| rejected(&text, why);
            let pattern = Pattern::parse(&text).map_err(|why| wrong(&why))?;
            let policy = row.policy.check().map_err(|why| wrong(&why))?;
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
                (entry.add(row.methods, policies.len())).map_err(wrong)?;
            }
            policies.push(policy);
        }
        let otherwise = self.otherwise.map(Policy::build).transpose()?;
        let mut table = PolicyTable::new(entries, policies, otherwise)?;
        table.warnings = table.weak_patterns();
        table.warnings.extend(table.covered_rows());
        for warning in &table.warnings {
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
            warnings: Vec::new(),
        })
    }

    /// Describes each pattern for the rest of a path that requires less than a row it includes.
    pub(super) fn weak_patterns(&self) -> Vec<String> {
        let of_patterns = self.entries.iter().filter_map(|outer| {
            let weak = self.modes(outer).min()?;
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
        let (inner, strict) = modes.max_by_key(|(_, mode)| *mode)?;
        (weak < strict).then(|| {
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
