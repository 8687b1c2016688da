//! The tower middleware: [`DpopLayer`] and the service it makes.

mod future;
mod grpc;
mod layer;
mod service;

pub use self::{future::ResponseFuture, layer::DpopLayer, service::Dpop};

use std::sync::Arc;

use http::Extensions;

use crate::{
    config::DpopConfig,
    policy::{Mode, Policy},
    rejection::Challenge,
    token::{BearerToken, BoundToken, TokenErrorKind},
    verifier::Admission,
};

/// Left in the extensions of a request that a layer has let through, for layers and extractors
/// further in.
#[derive(Clone)]
pub(crate) struct Admitted {
    config: Arc<DpopConfig>,
    is_bound: bool,
    #[cfg_attr(
        not(feature = "axum"),
        expect(dead_code, reason = "only extractors ask for another token")
    )]
    challenge: Challenge,
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
        let is_bound = match admission {
            Admission::Bound { token, .. } => {
                extensions.insert(token);
                true
            }
            Admission::Bearer(token) => {
                extensions.insert(token);
                false
            }
        };
        extensions.insert(Self {
            config: Arc::clone(config),
            is_bound,
            challenge,
        });
    }

    /// The verdict of an outer layer with the same configuration, if there is one: the request is
    /// not verified twice, or its own proof would count as a replay.
    fn find<'e>(extensions: &'e Extensions, config: &Arc<DpopConfig>) -> Option<&'e Self> {
        extensions
            .get::<Self>()
            .filter(|admitted| Arc::ptr_eq(&admitted.config, config))
    }

    /// Whether what was let in there is let in here too. An inner layer can only be stricter.
    fn satisfies(&self, policy: Policy) -> Result<(), TokenErrorKind> {
        match policy.mode() {
            Mode::Strict if !self.is_bound => Err(TokenErrorKind::SchemeNotAccepted),
            Mode::Strict | Mode::Optional => Ok(()),
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
