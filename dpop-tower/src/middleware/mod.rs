//! The tower middleware: [`DpopLayer`] and the service it makes.

mod count;
mod future;
pub(crate) mod grpc;
mod layer;
mod report;
mod rules;
mod scope;
mod service;

pub use self::{
    future::ResponseFuture,
    layer::DpopLayer,
    report::Report,
    scope::{RequireScope, ScopeFuture, ScopeRequired},
    service::Dpop,
};

use std::sync::Arc;

use http::Extensions;

use self::rules::Rule;

#[cfg(feature = "axum")]
use crate::rejection::Challenge;
#[cfg(feature = "lifetime")]
use crate::time::UnixTime;
use crate::{
    config::DpopConfig,
    policy::{Mode, Policy, ProofFacts},
    proof::NonceStatus,
    token::{BearerToken, BoundToken, ClaimSet, TokenErrorKind},
    verifier::{Admission, Presented, Refusal, Scheme},
};

/// Left in the extensions of a request that a layer has passed on, for layers and extractors further
/// in.
#[derive(Clone)]
pub(crate) struct Admitted {
    config: Arc<DpopConfig>,
    found: Found,
    rule: Arc<Rule>,
    #[cfg_attr(
        not(feature = "axum"),
        expect(dead_code, reason = "only extractors ask for another token")
    )]
    presented: Presented,
    /// Whether a layer so far wants streams ended when the token expires.
    ends_streams: bool,
}

/// What the request was let in with.
#[derive(Clone)]
enum Found {
    Bound(ClaimSet, ProofFacts),
    Bearer(ClaimSet),
    /// Nothing: the layer refuses nobody.
    Nothing,
}

impl Admitted {
    /// Records who was let in, and gives the nonce that the response is to bring. What an outer layer
    /// of another configuration found is replaced as a whole, so that the tokens in the extensions are
    /// always those of the innermost verdict.
    fn record(
        extensions: &mut Extensions,
        admission: Admission,
        config: &Arc<DpopConfig>,
        rule: &Arc<Rule>,
    ) -> Option<String> {
        extensions.remove::<BoundToken>();
        extensions.remove::<BearerToken>();
        let further_out = extensions.get::<Self>().is_some_and(|it| it.ends_streams);
        let (found, scheme) = match admission {
            Admission::Bound { token, facts } => {
                let claims = token.claims().clone();
                extensions.insert(token);
                (Found::Bound(claims, facts), Scheme::Dpop)
            }
            Admission::Bearer(token) => {
                let claims = token.claims().clone();
                extensions.insert(token);
                (Found::Bearer(claims), Scheme::Bearer)
            }
        };
        let admitted = Self {
            config: Arc::clone(config),
            found,
            rule: Arc::clone(rule),
            presented: Presented::One(scheme),
            ends_streams: further_out || rule.policy.ends_streams(),
        };
        let new_nonce = admitted.new_nonce(&rule.policy);
        extensions.insert(admitted);
        new_nonce
    }

    /// Records that a layer was there and let the request pass for no merit of its own. What a layer
    /// further out has found stays as it is.
    fn record_nothing(
        extensions: &mut Extensions,
        config: &Arc<DpopConfig>,
        rule: &Arc<Rule>,
        presented: impl FnOnce() -> Presented,
    ) {
        if extensions.get::<Self>().is_none() {
            extensions.insert(Self {
                config: Arc::clone(config),
                found: Found::Nothing,
                rule: Arc::clone(rule),
                presented: presented(),
                ends_streams: false,
            });
        }
    }

    /// The verdict of an outer layer with the same configuration, if there is one: the request is
    /// not verified twice, or its own proof would count as a replay.
    fn find<'e>(extensions: &'e Extensions, config: &Arc<DpopConfig>) -> Option<&'e Self> {
        extensions
            .get::<Self>()
            .filter(|admitted| Arc::ptr_eq(&admitted.config, config))
            .filter(|admitted| !admitted.found_nothing())
    }

    /// Whether what was let in there is let in here too. An inner layer can only be stricter.
    fn satisfies(&self, policy: &Policy) -> Result<(), Refusal> {
        let now = self.config.clock.now();
        let demands = policy.demands();
        match (&self.found, policy.mode()) {
            (_, Mode::Off) => Ok(()),
            (Found::Bound(claims, facts), _) => {
                let (_, leeway) = self.config.proof.window();
                demands.check_facts(*facts, now, leeway)?;
                Ok(demands.check_token(claims, now)?)
            }
            (Found::Bearer(claims), Mode::Optional) => Ok(demands.check_token(claims, now)?),
            (Found::Bearer(_), Mode::Strict | Mode::ReportOnly) | (Found::Nothing, _) => {
                Err(TokenErrorKind::SchemeNotAccepted.into())
            }
        }
    }

    /// Whether the request was let pass for no merit of its own.
    const fn found_nothing(&self) -> bool {
        matches!(self.found, Found::Nothing)
    }

    /// Records that a layer further in agrees.
    fn record_inner(extensions: &mut Extensions, policy: &Policy) {
        if let Some(admitted) = extensions.get_mut::<Self>() {
            admitted.ends_streams |= policy.ends_streams();
        }
    }

    /// When streams end, and the clock for it; `None` if they do not.
    #[cfg(feature = "lifetime")]
    pub(crate) fn limit(&self) -> Option<(Arc<DpopConfig>, UnixTime)> {
        let expires_at = match &self.found {
            Found::Bound(claims, _) | Found::Bearer(claims) => claims.expires_at(),
            Found::Nothing => return None,
        };
        self.ends_streams
            .then(|| (Arc::clone(&self.config), expires_at))
    }

    /// The next nonce, if this policy asks for one and that of the proof is about to retire.
    fn new_nonce(&self, policy: &Policy) -> Option<String> {
        match &self.found {
            Found::Bound(_, facts) if facts.nonce == Some(NonceStatus::Retiring) => {
                self.config.current_nonce(policy)
            }
            Found::Bound(..) | Found::Bearer(_) | Found::Nothing => None,
        }
    }

    /// How an extractor asks for another token, or, where only a bound one will do, for that.
    #[cfg(feature = "axum")]
    pub(crate) fn challenge(&self, only_bound: bool) -> Challenge {
        let challenge = self.rule.challenge(self.presented);
        if only_bound {
            challenge.without_bearer()
        } else {
            challenge
        }
    }

    /// What goes with the challenge if nonces are on.
    #[cfg(feature = "axum")]
    pub(crate) fn current_nonce(&self) -> Option<String> {
        self.config.current_nonce(&self.rule.policy)
    }
}
