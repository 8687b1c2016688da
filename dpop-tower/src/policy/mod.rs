//! Policies: what a route requires of a request.
//!
//! A [`Policy`] has a mode, which says how strict a route is, and requirements beyond a valid token and
//! proof. A layer has one policy ([`DpopLayer::with_policy`](crate::DpopLayer::with_policy)) or a
//! [`PolicyTable`], which selects policies by path and method.
//!
//! # Modes
//!
//! | mode | no token | unbound token as `Bearer` | bound token as `Bearer` | bound token with a proof |
//! |---|---|---|---|---|
//! | [`Policy::strict`] | 401 | 401 | 401 | admitted |
//! | [`Policy::optional`] | 401 | admitted | 401 | admitted |
//! | [`Policy::report_only`] | admitted, reported | admitted, reported | admitted, reported | admitted |
//! | [`Policy::off`] | admitted | admitted | admitted | admitted, not verified |
//! | [`Policy::deny`] | 403 | 403 | 403 | 403 |
//!
//! "Bound" means bound to a key. A token that is bound to a client certificate is rejected, unless it is bound
//! to a key as well, or the policy [accepts it](Policy::accept_certificate_bound).
//!
//! # Requirements
//!
//! Requirements are added to a mode. A request has to satisfy all of them:
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
mod mode;
mod path;
mod require;
mod requirements;
mod table;

pub use self::{
    error::PolicyErrorKind,
    layer::LayerPolicy,
    mode::Mode,
    path::MalformedPath,
    table::{PolicyTable, PolicyTableBuilder},
};
pub(crate) use self::{
    layer::sealed::Policies,
    requirements::{ProofFacts, Requirements, is_nqchars},
    table::{Choice, Rows},
};

use std::{fmt, marker::PhantomData, sync::Arc};

use crate::error::{ConfigError, ConfigErrorKind};

/// The mode and the requirements of a route.
///
/// The default is [`strict`](Self::strict). Methods that add a requirement return a `Policy<Draft>`,
/// because their arguments can be invalid. [`build`](Policy::build) checks them. A [`PolicyTable`] and a
/// [configuration](crate::DpopConfigBuilder::policy) also take a draft and check it when they are built.
///
/// When two layers are nested around a handler, a request has to satisfy the policies of both. Clones are
/// cheap.
#[must_use]
pub struct Policy<S = Checked> {
    mode: Mode,
    requirements: Arc<Requirements>,
    state: PhantomData<S>,
}

/// Marks a [`Policy`] that has been checked.
#[derive(Clone, Copy, Debug)]
pub enum Checked {}

/// Marks a [`Policy`] that has not been checked yet.
#[derive(Clone, Copy, Debug)]
pub enum Draft {}

impl Policy {
    /// Returns the same requirements in another mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> Self {
        Self {
            mode,
            ..self.clone()
        }
    }

    /// Returns a policy that is satisfied only if this policy and `other` are.
    ///
    /// As with nested layers, a policy that rejects nothing does not weaken one that does.
    pub(crate) fn and(self, other: &Self) -> Self {
        match (self.mode.enforces(), other.mode.enforces()) {
            (true, false) => self,
            (false, true) => other.clone(),
            _ => Self {
                mode: self.mode.max(other.mode),
                requirements: Arc::new((*self.requirements).clone().and(&other.requirements)),
                state: PhantomData,
            },
        }
    }
}

impl Policy {
    /// Adds the requirements of `base`, and keeps the mode. A policy that looks at no token stays as it is.
    pub(crate) fn requiring(self, base: &Self) -> Self {
        if matches!(self.mode, Mode::Off | Mode::Deny) {
            return self;
        }
        let mut requirements = (*self.requirements).clone().and(&base.requirements);
        // Not a requirement: `base` says nothing about streams.
        requirements.streams_outlive_tokens = self.requirements.streams_outlive_tokens;
        Self {
            requirements: Arc::new(requirements),
            ..self
        }
    }
}

impl<S> Policy<S> {
    /// Returns which requests are admitted.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns whether a token that is bound to the client's certificate alone can be admitted.
    pub(crate) fn accepts_certificate_bound(&self) -> bool {
        self.mode != Mode::Deny && self.requirements.accepts_certificate_bound
    }

    /// Returns whether any token can be admitted with the `Bearer` scheme.
    pub(crate) fn accepts_bearer_scheme(&self) -> bool {
        match self.mode {
            Mode::Optional => {
                self.accepts_certificate_bound() || !self.requirements.certificate_bound
            }
            Mode::Strict | Mode::ReportOnly => self.accepts_certificate_bound(),
            Mode::Off | Mode::Deny => false,
        }
    }

    /// Returns whether streams end when the token expires; they do not if nothing is enforced.
    pub(crate) fn ends_streams(&self) -> bool {
        matches!(self.mode, Mode::Strict | Mode::Optional)
            && !self.requirements.streams_outlive_tokens
    }

    /// Returns whether streams stay open when their token expires, whatever the layer says.
    pub(crate) fn lets_streams_outlive_tokens(&self) -> bool {
        self.requirements.streams_outlive_tokens
    }

    /// Checks the requirements.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] in these cases:
    ///
    /// - No request can satisfy the policy, for example because a scope has a space in it.
    /// - The policy is [`off`](Self::off) or [`deny`](Self::deny) and has requirements, which would be
    ///   ignored.
    /// - A duration is zero or has a fraction of a second.
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

    /// Also accepts tokens that are bound to a certificate alone, or does not.
    pub(crate) fn with_certificate_bound(mut self, is_accepted: bool) -> Self {
        if self.requirements.accepts_certificate_bound != is_accepted {
            Arc::make_mut(&mut self.requirements).accepts_certificate_bound = is_accepted;
        }
        self
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

/// Writes the mode and the requirements in one line.
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
