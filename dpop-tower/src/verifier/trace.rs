//! What operators see of a verification: its span, and how long it takes.

use tracing::{Span, field::Empty};

use crate::{
    config::Settings,
    jwk::Thumbprint,
    policy::Mode,
    proof::VerifiedProof,
    rejection::Rejection,
    telemetry::{self, Outcome, Timer},
    token::VerifiedToken,
};

/// The characters of a thumbprint that a span has: 48 bits, enough to recognise a client in a log.
const SHORT: usize = 8;

/// An issuer that the configuration does not name is left out if it is longer than this, in bytes.
const MAX_ISSUER: usize = 255;

/// The span and the timer of one verification.
///
/// A field of the span has a value that this crate defines, that the operator configured, or that was verified. A
/// span that nobody listens to costs one comparison.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) span: Span,
    timer: Timer,
    mode: Mode,
}

impl Trace {
    /// Begins a span, unless the mode is off.
    pub(super) fn start(mode: Mode) -> Self {
        let span = match mode {
            Mode::Off => Span::none(),
            _ => tracing::info_span!(
                target: "dpop_tower::verify",
                "dpop.verify",
                mode = mode.as_str(),
                outcome = Empty,
                reason = Empty,
                issuer = Empty,
                algorithm = Empty,
                thumbprint = Empty,
            ),
        };
        Self {
            span,
            timer: Timer::start(),
            mode,
        }
    }

    /// Notes the issuer of a token, which has been verified.
    pub(super) fn token(&self, config: &Settings, token: &VerifiedToken) {
        if self.span.is_disabled() {
            return;
        }
        let Some(issuer) = token.claims().issuer() else {
            return;
        };
        let is_known = match &config.issuers {
            Some(issuers) => issuers.iter().any(|known| known == issuer),
            None => issuer.len() <= MAX_ISSUER,
        };
        if is_known {
            self.span.record("issuer", issuer);
        }
    }

    /// Notes the key of a proof and the offset of its clock. The signature has been verified.
    pub(super) fn proof(&self, proof: &VerifiedProof, clock_offset: i64) {
        telemetry::clock_offset(clock_offset);
        self.key(proof);
    }

    /// Notes the key of a proof, whose signature has been verified.
    pub(super) fn key(&self, proof: &VerifiedProof) {
        if !self.span.is_disabled() {
            self.span.record("algorithm", proof.algorithm().as_str());
            let thumbprint = shortened(proof.thumbprint());
            self.span.record("thumbprint", &*thumbprint);
        }
    }

    /// Counts an admitted request.
    pub(super) fn admitted(&self) {
        telemetry::verdict(self.mode.as_str(), Outcome::Admitted, "none");
        telemetry::verification(self.timer, Outcome::Admitted);
    }

    /// Notes a rejection, which has been counted.
    pub(super) fn rejected(&self, outcome: Outcome, rejection: &Rejection) {
        telemetry::verification(self.timer, outcome);
        self.end(outcome, rejection.reason());
    }

    /// Notes the outcome.
    pub(super) fn end(&self, outcome: Outcome, reason: &'static str) {
        if !self.span.is_disabled() {
            self.span.record("outcome", outcome.as_str());
            self.span.record("reason", reason);
        }
    }

    /// Ends the span, before the inner service is called.
    pub(super) fn close(&mut self) {
        self.span = Span::none();
    }
}

fn shortened(thumbprint: &Thumbprint) -> String {
    let mut text = thumbprint.to_string();
    text.truncate(SHORT);
    text
}
