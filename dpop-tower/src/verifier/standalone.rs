use std::{fmt, sync::Arc};

use super::{RequestHead, Rules, Verification};
use crate::{
    config::{DpopConfig, Settings},
    policy::{LayerPolicy, Policy},
    rejection::RejectionResponse,
    telemetry,
};

/// Verifies requests without a tower service.
///
/// Use it with a framework that is not built on tower, or behind a proxy that asks whether a request may
/// pass. Checks, metrics and log lines are those of a [`DpopLayer`](crate::DpopLayer). Layers and verifiers
/// of one configuration share its replay store and caches. Clones are cheap.
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier};
/// use dpop_tower::rejection::ProblemDetails;
/// use dpop_tower::test_util::{TestClient, TestIssuer};
///
/// let issuer = TestIssuer::new();
/// let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer.tokens());
/// let verifier = Verifier::new(config.build()?);
///
/// let client = TestClient::new();
/// let token = issuer.token().subject("alice").bound_to(&client).mint();
/// let request = client.get("https://api.example.com/orders", &token);
///
/// let head = || RequestHead::new(request.method(), request.uri(), request.headers());
/// match verifier.verify(head(), &Policy::strict()).await {
///     Verdict::Admitted(admitted) => {
///         let token = admitted.bound_token().unwrap();
///         assert_eq!(token.claims().subject(), Some("alice"));
///     }
///     Verdict::Rejected(rejection) => panic!("{rejection}"),
/// }
///
/// // The same proof once more.
/// match verifier.verify(head(), &Policy::strict()).await {
///     Verdict::Admitted(_) => panic!("a proof was used twice"),
///     Verdict::Rejected(rejection) => {
///         assert_eq!(rejection.reason(), "proof_replayed");
///         let response = rejection.into_response(&ProblemDetails);
///         assert_eq!(response.status(), 401);
///         assert!(response.headers().contains_key("www-authenticate"));
///     }
/// }
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
///
/// # Security
///
/// - Call the handler only after [`Verdict::Admitted`](super::Verdict::Admitted).
/// - Send the headers of [`response_headers`](super::Admitted::response_headers) with every response, or
///   clients miss the next nonce (RFC 9449 section 8.2).
/// - Pass the headers as they came. If a framework merges two `Authorization` or `DPoP` headers, the
///   verifier cannot reject them (RFC 9449 section 4.3 item 1).
#[derive(Clone)]
#[must_use]
pub struct Verifier {
    pub(super) rules: Rules,
}

impl Verifier {
    /// Returns a verifier with this configuration and its policy.
    pub fn new(config: impl Into<DpopConfig>) -> Self {
        let DpopConfig(config) = config.into();
        telemetry::describe();
        Self {
            rules: Rules::new(config),
        }
    }

    /// Sets the policy of [`verify_request`](Self::verify_request): one [`Policy`], or a
    /// [`PolicyTable`](crate::PolicyTable), which selects policies by request path and method.
    ///
    /// Defaults to the policy of the configuration.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, Policy, PolicyTable, PublicOrigin, RequestHead, Verdict, Verifier};
    /// # use dpop_tower::test_util::TestIssuer;
    /// use http::{HeaderMap, Method};
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let table = PolicyTable::builder()
    ///     .route("/health", Policy::off())
    ///     .otherwise(Policy::strict())
    ///     .build()?;
    /// let verifier = Verifier::new(config).with_policy(table);
    ///
    /// let headers = HeaderMap::new();
    /// for (path, passes) in [("/health", true), ("/orders", false)] {
    ///     let uri = path.parse()?;
    ///     let head = RequestHead::new(&Method::GET, &uri, &headers);
    ///     let verdict = verifier.verify_request(head).await;
    ///     assert_eq!(matches!(verdict, Verdict::Admitted(_)), passes);
    /// }
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    #[doc(alias = "with_policies")]
    pub fn with_policy(mut self, policy: impl LayerPolicy) -> Self {
        self.rules = self.rules.with_policies(policy.into_policies());
        self
    }

    /// Returns the policies in force, each with the requests that it is for: the methods and the pattern of a row of a
    /// [`PolicyTable`](crate::PolicyTable), `other requests` for those that match no row, or `all requests`.
    ///
    /// Requirements that the configuration adds to every policy are part of them.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")] {
    /// use dpop_tower::{DpopConfig, DpopLayer, Policy, PolicyTable, PublicOrigin};
    /// # use dpop_tower::test_util::TestIssuer;
    ///
    /// # let origin = PublicOrigin::new("https://api.example.com")?;
    /// # let config = DpopConfig::builder(origin, TestIssuer::new().tokens()).build()?;
    /// let table = PolicyTable::builder()
    ///     .route("/orders/{id}", Policy::strict().require_scope("orders"))
    ///     .otherwise(Policy::deny())
    ///     .build()?;
    /// let verifier = DpopLayer::new(config).with_policy(table).verifier();
    /// let rows = verifier.policies().map(|(route, policy)| format!("{route}: {policy}"));
    /// assert!(rows.eq(["/orders/{id}: strict, scope orders", "other requests: deny"]));
    /// # }
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn policies(&self) -> impl Iterator<Item = (String, &Policy)> {
        self.rules.routes().into_iter()
    }

    /// Returns what is valid in the configuration and the policies in force but often a mistake, a sentence each.
    ///
    /// Each of them was logged at `warn`, and has a line in the text of the verifier and of a layer with the same
    /// policies. The sentences are for humans, and may change with every version.
    pub fn warnings(&self) -> Vec<String> {
        self.rules.effective().warnings()
    }

    /// Sets the response of inner layers and extractors to requests that they reject.
    ///
    /// They find it in the extensions of the request, after
    /// [`Admitted::record`](super::Admitted::record). The verifier itself makes no responses.
    pub fn with_rejection_response(mut self, responder: impl RejectionResponse) -> Self {
        let responder: Arc<dyn RejectionResponse> = Arc::new(responder);
        self.rules.change(|rule| rule.set_responder(&responder));
        self
    }

    /// Makes layers with these rules end streams when the token expires.
    #[cfg(feature = "lifetime")]
    pub(crate) fn end_streams_at_expiry(mut self) -> Self {
        self.rules.change(|rule| rule.ends_streams = true);
        self
    }

    /// Verifies a request by this policy.
    ///
    /// The proof of an admitted request counts as used, so verify a request once. The future borrows
    /// nothing. This function makes all checks that need no I/O before it returns the future.
    pub fn verify(&self, request: RequestHead<'_>, policy: &Policy) -> Verification {
        let rule = self.rules.plain().with_policy(policy.clone());
        Verification::start(Arc::new(rule), request)
    }

    /// Verifies a request by the policy of the verifier; see [`with_policy`](Self::with_policy).
    ///
    /// With a [`PolicyTable`](crate::PolicyTable), it also rejects
    /// [malformed paths](crate::policy::MalformedPath).
    pub fn verify_request(&self, request: RequestHead<'_>) -> Verification {
        let rule = self.rules.choose(&request);
        Verification::start(rule, request)
    }
}

impl Verifier {
    pub(crate) fn config(&self) -> &Arc<Settings> {
        self.rules.config()
    }
}

/// Returns a verifier with this configuration and its policy.
impl From<&DpopConfig> for Verifier {
    fn from(config: &DpopConfig) -> Self {
        Self::new(config.clone())
    }
}

/// Writes the settings in force: those of the configuration, and a line for each policy.
///
/// The text is for humans, and may change with every version; see
/// [`DpopConfig`](crate::DpopConfig#impl-Display-for-DpopConfig).
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.effective().fmt(f)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("config", self.rules.config())
            .field("rules", &self.rules)
            .finish()
    }
}
