//! Which policy counts for a request.

use std::{fmt, sync::Arc};

use http::Method;

use crate::{
    config::DpopConfig,
    policy::{Mode, Policy, PolicyTable},
    rejection::{Bearer, Challenge, Terms},
    verifier::{Presented, Scheme},
};

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
    strict: Arc<Rule>,
}

/// What a layer goes by: a policy, how challenges put it, and the configuration that it is a policy of.
/// All in one, so that a request takes hold of it by a single count that processors have to share.
pub(super) struct Rule {
    pub(super) config: Arc<DpopConfig>,
    pub(super) policy: Policy,
    terms: Arc<Terms>,
}

impl Rules {
    pub(super) fn one(policy: Policy, config: &Arc<DpopConfig>) -> Self {
        Self::One(Arc::new(Rule::new(policy, config)))
    }

    pub(super) fn table(patterns: PolicyTable, config: &Arc<DpopConfig>) -> Self {
        let rule = |policy: Policy| Arc::new(Rule::new(policy, config));
        Self::Table(Arc::new(Table {
            rules: patterns.policies().iter().cloned().map(rule).collect(),
            patterns,
            strict: rule(Policy::strict()),
        }))
    }

    /// That of all of them.
    pub(super) fn config(&self) -> &Arc<DpopConfig> {
        match self {
            Self::One(rule) => &rule.config,
            Self::Table(table) => &table.strict.config,
        }
    }

    /// That of a request with this method for this path, as the client sent it.
    pub(super) fn choose(&self, method: &Method, path: &str) -> &Arc<Rule> {
        match self {
            Self::One(rule) => rule,
            Self::Table(table) => {
                let listed = table.patterns.choose(method, path);
                listed
                    .and_then(|index| table.rules.get(index))
                    .unwrap_or(&table.strict)
            }
        }
    }
}

impl Rule {
    pub(super) fn new(policy: Policy, config: &Arc<DpopConfig>) -> Self {
        let terms = Terms::of(&policy, config.proof.allowed_algorithms());
        Self {
            config: Arc::clone(config),
            policy,
            terms: Arc::new(terms),
        }
    }

    pub(super) fn challenge(&self, presented: Presented) -> Challenge {
        let bearer = match (self.policy.mode(), presented) {
            (Mode::Strict | Mode::ReportOnly | Mode::Off, _) => Bearer::NotAccepted,
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
