use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use http::{HeaderValue, Response};

use super::RequestShape;
use crate::{
    config::Settings,
    credentials::{Presented, RequestErrorKind, Scheme},
    jwk::Thumbprint,
    policy::{Mode, Policy},
    rejection::{
        Bearer, Cause, Challenge, ChallengeParams, DefaultRejectionResponse, Rejection,
        RejectionKind, RejectionResponse, nonce_value,
    },
    telemetry::{self, Outcome},
};

/// The rule of a layer: a policy, its configuration, and the form of rejections.
///
/// One `Arc` holds all of it, so a request changes only one shared counter.
#[derive(Clone)]
pub(crate) struct Rule {
    pub(crate) config: Arc<Settings>,
    pub(crate) policy: Policy,
    /// Is `true` if the layer ends streams when the token expires, unless the policy exempts them.
    pub(crate) ends_streams: bool,
    responder: Arc<dyn RejectionResponse>,
    /// The reason why this rule rejects every request, if it does.
    pub(super) rejects: Option<RequestErrorKind>,
    /// The patterns that the rule belongs to, if it comes from a table.
    pub(super) route: Option<Arc<str>>,
    /// Computed for the first challenge.
    params: OnceLock<Arc<ChallengeParams>>,
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
            params: OnceLock::new(),
        }
    }

    /// Returns the same rule with another policy, and with what the configuration requires of every policy.
    pub(crate) fn with_policy(&self, policy: Policy) -> Self {
        Self {
            policy: self.config.in_force(policy),
            params: OnceLock::new(),
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

    /// Rejects a request.
    ///
    /// Every rejection is made here: it gets its challenge and its nonce, is counted, and is logged.
    pub(crate) fn reject(&self, cause: Cause, shape: RequestShape) -> Rejection {
        let mut rejection = self.rejection(cause, shape);
        rejection.nonce = match rejection.kind() {
            // A fence asks for a nonce that the policy does not require.
            RejectionKind::UseDpopNonce => {
                (self.config.next_nonce(shape.nonce_key)).and_then(nonce_value)
            }
            _ => self.current_nonce(shape.nonce_key),
        };
        rejection.offers_nonce = self.config.offers_nonce(&self.policy);
        self.count(Outcome::Rejected, &rejection);
        if rejection.kind() == RejectionKind::UseDpopNonce {
            telemetry::nonce_challenge();
        }
        rejection.log();
        rejection
    }

    /// Reports a request that would be rejected if the policy were strict.
    pub(crate) fn report(&self, cause: Cause, shape: RequestShape) -> Rejection {
        let rejection = self.rejection(cause, shape);
        self.count(Outcome::WouldReject, &rejection);
        rejection.log_reported();
        rejection
    }

    fn count(&self, outcome: Outcome, rejection: &Rejection) {
        telemetry::verdict(self.policy.mode().as_str(), outcome, rejection.reason());
    }

    fn rejection(&self, cause: Cause, shape: RequestShape) -> Rejection {
        let (challenge, hint) = (self.challenge(shape), shape.hint(&cause));
        let (policy, route) = (self.policy.clone(), self.route.clone());
        Rejection::new(cause, challenge, policy, route, hint, shape.grpc)
    }

    /// Returns the response to a rejected request.
    pub(crate) fn respond(&self, rejection: Rejection) -> Response<Bytes> {
        rejection.into_response(&*self.responder)
    }

    /// Returns the current nonce if the policy requires or offers nonces.
    pub(super) fn current_nonce(&self, thumbprint: Option<Thumbprint>) -> Option<HeaderValue> {
        nonce_value(self.config.current_nonce(&self.policy, thumbprint)?)
    }

    fn challenge(&self, shape: RequestShape) -> Challenge {
        let bearer = match shape.presented {
            _ if shape.only_bound || !self.policy.accepts_bearer_scheme() => Bearer::NotAccepted,
            Presented::One(Scheme::Bearer) => Bearer::Presented,
            Presented::Several => Bearer::Ambiguous,
            Presented::Nothing | Presented::One(Scheme::Dpop) => Bearer::Accepted,
        };
        let algorithms = self.config.proof.allowed_algorithms();
        let params = || Arc::new(ChallengeParams::of(&self.policy, algorithms));
        Challenge::new(Arc::clone(self.params.get_or_init(params)), bearer)
            .with_resource_metadata(self.config.metadata_url(shape.resource))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}
