#[cfg(feature = "lifetime")]
mod limit;

use std::{fmt, sync::Arc};

use http::{Extensions, HeaderMap, HeaderValue, header};

#[cfg(feature = "lifetime")]
pub(crate) use self::limit::Limit;
use super::{Report, RequestShape, Rule};
use crate::{
    config::Settings,
    credentials::Presented,
    header::DPOP_NONCE,
    policy::{Mode, Policy, PolicyErrorKind, ProofFacts},
    proof::NonceStatus,
    rejection::{Cause, NO_STORE},
    token::{BearerToken, BoundToken, CertificateBoundToken, TokenErrorKind},
};
#[cfg(any(feature = "axum", feature = "tonic"))]
use crate::{rejection::Rejection, token::TokenError};

/// An admitted request: its token, and the headers for its response.
///
/// A layer puts it into the extensions of the request, where inner layers and extractors find it. With a
/// [`Verifier`](crate::Verifier), [`record`](Self::record) does this:
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{BoundToken, DpopConfig, PublicOrigin, RequestHead, Verdict, Verifier};
/// # use dpop_tower::test_util::{TestClient, TestIssuer};
///
/// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
/// # let origin = PublicOrigin::new("https://api.example.com")?;
/// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
/// # let token = issuer.token().bound_to(&client).mint();
/// let verifier = Verifier::new(config);
/// let mut request = client.get("https://api.example.com/orders", &token);
///
/// let head = RequestHead::new(request.method(), request.uri(), request.headers());
/// let Verdict::Admitted(admitted) = verifier.verify_request(head).await else {
///     panic!("a valid request was rejected");
/// };
/// let headers = admitted.response_headers();
/// admitted.record(request.extensions_mut());
///
/// // The handler:
/// let token = request.extensions().get::<BoundToken>().unwrap();
/// assert_eq!(*token.thumbprint(), client.thumbprint());
///
/// let mut response = http::Response::new("three orders");
/// response.headers_mut().extend(headers);
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
#[derive(Clone)]
pub struct Admitted {
    with: Token,
    /// The rule of the innermost layer, or of an outer layer that is stricter.
    pub(super) rule: Arc<Rule>,
    #[cfg_attr(
        not(any(feature = "axum", feature = "tonic")),
        expect(dead_code, reason = "only handlers ask for another token")
    )]
    presented: Presented,
    /// The number of the resource, of those that have metadata.
    pub(crate) resource: usize,
    /// The strictest mode of the layers so far.
    mode: Mode,
    /// Is `true` if any layer so far ends streams when the token expires.
    ends_streams: bool,
    pub(crate) new_nonce: Option<HeaderValue>,
    report: Option<Report>,
}

/// The token that a request is admitted with.
#[derive(Clone)]
pub(super) enum Token {
    Bound(BoundToken, ProofFacts),
    Bearer(BearerToken),
    Certificate(CertificateBoundToken),
    /// The policy admits requests without a token.
    None,
}

impl Admitted {
    /// Returns the result of a rule, combined with the mode of the outer layers.
    pub(super) fn new(
        with: Token,
        rule: Arc<Rule>,
        shape: RequestShape,
        (outer_mode, outer_ends_streams): (Mode, bool),
    ) -> Self {
        let policy = &rule.policy;
        Self {
            with,
            presented: shape.presented,
            resource: shape.resource,
            mode: outer_mode.max(policy.mode()),
            ends_streams: outer_ends_streams || policy.ends_streams(),
            new_nonce: None,
            report: None,
            rule,
        }
    }

    /// Adds the next nonce if the nonce of the proof is about to retire, or if the policy offers nonces.
    pub(super) fn with_nonce(mut self, rule: &Rule) -> Self {
        let is_due = match &self.with {
            _ if rule.config.offers_nonce(&rule.policy) => true,
            Token::Bound(_, facts) => facts.nonce == Some(NonceStatus::Retiring),
            Token::Bearer(_) | Token::Certificate(_) => false,
            Token::None => true,
        };
        if is_due {
            let thumbprint = self.bound_token().map(|token| *token.thumbprint());
            self.new_nonce = rule.current_nonce(thumbprint);
        }
        self
    }

    pub(super) fn with_report(mut self, report: Option<Report>) -> Self {
        self.report = report;
        self
    }

    /// Returns the token if it is bound to the client's key.
    pub const fn bound_token(&self) -> Option<&BoundToken> {
        match &self.with {
            Token::Bound(token, _) => Some(token),
            Token::Bearer(_) | Token::Certificate(_) | Token::None => None,
        }
    }

    /// Returns the token if it is not bound at all.
    ///
    /// Only an [optional](Policy::optional) policy admits such a token.
    pub const fn bearer_token(&self) -> Option<&BearerToken> {
        match &self.with {
            Token::Bearer(token) => Some(token),
            Token::Bound(..) | Token::Certificate(_) | Token::None => None,
        }
    }

    /// Returns the token if it is bound to the client's certificate and to no key.
    ///
    /// Only a policy that [accepts such tokens](Policy::accept_certificate_bound) admits it.
    pub const fn certificate_bound_token(&self) -> Option<&CertificateBoundToken> {
        match &self.with {
            Token::Certificate(token) => Some(token),
            Token::Bound(..) | Token::Bearer(_) | Token::None => None,
        }
    }

    /// Returns the report of a [`Policy::report_only`] policy, and `None` with any other policy.
    pub const fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// Returns the headers that the response needs.
    ///
    /// They are empty, or they are a `DPoP-Nonce` for the client's next proof and
    /// `Cache-Control: no-store` (RFC 9449 section 8.2).
    pub fn response_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        write_nonce(&mut headers, self.new_nonce.as_ref());
        headers
    }

    /// Puts the token and the report into the extensions of the request.
    ///
    /// Extractors and layers of this crate look for them there. Tokens of an outer layer are replaced. If
    /// this request was admitted without a token, the verdict of an outer layer is kept.
    pub fn record(mut self, extensions: &mut Extensions) {
        if let Some(report) = self.report.take() {
            extensions.insert(report);
        }
        let was_looked_at = |outer: &Self| outer.mode != Mode::Off;
        match &self.with {
            // The verdict of an outer layer is kept.
            Token::None if extensions.get().is_some_and(was_looked_at) => return,
            Token::None => {}
            Token::Bound(token, _) => {
                extensions.remove::<BearerToken>();
                extensions.remove::<CertificateBoundToken>();
                extensions.insert(token.clone());
            }
            Token::Bearer(token) => {
                extensions.remove::<BoundToken>();
                extensions.remove::<CertificateBoundToken>();
                extensions.insert(token.clone());
            }
            Token::Certificate(token) => {
                extensions.remove::<BoundToken>();
                extensions.remove::<BearerToken>();
                extensions.insert(token.clone());
            }
        }
        extensions.insert(self);
    }

    /// Returns whether a layer of the same configuration has already verified a token.
    ///
    /// Such a request is not verified twice, or its own proof would count as a replay.
    pub(super) fn is_verified_by(&self, config: &Arc<Settings>) -> bool {
        !self.is_without_token() && Arc::ptr_eq(&self.rule.config, config)
    }

    /// Returns the strictest mode of the layers up to this one, and whether any of them ends streams.
    pub(super) const fn so_far(&self) -> (Mode, bool) {
        (self.mode, self.ends_streams)
    }

    /// Returns the verdict of an inner layer of the same configuration that also admits the request.
    ///
    /// Extractors use the challenge of the innermost layer, unless an outer layer is stricter.
    pub(super) fn agreed(&self, rule: &Arc<Rule>) -> Self {
        let mode = rule.policy.mode();
        let outer = &self.rule.policy;
        let accepts_more =
            rule.policy.accepts_certificate_bound() && !outer.accepts_certificate_bound();
        let words = if outer.mode() < mode || outer.mode() == mode && !accepts_more {
            rule
        } else {
            &self.rule
        };
        Self {
            rule: Arc::clone(words),
            mode: self.mode.max(mode),
            ends_streams: self.ends_streams || rule.policy.ends_streams(),
            ..self.clone()
        }
    }

    /// Checks the request against the policy of an inner layer, which can only be stricter.
    pub(super) fn satisfies(&self, policy: &Policy) -> Result<(), Cause> {
        if policy.mode() == Mode::Deny {
            return Err(PolicyErrorKind::Denied.into());
        }
        if let Token::Bound(_, facts) = &self.with {
            let leeway = self.rule.config.proof.leeway;
            // The outer layer need not require nonces.
            let needs_nonce = self.rule.config.needs_nonce(policy);
            let now = self.rule.config.clock.now();
            (policy.requirements()).check_facts(*facts, needs_nonce, now, leeway)?;
        }
        self.grants(policy)
    }

    /// Checks the token alone against a policy.
    fn grants(&self, policy: &Policy) -> Result<(), Cause> {
        let (claims, has_certificate) = match (&self.with, policy.mode()) {
            (_, Mode::Off) => return Ok(()),
            (_, Mode::Deny) => return Err(PolicyErrorKind::Denied.into()),
            (Token::Bound(token, _), _) => {
                (token.claims(), token.certificate_thumbprint().is_some())
            }
            (Token::Certificate(token), _) if policy.accepts_certificate_bound() => {
                (token.claims(), true)
            }
            (Token::Bearer(token), Mode::Optional) => (token.claims(), false),
            // As if it had not been admitted by an outer layer.
            (Token::Certificate(_), Mode::Optional) => {
                return Err(TokenErrorKind::ConfirmationNotSupported.into());
            }
            (Token::Bearer(_) | Token::Certificate(_), Mode::Strict | Mode::ReportOnly)
            | (Token::None, _) => {
                return Err(TokenErrorKind::SchemeNotAccepted.into());
            }
        };
        let now = self.rule.config.clock.now();
        let requirements = policy.requirements();
        requirements.check_binding(has_certificate)?;
        Ok(requirements.check_token(claims, now)?)
    }

    /// Checks the token against `required`, which is a strict policy.
    ///
    /// The rule in the error makes a challenge with all requirements so far.
    pub(crate) fn require(&self, required: &Policy) -> Result<(), (Cause, Rule)> {
        // As strict as the strictest outer layer, but never without a token. A bearer token was admitted
        // by whatever put it there: between two layers it may have been exchanged for a bound one.
        let mode = match self.mode {
            _ if self.bearer_token().is_some() => Mode::Optional,
            Mode::Off => Mode::Strict,
            mode => mode,
        };
        // A requirement of scopes does not ask for another kind of token.
        let accepts_certificate_bound = self.certificate_bound_token().is_some()
            || self.rule.policy.accepts_certificate_bound();
        let required = (required.in_mode(mode)).with_certificate_bound(accepts_certificate_bound);
        match self.grants(&required) {
            Ok(()) => Ok(()),
            // The outer layer has already reported it.
            Err(_) if mode == Mode::ReportOnly && self.is_without_token() => Ok(()),
            Err(cause) => {
                let policy = self.rule.policy.in_mode(mode).and(&required);
                Err((cause, self.rule.with_policy(policy)))
            }
        }
    }

    /// Returns whether the layer has accepted the nonce of the proof.
    pub(super) fn has_good_nonce(&self) -> bool {
        match &self.with {
            Token::Bound(_, facts) => {
                let Rule { config, policy, .. } = &*self.rule;
                config.needs_nonce(policy)
                    && facts
                        .nonce
                        .is_some_and(|status| status != NonceStatus::Unknown)
            }
            Token::Bearer(_) | Token::Certificate(_) | Token::None => false,
        }
    }

    const fn is_without_token(&self) -> bool {
        matches!(self.with, Token::None)
    }

    /// Returns what ends streams, or `None` if they do not end.
    #[cfg(feature = "lifetime")]
    pub(crate) fn limit(&self) -> Option<Limit> {
        if !self.ends_streams {
            return None;
        }
        let (claims, thumbprint) = match &self.with {
            Token::Bound(token, _) => (token.claims(), Some(*token.thumbprint())),
            Token::Bearer(token) => (token.claims(), None),
            Token::Certificate(token) => (token.claims(), None),
            Token::None => return None,
        };
        let config = Arc::clone(&self.rule.config);
        Some(Limit::new(config, claims.clone(), thumbprint))
    }

    /// Rejects a request whose token does not suit a handler.
    ///
    /// With `only_bound`, the challenge has no `Bearer`. The rule makes the response.
    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn reject(
        &self,
        error: impl Into<TokenError>,
        only_bound: bool,
        shape: RequestShape,
    ) -> (Rejection, Arc<Rule>) {
        let shape = shape
            .for_handler(self.presented, only_bound)
            .of_resource(self.resource);
        let rejection = self.rule.reject(Cause::Token(error.into()), shape);
        (rejection, Arc::clone(&self.rule))
    }
}

/// Writes a nonce. RFC 9449 section 8.2: a response with a nonce must not be stored.
pub(crate) fn write_nonce(headers: &mut HeaderMap, nonce: Option<&HeaderValue>) {
    if let Some(nonce) = nonce {
        headers.insert(DPOP_NONCE, nonce.clone());
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("bound_token", &self.bound_token())
            .field("bearer_token", &self.bearer_token())
            .field("certificate_bound_token", &self.certificate_bound_token())
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
