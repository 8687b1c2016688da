//! Which policy counts for a request.

use std::{fmt, sync::Arc};

use http::Method;

use crate::{
    config::Settings,
    policy::{Choice, MalformedPath, Mode, Policy, PolicyTable, Rows},
    rejection::{Bearer, Challenge, Rejection, Terms},
    verifier::{Cause, Presented, Scheme},
};

/// The route of a request that fits no pattern, in the log.
const NOT_LISTED: &str = "not listed";

/// The policies of a layer; cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Rules {
    One(Arc<Rule>),
    Table(Arc<Table>),
}

#[derive(Debug)]
pub(super) struct Table {
    patterns: PolicyTable,
    /// One for each of the table's policies.
    rules: Vec<Arc<Rule>>,
    /// For what the table does not list.
    fallback: Arc<Rule>,
    /// For what is rejected whatever the table says.
    strict: Arc<Rule>,
    enforces: bool,
}

/// What a layer goes by: a policy, how challenges put it, and the configuration that it is a policy of.
/// All in one, so that a request takes hold of it by a single count that processors have to share.
pub(super) struct Rule {
    pub(super) config: Arc<Settings>,
    pub(super) policy: Policy,
    terms: Arc<Terms>,
    /// The patterns that it is for, if it comes from a table.
    route: Option<Arc<str>>,
}

impl Rules {
    pub(super) fn one(policy: Policy, config: &Arc<Settings>) -> Self {
        Self::One(Arc::new(Rule::new(policy, config, None)))
    }

    pub(super) fn table(patterns: PolicyTable, config: &Arc<Settings>) -> Self {
        let rule = |policy: &Policy, route: Option<&str>| {
            Arc::new(Rule::new(policy.clone(), config, route.map(Arc::from)))
        };
        let fallback = match patterns.fallback() {
            Some(policy) => policy,
            None => {
                if let Some(warning) = patterns.weak_fallback(&config.policy) {
                    tracing::warn!("{warning}");
                }
                &config.policy
            }
        };
        Self::Table(Arc::new(Table {
            rules: (patterns.rows())
                .map(|(policy, pattern)| rule(policy, Some(pattern)))
                .collect(),
            fallback: rule(fallback, Some(NOT_LISTED)),
            strict: rule(&Policy::strict(), None),
            enforces: patterns.enforces() || fallback.mode().enforces(),
            patterns,
        }))
    }

    /// That of all of them.
    pub(super) fn config(&self) -> &Arc<Settings> {
        match self {
            Self::One(rule) => &rule.config,
            Self::Table(table) => &table.fallback.config,
        }
    }

    /// That of a request with this method for this path, as the client sent it.
    ///
    /// The error is what to go by for a path that is rejected.
    pub(super) fn choose(&self, method: &Method, path: &str) -> Result<Arc<Rule>, Arc<Rule>> {
        match self {
            Self::One(rule) => Ok(Arc::clone(rule)),
            Self::Table(table) => table.choose(method, path),
        }
    }
}

impl Table {
    fn choose(&self, method: &Method, path: &str) -> Result<Arc<Rule>, Arc<Rule>> {
        let row = |row: usize| self.rules.get(row).unwrap_or(&self.strict);
        let rows = match self.patterns.choose(method, path) {
            Ok(Choice::Row(index)) => return Ok(Arc::clone(row(index))),
            Ok(Choice::Rows(rows)) => rows,
            // Where nothing is ever rejected, neither is this.
            Err(MalformedPath) if !self.enforces => Rows::default(),
            Err(MalformedPath) => return Err(Arc::clone(&self.strict)),
        };
        Ok(match rows.only() {
            Some(Some(index)) => Arc::clone(row(index)),
            Some(None) => Arc::clone(&self.fallback),
            None => {
                let policy = rows.policy(&self.patterns, &self.fallback.policy);
                let listed = rows.rows().filter_map(|row| self.rules.get(row));
                let fallback = rows.with_fallback().then_some(&self.fallback);
                let routes = listed
                    .chain(fallback)
                    .filter_map(|rule| rule.route.as_deref());
                let route = routes.collect::<Vec<_>>().join(" and ");
                Arc::new(Rule::new(policy, &self.fallback.config, Some(route.into())))
            }
        })
    }
}

impl Rule {
    pub(super) fn new(policy: Policy, config: &Arc<Settings>, route: Option<Arc<str>>) -> Self {
        let algorithms = config.proof.allowed_algorithms();
        if policy
            .requirements()
            .allowed_algorithms(algorithms)
            .is_empty()
        {
            tracing::error!(
                "the policy ({policy}) allows none of the algorithms that the configuration allows: \
                 every proof is rejected"
            );
        }
        let terms = Terms::of(&policy, algorithms);
        Self {
            config: Arc::clone(config),
            policy,
            terms: Arc::new(terms),
            route,
        }
    }

    /// The same rule with another policy.
    pub(super) fn with_policy(&self, policy: Policy) -> Self {
        Self::new(policy, &self.config, self.route.clone())
    }

    /// A rejection by this rule, of a client that has used these schemes.
    pub(super) fn rejection(&self, rejection: Cause, presented: Presented) -> Rejection {
        let challenge = self.challenge(presented);
        self.rejection_with(rejection, challenge)
    }

    pub(super) fn rejection_with(&self, rejection: Cause, challenge: Challenge) -> Rejection {
        Rejection::new(
            rejection,
            challenge,
            self.policy.clone(),
            self.route.clone(),
        )
    }

    pub(super) fn challenge(&self, presented: Presented) -> Challenge {
        let bearer = match (self.policy.mode(), presented) {
            (Mode::Strict | Mode::ReportOnly | Mode::Off | Mode::Deny, _) => Bearer::NotAccepted,
            (Mode::Optional, Presented::One(Scheme::Bearer)) => Bearer::Presented,
            (Mode::Optional, Presented::Several) => Bearer::Ambiguous,
            (Mode::Optional, Presented::Nothing | Presented::One(Scheme::Dpop)) => Bearer::Accepted,
        };
        Challenge::new(Arc::clone(&self.terms), bearer)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
