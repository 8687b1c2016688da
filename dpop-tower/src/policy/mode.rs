use std::{marker::PhantomData, sync::Arc};

use super::Policy;

/// Which requests a [`Policy`] admits, from the most lenient mode to the strictest.
///
/// ```
/// use dpop_tower::Mode;
///
/// assert!(Mode::Strict > Mode::Optional);
/// ```
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
/// | `outcome` | `admitted`, `rejected`, or `would_reject` if the policy only reports |
/// | `reason` | [`Rejection::reason`](crate::rejection::Rejection::reason), or `none` |
///
/// An inner layer and an extractor count what they reject, in addition to what the outer layer has counted. A
/// request that is abandoned because its token expires is counted again, too. A
/// [`Verifier`](crate::Verifier) counts as a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Mode {
    /// Admits everything without looking at it.
    Off,
    /// Admits everything, and reports what [`Strict`](Self::Strict) would have done.
    ReportOnly,
    /// Also admits an unbound token with the `Bearer` scheme.
    Optional,
    /// Admits a token that is bound to a key, with a proof made with that key.
    #[default]
    Strict,
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
    /// Use it for what a [`PolicyTable`](super::PolicyTable) does not list; see
    /// [`otherwise`](super::PolicyTableBuilder::otherwise). The response has no challenge, because no token
    /// would be accepted.
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
}
