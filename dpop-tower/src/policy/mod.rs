//! What a route asks of a request.
//!
//! A [`Policy`] says how strict a route is and what it asks beyond a good token and proof. A layer has
//! one ([`DpopLayer::with_policy`](crate::DpopLayer::with_policy)), or a [`PolicyTable`] that chooses by
//! path and method.
//!
//! ```
//! use dpop_tower::Policy;
//! use std::time::Duration;
//!
//! let read = Policy::strict().require_any_scope(["orders:read", "orders:write"]).build()?;
//! let pay = Policy::strict()
//!     .require_scope("payments:write")
//!     .require_nonce()
//!     .require_acr(["urn:example:mfa"])
//!     .max_auth_age(Duration::from_secs(300))
//!     .build()?;
//! # Ok::<(), dpop_tower::ConfigError>(())
//! ```

mod error;
mod layer;
mod path;
mod requirements;
mod table;

pub use self::{
    error::PolicyErrorKind,
    layer::LayerPolicy,
    path::MalformedPath,
    table::{PolicyTable, PolicyTableBuilder},
};
pub(crate) use self::{
    layer::sealed::Policies,
    requirements::{ProofFacts, Requirements, is_nqchars},
    table::{Choice, Rows},
};

use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use serde_json::Value;

use crate::{
    crypto::Algorithm,
    error::{ConfigError, ConfigErrorKind},
};

/// How strict a route is, and what it asks for.
///
/// The default is [`strict`](Self::strict). Methods that ask for more make a `Policy<Draft>`, since what
/// they are given may be wrong. [`build`](Policy::build) checks it; a [`PolicyTable`] and a
/// [configuration](crate::DpopConfigBuilder::policy) take a draft, too, and check it when they are built.
///
/// Of two layers around one handler, each is obeyed. Clones are cheap.
#[must_use]
pub struct Policy<S = Checked> {
    mode: Mode,
    requirements: Arc<Requirements>,
    state: PhantomData<S>,
}

/// Marks a [`Policy`] that can be met.
#[derive(Clone, Copy, Debug)]
pub enum Checked {}

/// Marks a [`Policy`] that has not been checked yet.
#[derive(Clone, Copy, Debug)]
pub enum Draft {}

/// Which requests a [`Policy`] lets through.
///
/// # Metrics
///
/// With the feature `metrics`, every request that a layer has looked at counts once in the counter
/// `dpop_verdicts_total` of the [`metrics`](https://docs.rs/metrics) crate's recorder, if the program has one:
///
/// | label | values |
/// |---|---|
/// | `mode` | [`as_str`](Self::as_str) of the policy's mode; nothing is counted where it is `off` |
/// | `verdict` | `admitted`, `rejected`, or `would_reject` where the policy only reports |
/// | `reason` | [`Rejection::reason`](crate::rejection::Rejection::reason), or `none` |
///
/// An inner layer counts what it rejects, on top of what the outer one has counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// A token that is bound to a key, with a proof of that key.
    #[default]
    Strict,
    /// That, or a token that is bound to nothing with the `Bearer` scheme.
    Optional,
    /// Everything; what [`Strict`](Self::Strict) would say of it is reported.
    ReportOnly,
    /// Everything; nothing is looked at.
    Off,
    /// Nothing.
    Deny,
}

impl Mode {
    /// The name in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Optional => "optional",
            Self::ReportOnly => "report_only",
            Self::Off => "off",
            Self::Deny => "deny",
        }
    }

    /// The one of both that lets fewer requests through.
    pub(crate) const fn stricter(self, other: Self) -> Self {
        if self.strictness() < other.strictness() {
            other
        } else {
            self
        }
    }

    pub(crate) const fn strictness(self) -> u8 {
        match self {
            Self::Off => 0,
            Self::ReportOnly => 1,
            Self::Optional => 2,
            Self::Strict => 3,
            Self::Deny => 4,
        }
    }

    /// Whether requests can be rejected.
    pub(crate) const fn enforces(self) -> bool {
        matches!(self, Self::Strict | Self::Optional | Self::Deny)
    }
}

impl Policy {
    /// Only a bound token with the `DPoP` scheme and a proof passes (RFC 9449 section 7.1).
    pub fn strict() -> Self {
        Self::of(Mode::Strict)
    }

    /// An unbound token with the `Bearer` scheme passes too (RFC 9449 section 7.2), for an API whose
    /// clients do not all know DPoP yet. A bound token that is sent as `Bearer` is rejected all the
    /// same: it may be stolen. A request without a token is rejected as well.
    ///
    /// Handlers tell the two apart by [`BoundToken`](crate::BoundToken) and
    /// [`BearerToken`](crate::token::BearerToken).
    pub fn optional() -> Self {
        Self::of(Mode::Optional)
    }

    /// Nothing is rejected. What [`strict`](Self::strict) would do with a request is found out all the
    /// same, and said in a [`Report`](crate::Report) in the request's extensions and, if it would be
    /// rejected, in the log: for an API that is on its way from bearer tokens to DPoP.
    ///
    /// The request and its response are otherwise left as they are, but for two things: the request
    /// may wait for the issuer's keys, and a proof that is good counts as used. Nonces are not asked
    /// for, and not looked at, since no client gets one.
    ///
    /// **This protects nothing**: whoever has relied on something else so far, such as a layer that
    /// checks bearer tokens, has to go on doing so. In a handler, a [`BoundToken`](crate::BoundToken)
    /// is as good as ever, but its absence says nothing about the request.
    #[doc(alias = "dry_run")]
    pub fn report_only() -> Self {
        Self::of(Mode::ReportOnly)
    }

    /// The layer does nothing at all, as if it were not there.
    ///
    /// **This protects nothing.** An outer or an inner layer still does what its own policy says.
    pub fn off() -> Self {
        Self::of(Mode::Off)
    }

    /// Every request is rejected with 403, whatever its token. It is for what a [`PolicyTable`] does
    /// not list; see [`PolicyTableBuilder::otherwise`].
    pub fn deny() -> Self {
        Self::of(Mode::Deny)
    }

    fn of(mode: Mode) -> Self {
        Self {
            mode,
            requirements: Arc::default(),
            state: PhantomData,
        }
    }

    /// The same requirements in another mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> Self {
        Self {
            mode,
            ..self.clone()
        }
    }

    /// What has to be satisfied where both this policy and `other` are to be.
    ///
    /// As with nested layers, one that rejects nothing has no say beside one that does.
    pub(crate) fn and(self, other: &Self) -> Self {
        match (self.mode.enforces(), other.mode.enforces()) {
            (true, false) => self,
            (false, true) => other.clone(),
            _ => Self {
                mode: self.mode.stricter(other.mode),
                requirements: Arc::new((*self.requirements).clone().and(&other.requirements)),
                state: PhantomData,
            },
        }
    }
}

impl<S> Policy<S> {
    /// Which requests pass.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The token needs this scope; called again, that one too. Otherwise the answer is 403 with
    /// `insufficient_scope` (RFC 6750 section 3.1).
    ///
    /// It is one scope (RFC 6749 section 3.3), so it has no space in it.
    #[doc(alias = "scope")]
    #[doc(alias = "scopes")]
    pub fn require_scope(self, scope: impl Into<String>) -> Policy<Draft> {
        self.require_any_scope([scope.into()])
    }

    /// The token needs one of these scopes at least. Clients are told of the first, so that they know
    /// what to ask for.
    pub fn require_any_scope<T: Into<String>>(
        self,
        scopes: impl IntoIterator<Item = T>,
    ) -> Policy<Draft> {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.with(|requirements| requirements.scopes.push(scopes))
    }

    /// The proof needs a nonce, also where [`require_nonces`](crate::DpopConfigBuilder::require_nonces) is
    /// not set (RFC 9449 section 9).
    pub fn require_nonce(self) -> Policy<Draft> {
        self.with(|requirements| requirements.nonce = true)
    }

    /// The proof may be this old at most, in whole seconds. It does not lengthen what the
    /// [configuration](crate::DpopConfigBuilder::max_age) says.
    pub fn max_proof_age(self, max_age: Duration) -> Policy<Draft> {
        self.with(|requirements| {
            requirements.max_age =
                Some(requirements.max_age.map_or(max_age, |old| old.min(max_age)));
        })
    }

    /// The proof is signed with one of these, of those that the
    /// [configuration](crate::DpopConfigBuilder::algorithms) allows.
    pub fn proof_algorithms(
        self,
        algorithms: impl IntoIterator<Item = Algorithm>,
    ) -> Policy<Draft> {
        let allowed: Vec<_> = algorithms.into_iter().collect();
        self.with(|requirements| match &mut requirements.algorithms {
            None => requirements.algorithms = Some(allowed),
            Some(before) => before.retain(|algorithm| allowed.contains(algorithm)),
        })
    }

    /// The user was authenticated in one of these ways: the token's `acr` is one of them, the preferred
    /// first. Otherwise the answer is 401 with `insufficient_user_authentication` (RFC 9470 section 3).
    #[doc(alias = "step_up")]
    pub fn require_acr<T: Into<String>>(
        self,
        values: impl IntoIterator<Item = T>,
    ) -> Policy<Draft> {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.with(|requirements| match &mut requirements.acr {
            None => requirements.acr = Some(values),
            Some(before) => before.retain(|value| values.contains(value)),
        })
    }

    /// The user was authenticated at most this long ago, in whole seconds, going by the token's
    /// `auth_time`. Otherwise the answer is 401 with `insufficient_user_authentication` (RFC 9470
    /// section 3).
    pub fn max_auth_age(self, max_age: Duration) -> Policy<Draft> {
        self.with(|requirements| {
            let shortest = requirements
                .max_auth_age
                .map_or(max_age, |old| old.min(max_age));
            requirements.max_auth_age = Some(shortest);
        })
    }

    /// The token has a claim of this name that `predicate` agrees to. Otherwise the answer is 403 with
    /// `insufficient_scope`.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let staff = Policy::strict().require_claim("groups", |groups| {
    ///     groups.as_array().is_some_and(|groups| groups.iter().any(|group| group == "staff"))
    /// });
    /// assert!(staff.build().is_ok());
    /// ```
    pub fn require_claim(
        self,
        name: impl Into<String>,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Policy<Draft> {
        let name = name.into();
        self.with(|requirements| {
            requirements
                .claims
                .push(requirements::Claim::new(name, predicate));
        })
    }

    /// Leaves streams open that are still being served when their token expires, where a layer would
    /// end them ([`DpopLayer::end_streams_at_expiry`](crate::DpopLayer::end_streams_at_expiry)).
    ///
    /// # Security
    ///
    /// Whoever was admitted once is served for as long as they keep the connection, whatever has become
    /// of their access since.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    pub fn danger_let_streams_outlive_tokens(self) -> Self {
        self.with(|requirements| requirements.streams_outlive_tokens = true)
    }

    /// Sends a nonce with every response, so that clients can get one before they need it. It asks for
    /// nothing, and is for open routes as well: `Policy::off().offer_nonce()`.
    pub fn offer_nonce(self) -> Self {
        self.with(|requirements| requirements.offers_nonce = true)
    }

    /// Whether streams are to end when the token expires: not where nothing is enforced.
    pub(crate) fn ends_streams(&self) -> bool {
        matches!(self.mode, Mode::Strict | Mode::Optional)
            && !self.requirements.streams_outlive_tokens
    }

    /// Checks what the policy asks for.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if no request can satisfy it, such as one that asks for a scope with a space in it;
    /// if it is [`off`](Self::off) or [`deny`](Self::deny) and asks for something, which would not be
    /// looked at; or if a duration is zero or has a fraction of a second.
    pub fn build(self) -> Result<Policy, ConfigError> {
        self.check().map_err(|why| {
            let message = format!("the policy cannot be used: {why}");
            ConfigError::new(ConfigErrorKind::Policy, message)
        })
    }

    pub(crate) fn check(self) -> Result<Policy, String> {
        self.requirements.check()?;
        if let (Mode::Off | Mode::Deny, Some(requirement)) = (self.mode, self.requirements.first())
        {
            let mode = self.mode.as_str();
            return Err(format!(
                "it asks for {requirement}, which is not looked at where the mode is `{mode}`; begin with \
                 `Policy::strict()`"
            ));
        }
        Ok(self.in_state())
    }

    pub(crate) fn into_draft(self) -> Policy<Draft> {
        self.in_state()
    }

    fn in_state<T>(self) -> Policy<T> {
        Policy {
            mode: self.mode,
            requirements: self.requirements,
            state: PhantomData,
        }
    }

    fn with<T>(mut self, change: impl FnOnce(&mut Requirements)) -> Policy<T> {
        change(Arc::make_mut(&mut self.requirements));
        self.in_state()
    }

    pub(crate) fn requirements(&self) -> &Requirements {
        &self.requirements
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::strict()
    }
}

impl From<Policy> for Policy<Draft> {
    fn from(policy: Policy) -> Self {
        policy.into_draft()
    }
}

impl<S> Clone for Policy<S> {
    fn clone(&self) -> Self {
        Self {
            mode: self.mode,
            requirements: Arc::clone(&self.requirements),
            state: PhantomData,
        }
    }
}

/// The mode and what is asked for, in one line.
impl<S> fmt::Display for Policy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.mode.as_str(), self.requirements)
    }
}

impl<S> fmt::Debug for Policy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Policy({self})")
    }
}
