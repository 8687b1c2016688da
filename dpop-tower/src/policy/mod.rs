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

/// Which requests a [`Policy`] admits.
///
/// # Metrics
///
/// With the feature `metrics`, each layer increments the counter `dpop_verdicts_total` once for every
/// request. It uses the recorder of the [`metrics`](https://docs.rs/metrics) crate, if the program has
/// installed one.
///
/// | label | values |
/// |---|---|
/// | `mode` | [`as_str`](Self::as_str) of the policy's mode; requests are not counted if it is `off` |
/// | `verdict` | `admitted`, `rejected`, or `would_reject` if the policy only reports |
/// | `reason` | [`Rejection::reason`](crate::rejection::Rejection::reason), or `none` |
///
/// An inner layer and an extractor count what they reject, in addition to what the outer layer has counted. A
/// request that is abandoned because its token expires is counted again, too. A
/// [`Verifier`](crate::Verifier) counts as a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Admits a token that is bound to a key, with a proof made with that key.
    #[default]
    Strict,
    /// Also admits an unbound token with the `Bearer` scheme.
    Optional,
    /// Admits everything, and reports what [`Strict`](Self::Strict) would have done.
    ReportOnly,
    /// Admits everything without looking at it.
    Off,
    /// Admits nothing.
    Deny,
}

impl Mode {
    /// Returns the name in snake case, as logs and metrics have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Optional => "optional",
            Self::ReportOnly => "report_only",
            Self::Off => "off",
            Self::Deny => "deny",
        }
    }

    /// Returns the mode that admits fewer requests.
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

    /// Returns whether requests can be rejected.
    pub(crate) const fn enforces(self) -> bool {
        matches!(self, Self::Strict | Self::Optional | Self::Deny)
    }
}

impl Policy {
    /// Admits only a bound token with the `DPoP` scheme and a proof (RFC 9449 section 7.1).
    pub fn strict() -> Self {
        Self::of(Mode::Strict)
    }

    /// Also admits an unbound token with the `Bearer` scheme (RFC 9449 section 7.2).
    ///
    /// Use it for an API with clients that do not support DPoP yet. A bound token that is sent as
    /// `Bearer` is rejected, since it may be stolen. A request without a token is rejected too.
    ///
    /// A handler distinguishes the two cases by [`BoundToken`](crate::BoundToken) and
    /// [`BearerToken`](crate::token::BearerToken).
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier};
    /// # use dpop_tower::test_util::{TestClient, TestIssuer};
    /// use http::Request;
    ///
    /// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
    /// let verifier = Verifier::new(config).with_policy(Policy::optional());
    /// let unbound = issuer.token().mint();
    /// let bound = issuer.token().bound_to(&client).mint();
    ///
    /// for (token, passes) in [(unbound, true), (bound, false)] {
    ///     let authorization = format!("Bearer {token}");
    ///     let request = Request::get("/orders").header("authorization", authorization).body(())?;
    ///     let head = RequestHead::new(request.method(), request.uri(), request.headers());
    ///     let verdict = verifier.verify_request(head).await;
    ///     assert_eq!(matches!(verdict, Verdict::Admitted(_)), passes);
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    pub fn optional() -> Self {
        Self::of(Mode::Optional)
    }

    /// Admits every request, and reports what [`strict`](Self::strict) would have done with it.
    ///
    /// Use it while an API moves from bearer tokens to DPoP. The verdict is in a
    /// [`Report`](crate::Report) in the request's extensions. If the request would have been rejected, it
    /// is in the log, too.
    ///
    /// The layer has two other effects: the request may wait for the issuer's keys, and a valid proof
    /// counts as used. Nonces are neither required nor checked, because no client gets one.
    ///
    /// # Security
    ///
    /// **This mode protects nothing.** If another layer checks bearer tokens today, keep it. A
    /// [`BoundToken`](crate::BoundToken) in a handler is verified as in any other mode, but its absence
    /// says nothing about the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin, Report};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// async fn orders(request: Request<()>) -> Result<Response<()>, http::Error> {
    ///     let report = request.extensions().get::<Report>().and_then(Report::rejection);
    ///     let report = report.map_or("ready for strict", |rejection| rejection.reason());
    ///     Response::builder().header("x-report", report).body(())
    /// }
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let layer = DpopLayer::new(config).with_policy(Policy::report_only());
    /// let service = ServiceBuilder::new().layer(layer).service(service_fn(orders));
    ///
    /// let response = service.oneshot(Request::new(())).await?;
    /// assert_eq!(response.status(), 200);
    /// assert_eq!(response.headers()["x-report"], "credentials_missing");
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    #[doc(alias = "dry_run")]
    pub fn report_only() -> Self {
        Self::of(Mode::ReportOnly)
    }

    /// Admits every request without looking at it, as if there were no layer.
    ///
    /// # Security
    ///
    /// **This mode protects nothing.** An outer or an inner layer still enforces its own policy.
    ///
    /// # Examples
    ///
    /// A health check stays open, and everything else is strict:
    ///
    /// ```
    /// use dpop_tower::{Policy, PolicyTable};
    ///
    /// let table = PolicyTable::builder()
    ///     .route("/health", Policy::off())
    ///     .otherwise(Policy::strict())
    ///     .build()?;
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn off() -> Self {
        Self::of(Mode::Off)
    }

    /// Rejects every request with 403, whatever its token.
    ///
    /// Use it for what a [`PolicyTable`] does not list; see [`PolicyTableBuilder::otherwise`]. The response
    /// has no challenge, because no token would be accepted.
    ///
    /// ```
    /// use dpop_tower::{Mode, Policy, PolicyTable};
    /// use http::Method;
    ///
    /// let table = PolicyTable::builder()
    ///     .route("/orders", Policy::strict())
    ///     .otherwise(Policy::deny())
    ///     .build()?;
    /// let mode = |path| Some(table.policy_for(&Method::GET, path).ok()??.mode());
    /// assert_eq!(mode("/orders"), Some(Mode::Strict));
    /// assert_eq!(mode("/order"), Some(Mode::Deny));
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
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
                mode: self.mode.stricter(other.mode),
                requirements: Arc::new((*self.requirements).clone().and(&other.requirements)),
                state: PhantomData,
            },
        }
    }
}

impl<S> Policy<S> {
    /// Returns which requests are admitted.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Requires that the token was issued by this issuer, which is one of the configured ones.
    ///
    /// Other requests are rejected with 401 and `invalid_token` (RFC 6750 section 3.1). Without this
    /// requirement, a policy accepts tokens of every configured issuer.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let staff = Policy::strict().require_issuer("https://staff.example.com").build()?;
    /// assert_eq!(staff.to_string(), "strict, issuer https://staff.example.com");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[doc(alias = "issuers")]
    pub fn require_issuer(self, issuer: impl Into<String>) -> Policy<Draft> {
        self.require_any_issuer([issuer.into()])
    }

    /// Requires that the token was issued by one of these issuers; see
    /// [`require_issuer`](Self::require_issuer). A further call keeps only the issuers of both lists.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let policy = Policy::strict()
    ///     .require_any_issuer(["https://staff.example.com", "https://partners.example.com"])
    ///     .build()?;
    /// assert!(Policy::strict().require_any_issuer([""; 0]).build().is_err());
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn require_any_issuer<T: Into<String>>(
        self,
        issuers: impl IntoIterator<Item = T>,
    ) -> Policy<Draft> {
        let issuers: Vec<String> = issuers.into_iter().map(Into::into).collect();
        self.with(|requirements| match &mut requirements.issuers {
            None => requirements.issuers = Some(issuers),
            Some(before) => before.retain(|issuer| issuers.contains(issuer)),
        })
    }

    /// Requires that the token has this scope. Further calls require further scopes.
    ///
    /// Other requests are rejected with 403 and `insufficient_scope` (RFC 6750 section 3.1). A scope has
    /// no space in it (RFC 6749 section 3.3).
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let both = Policy::strict().require_scope("orders").require_scope("payments").build()?;
    /// assert_eq!(both.to_string(), "strict, scope orders, scope payments");
    /// assert!(Policy::strict().require_scope("orders payments").build().is_err());
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[doc(alias = "scope")]
    #[doc(alias = "scopes")]
    pub fn require_scope(self, scope: impl Into<String>) -> Policy<Draft> {
        self.require_any_scope([scope.into()])
    }

    /// Requires that the token has at least one of these scopes.
    ///
    /// The challenge names the first of them, so that clients know which one to request. With an empty
    /// list, [`build`](Self::build) returns an error.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let read = Policy::strict().require_any_scope(["orders:read", "orders:write"]).build()?;
    /// assert_eq!(read.to_string(), "strict, any scope of orders:read orders:write");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn require_any_scope<T: Into<String>>(
        self,
        scopes: impl IntoIterator<Item = T>,
    ) -> Policy<Draft> {
        let scopes = scopes.into_iter().map(Into::into).collect();
        self.with(|requirements| requirements.scopes.push(scopes))
    }

    /// Requires that the proof has a nonce, even if the configuration does not
    /// [require nonces](crate::DpopConfigBuilder::require_nonces) everywhere (RFC 9449 section 9).
    ///
    /// A request without a current nonce is rejected with 401, `use_dpop_nonce` and a `DPoP-Nonce` header.
    /// The client repeats it with this nonce:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier};
    /// # use dpop_tower::test_util::{TestClient, TestIssuer};
    ///
    /// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
    /// let verifier = Verifier::new(config);
    /// let policy = Policy::strict().require_nonce().build()?;
    ///
    /// let token = issuer.token().bound_to(&client).mint();
    /// let request = client.get("https://api.example.com/orders", &token);
    /// let head = RequestHead::new(request.method(), request.uri(), request.headers());
    /// let Verdict::Rejected(rejection) = verifier.verify(head, &policy).await else {
    ///     panic!("a proof without a nonce was admitted");
    /// };
    /// assert_eq!(rejection.reason(), "proof_nonce_missing");
    /// assert!(rejection.headers().contains_key("dpop-nonce"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    pub fn require_nonce(self) -> Policy<Draft> {
        self.with(|requirements| requirements.nonce = true)
    }

    /// Limits the age of the proof, in whole seconds.
    ///
    /// It can only shorten the age that the [configuration](crate::DpopConfigBuilder::max_age) allows. If
    /// it is called twice, the shorter age applies. The [leeway](crate::DpopConfigBuilder::leeway) of the
    /// configuration is added to it.
    ///
    /// ```
    /// use dpop_tower::Policy;
    /// use std::time::Duration;
    ///
    /// let fresh = Policy::strict().max_proof_age(Duration::from_secs(5)).build()?;
    /// assert!(Policy::strict().max_proof_age(Duration::from_millis(500)).build().is_err());
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn max_proof_age(self, max_age: Duration) -> Policy<Draft> {
        self.with(|requirements| {
            requirements.max_age =
                Some(requirements.max_age.map_or(max_age, |old| old.min(max_age)));
        })
    }

    /// Requires that the proof is signed with one of these algorithms.
    ///
    /// It can only remove some of those that the [configuration](crate::DpopConfigBuilder::algorithms)
    /// allows. The challenge lists the algorithms that remain.
    ///
    /// ```
    /// use dpop_tower::{Policy, crypto::Algorithm};
    ///
    /// let policy = Policy::strict().proof_algorithms([Algorithm::Es256]).build()?;
    /// assert_eq!(policy.to_string(), "strict, algorithms ES256");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
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

    /// Requires that the token's `acr` is one of these values, in order of preference.
    ///
    /// Other requests are rejected with 401 and `insufficient_user_authentication` (RFC 9470 section 3).
    /// The challenge lists the values, so that the client can send the user to the issuer again:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier};
    /// # use dpop_tower::test_util::{TestClient, TestIssuer};
    ///
    /// # let (issuer, client) = (TestIssuer::new(), TestClient::new());
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, issuer.tokens()).build()?;
    /// let verifier = Verifier::new(config);
    /// let pay = Policy::strict().require_acr(["urn:example:mfa"]).build()?;
    ///
    /// for (acr, passes) in [("urn:example:password", false), ("urn:example:mfa", true)] {
    ///     let token = issuer.token().acr(acr).bound_to(&client).mint();
    ///     let request = client.get("https://api.example.com/pay", &token);
    ///     let head = RequestHead::new(request.method(), request.uri(), request.headers());
    ///     match verifier.verify(head, &pay).await {
    ///         Verdict::Admitted(_) => assert!(passes),
    ///         Verdict::Rejected(rejection) => {
    ///             assert!(!passes);
    ///             let challenge = rejection.headers()["www-authenticate"].clone();
    ///             assert!(challenge.to_str()?.contains(r#"acr_values="urn:example:mfa""#));
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
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

    /// Requires that the user was authenticated at most this long ago, in whole seconds, according to
    /// the token's `auth_time`.
    ///
    /// Other requests are rejected with 401 and `insufficient_user_authentication` (RFC 9470 section 3). A
    /// token without `auth_time` is rejected, too.
    ///
    /// ```
    /// use dpop_tower::Policy;
    /// use std::time::Duration;
    ///
    /// let policy = Policy::strict().max_auth_age(Duration::from_secs(300)).build()?;
    /// assert_eq!(policy.to_string(), "strict, authenticated within 300s");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn max_auth_age(self, max_age: Duration) -> Policy<Draft> {
        self.with(|requirements| {
            let shortest = requirements
                .max_auth_age
                .map_or(max_age, |old| old.min(max_age));
            requirements.max_auth_age = Some(shortest);
        })
    }

    /// Requires that the token has a claim of this name for which `predicate` returns `true`.
    ///
    /// Other requests are rejected with 403 and `insufficient_scope`.
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

    /// Exempts this route from
    /// [`DpopLayer::end_streams_at_expiry`](crate::DpopLayer::end_streams_at_expiry): streams stay open
    /// when their token expires.
    ///
    /// # Security
    ///
    /// A client that was admitted once is served for as long as it keeps the connection, even if its
    /// access has been revoked since. Use it only for streams whose content is public.
    #[cfg(feature = "lifetime")]
    #[cfg_attr(docsrs, doc(cfg(feature = "lifetime")))]
    pub fn danger_let_streams_outlive_tokens(self) -> Self {
        self.with(|requirements| requirements.streams_outlive_tokens = true)
    }

    /// Sends a nonce with every response, so that clients can get one before they need it.
    ///
    /// This is not a requirement, so it can be combined with any mode. An open route saves clients their
    /// first challenge:
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use http::{Request, Response};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let service = ServiceBuilder::new()
    ///     .layer(DpopLayer::new(config).with_policy(Policy::off().offer_nonce().build()?))
    ///     .service(service_fn(async |_: Request<()>| Ok::<_, std::io::Error>(Response::new(()))));
    ///
    /// let response = service.oneshot(Request::new(())).await?;
    /// assert_eq!(response.status(), 200);
    /// assert!(response.headers().contains_key("dpop-nonce"));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    pub fn offer_nonce(self) -> Self {
        self.with(|requirements| requirements.offers_nonce = true)
    }

    /// Returns whether streams end when the token expires; they do not if nothing is enforced.
    pub(crate) fn ends_streams(&self) -> bool {
        matches!(self.mode, Mode::Strict | Mode::Optional)
            && !self.requirements.streams_outlive_tokens
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
