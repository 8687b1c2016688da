//! The tower middleware: [`DpopLayer`] and the service it makes.

mod body;
mod count;
mod future;
pub(crate) mod grpc;
mod layer;
mod report;
mod rules;
mod scope;
mod service;
#[cfg(not(feature = "lifetime"))]
mod unlimited;

#[cfg(feature = "lifetime")]
pub(crate) use self::body::BoxError;
pub use self::{
    body::ResponseBody,
    future::ResponseFuture,
    layer::DpopLayer,
    report::Report,
    scope::{RequireScope, RequireScopeFuture, RequireScopeLayer},
    service::Dpop,
};

use std::{iter, sync::Arc};

use http::Extensions;

use self::rules::Rule;

#[cfg(feature = "lifetime")]
use crate::clock::UnixTime;
use crate::{
    config::Settings,
    policy::{Mode, Policy, PolicyErrorKind, ProofFacts},
    proof::NonceStatus,
    token::{BearerToken, BoundToken, TokenErrorKind},
    verifier::{Admission, Cause, Presented, Scheme},
};
#[cfg(any(feature = "axum", feature = "tonic"))]
use crate::{rejection::Rejection, token::TokenError};

/// Left in the extensions of a request that a layer has passed on, for layers and extractors further
/// in.
#[derive(Clone)]
pub(crate) struct Admitted {
    found: Found,
    /// The rule of the innermost layer that agrees, or of a stricter outer one.
    rule: Arc<Rule>,
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        expect(dead_code, reason = "only handlers ask for another token")
    )]
    presented: Presented,
    /// The strictest of the layers so far.
    mode: Mode,
    /// Whether a layer so far wants streams ended when the token expires.
    ends_streams: bool,
    /// What a layer of another configuration has found before.
    further_out: Option<Arc<Self>>,
}

/// What the request was admitted with.
#[derive(Clone)]
enum Found {
    Bound(BoundToken, ProofFacts),
    Bearer(BearerToken),
    /// Nothing: the layer rejects nobody.
    Nothing,
}

impl Admitted {
    /// Records who was admitted, and gives the nonce that the response is to bring. What an outer layer
    /// of another configuration found is set aside as a whole, so that the tokens in the extensions are
    /// always those of the innermost verdict.
    fn record(
        extensions: &mut Extensions,
        admission: Admission,
        rule: &Arc<Rule>,
    ) -> Option<String> {
        let (found, scheme) = match admission {
            Admission::Bound { token, facts } => (Found::Bound(token, facts), Scheme::Dpop),
            Admission::Bearer(token) => (Found::Bearer(token), Scheme::Bearer),
        };
        let admitted = Self {
            found,
            rule: Arc::clone(rule),
            presented: Presented::One(scheme),
            mode: Mode::Off,
            ends_streams: false,
            further_out: None,
        };
        let new_nonce = admitted.new_nonce(&rule.policy);
        admitted.put_inside(extensions, &rule.policy);
        new_nonce
    }

    /// Makes this the innermost verdict. What layers so far agree on does not get less.
    fn put_inside(mut self, extensions: &mut Extensions, policy: &Policy) {
        let before = extensions.remove::<Self>();
        let (mode, ends_streams) = before.as_ref().map_or((Mode::Off, false), |before| {
            (before.mode, before.ends_streams)
        });
        self.mode = mode.stricter(policy.mode());
        self.ends_streams = ends_streams || policy.ends_streams();
        self.further_out = before
            .filter(|before| !before.found_nothing())
            .map(Arc::new);
        extensions.remove::<BoundToken>();
        extensions.remove::<BearerToken>();
        match &self.found {
            Found::Bound(token, _) => drop(extensions.insert(token.clone())),
            Found::Bearer(token) => drop(extensions.insert(token.clone())),
            Found::Nothing => {}
        }
        extensions.insert(self);
    }

    /// Records that a layer was there and let the request pass for no merit of its own. What an
    /// outer layer has found stays as it is.
    fn record_nothing(
        extensions: &mut Extensions,
        rule: &Arc<Rule>,
        presented: impl FnOnce() -> Presented,
    ) {
        let was_looked_at = |further_out: &Self| further_out.mode != Mode::Off;
        if !extensions.get().is_some_and(was_looked_at) {
            extensions.insert(Self {
                found: Found::Nothing,
                rule: Arc::clone(rule),
                presented: presented(),
                mode: rule.policy.mode(),
                ends_streams: false,
                further_out: None,
            });
        }
    }

    /// The verdict of an outer layer with the same configuration, if there is one: the request is
    /// not verified twice, or its own proof would count as a replay.
    fn find<'e>(extensions: &'e Extensions, config: &Arc<Settings>) -> Option<&'e Self> {
        iter::successors(extensions.get::<Self>(), |it| it.further_out.as_deref())
            .filter(|admitted| Arc::ptr_eq(&admitted.rule.config, config))
            .find(|admitted| !admitted.found_nothing())
    }

    /// Whether what was admitted there is admitted here too. An inner layer can only be stricter.
    fn satisfies(&self, policy: &Policy) -> Result<(), Cause> {
        if policy.mode() == Mode::Off {
            return Ok(());
        }
        if policy.mode() == Mode::Deny {
            return Err(PolicyErrorKind::Denied.into());
        }
        if let Found::Bound(_, facts) = &self.found {
            let (_, leeway) = self.rule.config.proof.window();
            // The layer that admit it may have been one that asks for no nonces.
            let needs_nonce = self.rule.config.needs_nonce(policy);
            let now = self.rule.config.clock.now();
            (policy.requirements()).check_facts(*facts, needs_nonce, now, leeway)?;
        }
        self.grants(policy)
    }

    /// The same for the token alone.
    fn grants(&self, policy: &Policy) -> Result<(), Cause> {
        let claims = match (&self.found, policy.mode()) {
            (_, Mode::Off) => return Ok(()),
            (_, Mode::Deny) => return Err(PolicyErrorKind::Denied.into()),
            (Found::Bound(token, _), _) => token.claims(),
            (Found::Bearer(token), Mode::Optional) => token.claims(),
            (Found::Bearer(_), Mode::Strict | Mode::ReportOnly) | (Found::Nothing, _) => {
                return Err(TokenErrorKind::SchemeNotAccepted.into());
            }
        };
        let now = self.rule.config.clock.now();
        Ok(policy.requirements().check_token(claims, now)?)
    }

    /// Whether a layer has accepted the nonce of the proof.
    fn has_good_nonce(extensions: &Extensions) -> bool {
        let admitted = extensions.get::<Self>();
        admitted.is_some_and(|admitted| match &admitted.found {
            Found::Bound(_, facts) => {
                let config = &admitted.rule.config;
                config.needs_nonce(&admitted.rule.policy)
                    && facts
                        .nonce
                        .is_some_and(|status| status != NonceStatus::Unknown)
            }
            Found::Bearer(_) | Found::Nothing => false,
        })
    }

    /// Whether the request was let pass for no merit of its own.
    const fn found_nothing(&self) -> bool {
        matches!(self.found, Found::Nothing)
    }

    /// Whether it was admitted with a token that is bound to nothing.
    const fn found_bearer(&self) -> bool {
        matches!(self.found, Found::Bearer(_))
    }

    /// Records that an inner layer agrees with what one of its configuration has found.
    fn record_inner(extensions: &mut Extensions, rule: &Arc<Rule>) {
        let Rule { config, policy, .. } = &**rule;
        match extensions.get_mut::<Self>() {
            Some(innermost) if Arc::ptr_eq(&innermost.rule.config, config) => {
                innermost.agree(rule);
                innermost.mode = innermost.mode.stricter(policy.mode());
                innermost.ends_streams |= policy.ends_streams();
            }
            // A layer of another configuration stands between the two.
            _ => {
                if let Some(mut found) = Self::find(extensions, config).cloned() {
                    found.agree(rule);
                    found.put_inside(extensions, policy);
                }
            }
        }
    }

    /// Extractors ask for tokens in the words of the innermost layer, unless an outer one would not
    /// take what that asks for.
    fn agree(&mut self, rule: &Arc<Rule>) {
        let mode = rule.policy.mode();
        if self.rule.policy.mode().stricter(mode) == mode {
            self.rule = Arc::clone(rule);
        }
    }

    /// When streams end, and the clock for it; `None` if they do not.
    #[cfg(feature = "lifetime")]
    pub(crate) fn limit(&self) -> Option<(Arc<Settings>, UnixTime)> {
        let expires_at = match &self.found {
            Found::Bound(token, _) => token.claims().expires_at(),
            Found::Bearer(token) => token.claims().expires_at(),
            Found::Nothing => return None,
        };
        self.ends_streams
            .then(|| (Arc::clone(&self.rule.config), expires_at))
    }

    /// The next nonce, if this policy asks for one and that of the proof is about to retire, or if it is
    /// offered to everybody.
    fn new_nonce(&self, policy: &Policy) -> Option<String> {
        match &self.found {
            _ if policy.requirements().offers_nonce() => self.rule.config.current_nonce(policy),
            Found::Bound(_, facts) if facts.nonce == Some(NonceStatus::Retiring) => {
                self.rule.config.current_nonce(policy)
            }
            Found::Bound(..) | Found::Bearer(_) | Found::Nothing => None,
        }
    }

    /// Rejects a request whose token is not what a handler asks for. Where only a bound one will do, no
    /// other is asked for. The nonce goes with the challenge.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn reject(
        &self,
        error: impl Into<TokenError>,
        only_bound: bool,
    ) -> (Rejection, Option<String>) {
        let challenge = self.rule.challenge(self.presented);
        let challenge = if only_bound {
            challenge.without_bearer()
        } else {
            challenge
        };
        let rejection = Cause::Token(error.into());
        let rejection = self.rule.rejection_with(rejection, challenge);
        rejection.log();
        count::rejected(self.rule.policy.mode(), rejection.reason());
        let nonce = self.rule.config.current_nonce(&self.rule.policy);
        (rejection, nonce)
    }
}
