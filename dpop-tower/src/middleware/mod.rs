//! The tower middleware: [`DpopLayer`] and the service it makes.

mod future;
mod grpc;
mod layer;
mod report;
mod service;

pub use self::{future::ResponseFuture, layer::DpopLayer, report::Report, service::Dpop};

use std::sync::Arc;

use http::Extensions;

use crate::{
    config::DpopConfig,
    policy::{Mode, Policy},
    rejection::Challenge,
    token::{BearerToken, BoundToken, TokenErrorKind},
    verifier::Admission,
};

/// Left in the extensions of a request that a layer has passed on, for layers and extractors further
/// in.
#[derive(Clone)]
pub(crate) struct Admitted {
    config: Arc<DpopConfig>,
    found: Found,
    #[cfg_attr(
        not(feature = "axum"),
        expect(dead_code, reason = "only extractors ask for another token")
    )]
    challenge: Challenge,
}

/// What the request was let in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Bound,
    Bearer,
    /// Nothing: the layer refuses nobody.
    Nothing,
}

impl Admitted {
    /// Records who was let in. What an outer layer of another configuration found is replaced as a
    /// whole, so that the tokens in the extensions are always those of the innermost verdict.
    fn record(
        extensions: &mut Extensions,
        admission: Admission,
        config: &Arc<DpopConfig>,
        challenge: Challenge,
    ) {
        extensions.remove::<BoundToken>();
        extensions.remove::<BearerToken>();
        let found = match admission {
            Admission::Bound { token, .. } => {
                extensions.insert(token);
                Found::Bound
            }
            Admission::Bearer(token) => {
                extensions.insert(token);
                Found::Bearer
            }
        };
        extensions.insert(Self {
            config: Arc::clone(config),
            found,
            challenge,
        });
    }

    /// Records that a layer was there and let the request pass for no merit of its own. What a layer
    /// further out has found stays as it is.
    fn record_nothing(
        extensions: &mut Extensions,
        config: &Arc<DpopConfig>,
        challenge: impl FnOnce() -> Challenge,
    ) {
        if extensions.get::<Self>().is_none() {
            extensions.insert(Self {
                config: Arc::clone(config),
                found: Found::Nothing,
                challenge: challenge(),
            });
        }
    }

    /// The verdict of an outer layer with the same configuration, if there is one: the request is
    /// not verified twice, or its own proof would count as a replay.
    fn find<'e>(extensions: &'e Extensions, config: &Arc<DpopConfig>) -> Option<&'e Self> {
        extensions
            .get::<Self>()
            .filter(|admitted| Arc::ptr_eq(&admitted.config, config))
            .filter(|admitted| admitted.found != Found::Nothing)
    }

    /// Whether what was let in there is let in here too. An inner layer can only be stricter.
    fn satisfies(&self, policy: Policy) -> Result<(), TokenErrorKind> {
        match policy.mode() {
            Mode::Strict | Mode::ReportOnly if self.found != Found::Bound => {
                Err(TokenErrorKind::SchemeNotAccepted)
            }
            Mode::Strict | Mode::ReportOnly | Mode::Optional | Mode::Off => Ok(()),
        }
    }

    /// How an extractor asks for another token, or, where only a bound one will do, for that.
    #[cfg(feature = "axum")]
    pub(crate) fn challenge(&self, only_bound: bool) -> Challenge {
        if only_bound {
            self.challenge.without_bearer()
        } else {
            self.challenge.clone()
        }
    }

    /// What goes with the challenge if nonces are on.
    #[cfg(feature = "axum")]
    pub(crate) fn current_nonce(&self) -> Option<String> {
        self.config.current_nonce()
    }
}
