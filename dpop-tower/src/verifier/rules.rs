//! Selects the policy of a request.

use std::sync::Arc;

use http::Method;

use super::{RequestHead, Rule};
use crate::{
    config::{Effective, Settings},
    credentials::RequestErrorKind,
    policy::{Choice, MalformedPath, Policies, Policy, PolicyTable, Rows},
};

/// The route in the log of a request that matches no pattern.
const NOT_LISTED: &str = "not listed";

/// The rules of a layer or a verifier: one, or one for each policy of a table. Clones are cheap.
#[derive(Clone, Debug)]
pub(crate) enum Rules {
    One(Arc<Rule>),
    Table(Arc<Table>),
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    patterns: PolicyTable,
    /// One rule for each policy of the table.
    rules: Vec<Arc<Rule>>,
    /// The rule for requests that match no pattern.
    fallback: Arc<Rule>,
    /// The rule for malformed paths, which are always rejected.
    malformed: Arc<Rule>,
    enforces: bool,
}

impl Rules {
    /// Returns the rule of a configuration with its own policy.
    pub(crate) fn new(config: Arc<Settings>) -> Self {
        Self::One(Arc::new(warned(Rule::new(config))))
    }

    /// Returns the policies in force, each with the name of its line in the text.
    fn policies(&self) -> Vec<(String, &Policy)> {
        match self {
            Self::One(rule) => vec![("policy".to_owned(), &rule.policy)],
            Self::Table(table) => {
                let rows = table.rows();
                let rows = rows.map(|(label, policy)| (format!("policy of {label}"), policy));
                let others = ("policy of others".to_owned(), &table.fallback.policy);
                rows.chain([others]).collect()
            }
        }
    }

    /// Returns the policies in force, each with the requests that it is for.
    pub(super) fn routes(&self) -> Vec<(String, &Policy)> {
        match self {
            Self::One(rule) => vec![("all requests".to_owned(), &rule.policy)],
            Self::Table(table) => {
                let others = ("other requests".to_owned(), &table.fallback.policy);
                table.rows().chain([others]).collect()
            }
        }
    }

    /// Returns the settings in force, for their text.
    pub(super) fn effective(&self) -> Effective<'_> {
        let ends_streams = cfg!(feature = "lifetime").then_some(self.any().ends_streams);
        let of_table = match self {
            Self::One(_) => Vec::new(),
            Self::Table(table) => {
                let of_rows = table.patterns.warnings.iter().cloned();
                of_rows.chain(table.weak_fallback()).collect()
            }
        };
        Effective::new(self.config(), self.policies(), ends_streams, of_table)
    }

    /// Replaces the policies.
    pub(crate) fn with_policies(&self, policies: Policies) -> Self {
        let replaced = match policies {
            Policies::One(policy) => Self::One(Arc::new(warned(self.plain().with_policy(policy)))),
            Policies::Table(table) => self.with_table(table),
        };
        replaced.warn_of_policies();
        replaced
    }

    /// Logs what is often a mistake in the policies. The table has logged what it knows when it was built.
    fn warn_of_policies(&self) {
        let policies = self.policies();
        let effective = Effective::new(self.config(), policies, None, Vec::new());
        let of_fallback = match self {
            Self::One(_) => None,
            Self::Table(table) => table.weak_fallback(),
        };
        for warning in effective.warnings_of_policies().iter().chain(&of_fallback) {
            tracing::warn!("{warning}");
        }
    }

    /// Replaces the policies by those of a table.
    fn with_table(&self, patterns: PolicyTable) -> Self {
        let config_policy = &self.config().policy;
        let rule = |policy: &Policy, route: &str| {
            let rule = self.plain().with_policy(policy.clone());
            Arc::new(warned(rule.with_route(route)))
        };
        let fallback = patterns.otherwise.as_ref().unwrap_or(config_policy);
        let mut malformed = self.plain().with_policy(Policy::strict());
        malformed.rejects = Some(RequestErrorKind::PathMalformed);
        Self::Table(Arc::new(Table {
            rules: (patterns.rows())
                .map(|(policy, pattern)| rule(policy, pattern))
                .collect(),
            fallback: rule(fallback, NOT_LISTED),
            malformed: Arc::new(malformed),
            enforces: patterns.enforces() || fallback.mode().enforces(),
            patterns,
        }))
    }

    /// Changes every rule in the same way.
    pub(crate) fn change(&mut self, change: impl Fn(&mut Rule)) {
        match self {
            Self::One(rule) => change(Arc::make_mut(rule)),
            Self::Table(table) => {
                let table = Arc::make_mut(table);
                let others = [&mut table.fallback, &mut table.malformed];
                for rule in table.rules.iter_mut().chain(others) {
                    change(Arc::make_mut(rule));
                }
            }
        }
    }

    fn any(&self) -> &Rule {
        match self {
            Self::One(rule) => rule,
            Self::Table(table) => &table.fallback,
        }
    }

    /// Returns the configuration, which all rules share.
    pub(super) fn config(&self) -> &Arc<Settings> {
        &self.any().config
    }

    /// Returns a rule with everything that all rules share. Its policy has no meaning.
    pub(super) fn plain(&self) -> Rule {
        let mut plain = self.any().clone();
        plain.route = None;
        plain
    }

    /// Returns the rule of a request. For a malformed path, it is a rule that rejects the request.
    pub(crate) fn choose(&self, request: &RequestHead<'_>) -> Arc<Rule> {
        match self {
            Self::One(rule) => Arc::clone(rule),
            Self::Table(table) => table.choose(request.method, request.uri.path()),
        }
    }
}

fn warned(rule: Rule) -> Rule {
    let Rule { config, policy, .. } = &rule;
    let algorithms = config.proof.allowed_algorithms();
    if (policy.requirements().allowed_algorithms(algorithms)).is_empty() {
        tracing::error!(
            "the policy ({policy}) allows none of the algorithms that the configuration allows: \
             every proof is rejected"
        );
    }
    if let Some(issuers) = &config.issuers
        && !policy.requirements().accepts_any_issuer(issuers)
    {
        tracing::error!(
            "the policy ({policy}) accepts none of the configured issuers: every token is rejected"
        );
    }
    if let Some(warning) = config.policy_not_met(policy) {
        tracing::warn!("{warning}");
    }
    rule
}

impl Table {
    /// Returns the methods and the pattern of each row, and its policy.
    fn rows(&self) -> impl Iterator<Item = (String, &Policy)> {
        let rules = self.rules.iter().map(|rule| &rule.policy);
        self.patterns.labels().zip(rules)
    }

    /// Returns a warning if the policy of the configuration applies to other requests, and is weaker than that of a row.
    fn weak_fallback(&self) -> Option<String> {
        match &self.patterns.otherwise {
            Some(_) => None,
            None => self.patterns.weak_fallback(&self.fallback.policy),
        }
    }

    fn choose(&self, method: &Method, path: &str) -> Arc<Rule> {
        // Every row has a rule. If one were missing, the request would be rejected.
        let row = |row: usize| Arc::clone(self.rules.get(row).unwrap_or(&self.malformed));
        let rows = match self.patterns.choose(method, path) {
            Ok(Choice::Row(index)) => return row(index),
            Ok(Choice::Rows(rows)) => rows,
            // A table that rejects no request does not reject malformed paths either.
            Err(MalformedPath) if !self.enforces => Rows::default(),
            Err(MalformedPath) => return Arc::clone(&self.malformed),
        };
        match rows.only() {
            Some(Some(index)) => row(index),
            Some(None) => Arc::clone(&self.fallback),
            None => {
                let policy = rows.policy(&self.patterns, &self.fallback.policy);
                let listed = rows.rows.iter().filter_map(|row| self.rules.get(*row));
                let fallback = rows.with_fallback.then_some(&self.fallback);
                let routes = listed
                    .chain(fallback)
                    .filter_map(|rule| rule.route.as_deref());
                let route = routes.collect::<Vec<_>>().join(" and ");
                Arc::new(self.fallback.with_policy(policy).with_route(route))
            }
        }
    }
}
