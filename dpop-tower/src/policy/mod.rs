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
//! let read = Policy::strict().any_scope(["orders:read", "orders:write"]);
//! let pay = Policy::strict()
//!     .scope("payments:write")
//!     .require_nonce()
//!     .acr(["urn:example:mfa"])
//!     .max_auth_age(Duration::from_secs(300));
//! ```

mod demands;
mod error;
mod table;

pub(crate) use self::demands::{Demands, ProofFacts, is_nqchars};
pub use self::{
    error::PolicyErrorKind,
    table::{PolicyTable, PolicyTableBuilder},
};

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use crate::crypto::Algorithm;

/// How strict a route is, and what it asks for.
///
/// The default is [`strict`](Self::strict). Every other method asks for more, but for the one that has
/// `danger` in its name: of two layers around one handler, each is obeyed. Clones are cheap.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Policy {
    mode: Mode,
    demands: Arc<Demands>,
}

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
/// | `verdict` | `let_in`, `refused`, or `would_refuse` where the policy only reports |
/// | `reason` | [`Rejection::reason`](crate::rejection::Rejection::reason), or `none` |
///
/// A layer further in counts what it refuses, on top of what the outer one has counted.
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
}

impl Mode {
    /// The name in snake case, for logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Optional => "optional",
            Self::ReportOnly => "report_only",
            Self::Off => "off",
        }
    }

    /// The one of both that lets fewer requests through.
    pub(crate) const fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Strict, _) | (_, Self::Strict) => Self::Strict,
            (Self::Optional, _) | (_, Self::Optional) => Self::Optional,
            (Self::ReportOnly, _) | (_, Self::ReportOnly) => Self::ReportOnly,
            (Self::Off, Self::Off) => Self::Off,
        }
    }
}

impl Policy {
    /// Only a bound token with the `DPoP` scheme and a proof passes (RFC 9449 section 7.1).
    pub fn strict() -> Self {
        Self::of(Mode::Strict)
    }

    /// An unbound token with the `Bearer` scheme passes too (RFC 9449 section 7.2), for an API whose
    /// clients do not all know DPoP yet. A bound token that is sent as `Bearer` is refused all the
    /// same: it may be stolen. A request without a token is refused as well.
    ///
    /// Handlers tell the two apart by [`BoundToken`](crate::BoundToken) and
    /// [`BearerToken`](crate::token::BearerToken).
    pub fn optional() -> Self {
        Self::of(Mode::Optional)
    }

    /// Nothing is refused. What [`strict`](Self::strict) would do with a request is found out all the
    /// same, and said in a [`Report`](crate::Report) in the request's extensions and, if it would be
    /// refused, in the log: for an API that is on its way from bearer tokens to DPoP.
    ///
    /// The request and its response are otherwise left as they are, but for two things: the request
    /// may wait for the issuer's keys, and a proof that is good counts as used. Nonces are not asked
    /// for, and not looked at, since no client gets one.
    ///
    /// **This protects nothing**: whoever has relied on something else so far, such as a layer that
    /// checks bearer tokens, has to go on doing so. In a handler, a [`BoundToken`](crate::BoundToken)
    /// is as good as ever, but its absence says nothing about the request.
    pub fn report_only() -> Self {
        Self::of(Mode::ReportOnly)
    }

    /// The layer does nothing at all, as if it were not there.
    ///
    /// **This protects nothing.** A layer further out or further in still does what its own policy
    /// says.
    pub fn off() -> Self {
        Self::of(Mode::Off)
    }

    fn of(mode: Mode) -> Self {
        Self {
            mode,
            demands: Arc::default(),
        }
    }

    /// The same demands in another mode.
    pub(crate) fn in_mode(&self, mode: Mode) -> Self {
        Self {
            mode,
            demands: Arc::clone(&self.demands),
        }
    }

    /// Which requests pass.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The token needs this scope; called again, that one too. Otherwise the answer is 403 with
    /// `insufficient_scope` (RFC 6750 section 3.1).
    ///
    /// A text that is no scope (RFC 6749 section 3.3), such as one with a space in it, is one that no
    /// token has.
    pub fn scope(self, scope: impl Into<String>) -> Self {
        self.any_scope([scope.into()])
    }

    /// The token needs one of these scopes at least. Clients are told of the first, so that they know
    /// what to ask for.
    ///
    /// Of no scopes, no token has one.
    pub fn any_scope<S: Into<String>>(self, scopes: impl IntoIterator<Item = S>) -> Self {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.with(|demands| demands.scopes.push(scopes))
    }

    /// The proof needs a nonce, also where [nonces](crate::DpopConfigBuilder::nonces) are off (RFC 9449
    /// section 9).
    pub fn require_nonce(self) -> Self {
        self.with(|demands| demands.nonce = true)
    }

    /// The proof may be this old at most, in whole seconds. It does not lengthen what the
    /// [configuration](crate::DpopConfigBuilder::max_age) says.
    pub fn max_age(self, max_age: Duration) -> Self {
        self.with(|demands| {
            demands.max_age = Some(demands.max_age.map_or(max_age, |old| old.min(max_age)));
        })
    }

    /// The proof is signed with one of these, of those that the
    /// [configuration](crate::DpopConfigBuilder::algorithms) allows.
    pub fn algorithms(self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        let allowed: Vec<_> = algorithms.into_iter().collect();
        self.with(|demands| match &mut demands.algorithms {
            None => demands.algorithms = Some(allowed),
            Some(before) => before.retain(|algorithm| allowed.contains(algorithm)),
        })
    }

    /// The user was authenticated in one of these ways: the token's `acr` is one of them, the preferred
    /// first. Otherwise the answer is 401 with `insufficient_user_authentication` (RFC 9470 section 3).
    pub fn acr<S: Into<String>>(self, values: impl IntoIterator<Item = S>) -> Self {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        self.with(|demands| match &mut demands.acr {
            None => demands.acr = Some(values),
            Some(before) => before.retain(|value| values.contains(value)),
        })
    }

    /// The user was authenticated at most this long ago, in whole seconds, going by the token's
    /// `auth_time`. Otherwise the answer is 401 with `insufficient_user_authentication` (RFC 9470
    /// section 3).
    pub fn max_auth_age(self, max_age: Duration) -> Self {
        self.with(|demands| {
            let shortest = demands.max_auth_age.map_or(max_age, |old| old.min(max_age));
            demands.max_auth_age = Some(shortest);
        })
    }

    /// The token has a claim of this name that `predicate` agrees to. Otherwise the answer is 403 with
    /// `insufficient_scope`.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let staff = Policy::strict().claim("groups", |groups| {
    ///     groups.as_array().is_some_and(|groups| groups.iter().any(|group| group == "staff"))
    /// });
    /// ```
    pub fn claim(
        self,
        name: impl Into<String>,
        predicate: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let name = name.into();
        self.with(|demands| demands.claims.push(demands::Claim::new(name, predicate)))
    }

    /// Leaves streams open that are still being served when their token expires, where a layer would
    /// end them ([`DpopLayer::end_streams_at_expiry`](crate::DpopLayer::end_streams_at_expiry)).
    ///
    /// # Security
    ///
    /// Whoever was let in once is served for as long as they keep the connection, whatever has become
    /// of their access since.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    pub fn danger_let_streams_outlive_tokens(self) -> Self {
        self.with(|demands| demands.streams_outlive_tokens = true)
    }

    /// Whether streams are to end when the token expires: not where nothing is enforced.
    pub(crate) fn ends_streams(&self) -> bool {
        matches!(self.mode, Mode::Strict | Mode::Optional) && !self.demands.streams_outlive_tokens
    }

    fn with(mut self, change: impl FnOnce(&mut Demands)) -> Self {
        change(Arc::make_mut(&mut self.demands));
        self
    }

    pub(crate) fn demands(&self) -> &Demands {
        &self.demands
    }
}
