use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderValue, Response};

use super::{RequestShape, count};
use crate::{
    config::Settings,
    credentials::{Presented, RequestErrorKind, Scheme},
    policy::{Mode, Policy},
    rejection::{
        Bearer, Cause, Challenge, DefaultRejectionResponse, Rejection, RejectionResponse, Terms,
        nonce_value,
    },
};

/// What a layer goes by: a policy, how rejections put it, and the configuration that it is a policy of.
/// All in one, so that a request takes hold of it by a single count that processors have to share.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) config: Arc<Settings>,
    pub(crate) policy: Policy,
    /// Whether the layer ends streams when the token expires, where the policy has them ended.
    pub(crate) ends_streams: bool,
    responder: Arc<dyn RejectionResponse>,
    /// For requests that are rejected for this, whatever else they have.
    pub(super) rejects: Option<RequestErrorKind>,
    /// The patterns that it is for, if it comes from a table.
    pub(super) route: Option<Arc<str>>,
    /// Made for the first challenge.
    terms: OnceLock<Arc<Terms>>,
}

impl Rule {
    pub(crate) fn new(config: Arc<Settings>) -> Self {
        Self {
            policy: config.policy.clone(),
            config,
            ends_streams: false,
            responder: Arc::new(DefaultRejectionResponse),
            rejects: None,
            route: None,
            terms: OnceLock::new(),
        }
    }

    /// The same rule with another policy.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self {
            policy,
            terms: OnceLock::new(),
            ..self.clone()
        }
    }

    pub(crate) fn set_responder(&mut self, responder: &Arc<dyn RejectionResponse>) {
        self.responder = Arc::clone(responder);
    }

    pub(super) fn with_route(mut self, route: impl Into<Arc<str>>) -> Self {
        self.route = Some(route.into());
        self
    }

    pub(crate) fn only_reports(&self) -> bool {
        self.policy.mode() == Mode::ReportOnly
    }

    /// Rejects a request. Whoever rejects does it here: the rejection gets its challenge and its nonce, is
    /// counted, and has its line in the log.
    pub(crate) fn reject(&self, cause: Cause, shape: RequestShape) -> Rejection {
        self.rejected(cause, shape, self.challenge(shape.presented))
    }

    /// The same for a handler that no bearer token will do for.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(super) fn reject_unbound(&self, cause: Cause, shape: RequestShape) -> Rejection {
        let challenge = self.challenge(shape.presented).without_bearer();
        self.rejected(cause, shape, challenge)
    }

    fn rejected(&self, cause: Cause, shape: RequestShape, challenge: Challenge) -> Rejection {
        let rejection = self
            .rejection(cause, shape, challenge)
            .with_nonce(self.current_nonce());
        count::rejected(self.policy.mode(), rejection.reason());
        rejection.log();
        rejection
    }

    /// What becomes of a request that would be rejected if the policy did more than report.
    pub(crate) fn report(&self, cause: Cause, shape: RequestShape) -> Rejection {
        let rejection = self.rejection(cause, shape, self.challenge(shape.presented));
        count::would_reject(self.policy.mode(), rejection.reason());
        rejection.log_reported();
        rejection
    }

    fn rejection(&self, cause: Cause, shape: RequestShape, challenge: Challenge) -> Rejection {
        let hint = shape.hint(&cause);
        let (policy, route) = (self.policy.clone(), self.route.clone());
        Rejection::new(cause, challenge, policy, route, shape.grpc).with_hint(hint)
    }

    /// The response to a rejected request.
    pub(crate) fn respond(&self, rejection: Rejection) -> Response<Bytes> {
        rejection.into_response(&*self.responder)
    }

    /// The nonce to hand out now, where the policy needs or offers one.
    pub(super) fn current_nonce(&self) -> Option<HeaderValue> {
        nonce_value(self.config.current_nonce(&self.policy)?)
    }

    fn challenge(&self, presented: Presented) -> Challenge {
        let bearer = match (self.policy.mode(), presented) {
            (Mode::Strict | Mode::ReportOnly | Mode::Off | Mode::Deny, _) => Bearer::NotAccepted,
            (Mode::Optional, Presented::One(Scheme::Bearer)) => Bearer::Presented,
            (Mode::Optional, Presented::Several) => Bearer::Ambiguous,
            (Mode::Optional, Presented::Nothing | Presented::One(Scheme::Dpop)) => Bearer::Accepted,
        };
        let algorithms = self.config.proof.allowed_algorithms();
        let terms = || Arc::new(Terms::of(&self.policy, algorithms));
        Challenge::new(Arc::clone(self.terms.get_or_init(terms)), bearer)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
