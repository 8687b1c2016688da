//! Which policy counts for a request.

use std::sync::Arc;

use http::Method;

use super::{RequestHead, Rule};
use crate::{
    config::Settings,
    credentials::RequestErrorKind,
    policy::{Choice, MalformedPath, Policies, Policy, PolicyTable, Rows},
};

/// The route of a request that fits no pattern, in the log.
const NOT_LISTED: &str = "not listed";

/// The rules of a layer or a verifier: one, or one for each policy of a table. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Rules {
    One(Arc<Rule>),
    Table(Arc<Table>),
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    patterns: PolicyTable,
    /// One for each of the table's policies.
    rules: Vec<Arc<Rule>>,
    /// For what the table does not list.
    fallback: Arc<Rule>,
    /// For paths that are rejected whatever the table says.
    malformed: Arc<Rule>,
    enforces: bool,
}

impl Rules {
    /// The policy of this configuration.
    pub(crate) fn new(config: Arc<Settings>) -> Self {
        Self::One(Arc::new(warned(Rule::new(config))))
    }

    /// These policies, and otherwise as these rules are.
    pub(crate) fn with_policies(&self, policies: Policies) -> Self {
        match policies {
            Policies::One(policy) => self.with_policy(policy),
            Policies::Table(table) => self.with_table(table),
        }
    }

    /// This policy, and otherwise as these rules are.
    fn with_policy(&self, policy: Policy) -> Self {
        Self::One(Arc::new(warned(self.plain().with_policy(policy))))
    }

    /// The policies of this table, and otherwise as these rules are.
    fn with_table(&self, patterns: PolicyTable) -> Self {
        let config_policy = &self.config().policy;
        let rule = |policy: &Policy, route: &str| {
            let rule = self.plain().with_policy(policy.clone());
            Arc::new(warned(rule.with_route(route)))
        };
        let fallback = match patterns.fallback() {
            Some(policy) => policy,
            None => {
                if let Some(warning) = patterns.weak_fallback(config_policy) {
                    tracing::warn!("{warning}");
                }
                config_policy
            }
        };
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

    /// That of all of them.
    pub(crate) fn config(&self) -> &Arc<Settings> {
        match self {
            Self::One(rule) => &rule.config,
            Self::Table(table) => &table.fallback.config,
        }
    }

    /// What all of them have in common, with whichever policy.
    pub(super) fn plain(&self) -> Rule {
        let rule = match self {
            Self::One(rule) => rule,
            Self::Table(table) => &table.fallback,
        };
        let mut plain = Rule::clone(rule);
        plain.route = None;
        plain
    }

    /// That of a request. Where the path is to be rejected, it is one that rejects.
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
    rule
}

impl Table {
    fn choose(&self, method: &Method, path: &str) -> Arc<Rule> {
        // Every row has a rule. Without one, nobody is admitted.
        let row = |row: usize| Arc::clone(self.rules.get(row).unwrap_or(&self.malformed));
        let rows = match self.patterns.choose(method, path) {
            Ok(Choice::Row(index)) => return row(index),
            Ok(Choice::Rows(rows)) => rows,
            // Where nothing is ever rejected, neither is this.
            Err(MalformedPath) if !self.enforces => Rows::default(),
            Err(MalformedPath) => return Arc::clone(&self.malformed),
        };
        match rows.only() {
            Some(Some(index)) => row(index),
            Some(None) => Arc::clone(&self.fallback),
            None => {
                let policy = rows.policy(&self.patterns, &self.fallback.policy);
                let listed = rows.rows().filter_map(|row| self.rules.get(row));
                let fallback = rows.with_fallback().then_some(&self.fallback);
                let routes = listed
                    .chain(fallback)
                    .filter_map(|rule| rule.route.as_deref());
                let route = routes.collect::<Vec<_>>().join(" and ");
                Arc::new(self.fallback.with_policy(policy).with_route(route))
            }
        }
    }
}
