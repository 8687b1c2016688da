//! The methods of [`Policy`] that add a requirement.

use std::{sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    Draft, Policy, Requirements,
    requirements::{Claim, common, shorter},
};
use crate::{crypto::Algorithm, token::AuthorizationDetails};

impl<S> Policy<S> {
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

    /// Also admits a token that is bound to the client's TLS certificate and to no key, with the `Bearer`
    /// scheme (RFC 8705 section 3).
    ///
    /// Use it for an API whose clients authenticate with mutual TLS. The layer needs to know the certificate
    /// of the client; see [`certificate`](crate::certificate). A handler finds such a token as a
    /// [`CertificateBoundToken`](crate::token::CertificateBoundToken).
    ///
    /// | token with the `Bearer` scheme | outcome |
    /// |---|---|
    /// | bound to the certificate of the client | admitted |
    /// | bound to another certificate, or the client has none | 401, `invalid_token` |
    /// | bound to a key, also beside a certificate | 401, `invalid_token`: it needs a proof |
    /// | not bound | as without this setting |
    ///
    /// It is not a weakening to bearer tokens: the client has proved in the TLS handshake that it has the
    /// private key. But there is no proof, so the policy's requirements on proofs do not apply to such a
    /// token: its nonce, its age and its algorithm. Without this setting such a token is rejected. It has no
    /// effect on a policy that is [`off`](Self::off).
    ///
    /// When two layers are nested, both have to accept such a token.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let policy = Policy::strict().accept_certificate_bound();
    /// assert_eq!(policy.to_string(), "strict, accepts a certificate alone");
    /// ```
    #[doc(alias = "mtls")]
    pub fn accept_certificate_bound(self) -> Self {
        self.with(|requirements| requirements.accepts_certificate_bound = true)
    }

    /// Requires that the token is bound to the client's TLS certificate (RFC 8705 section 3).
    ///
    /// A [`strict`](Self::strict) policy then admits only tokens that are bound to a key and to a certificate.
    /// Together with [`accept_certificate_bound`](Self::accept_certificate_bound), it also admits those that
    /// are bound to a certificate alone. Other requests are rejected with 401 and `invalid_token`.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let both = Policy::strict().require_certificate_bound().build()?;
    /// assert_eq!(both.to_string(), "strict, bound to a certificate");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn require_certificate_bound(self) -> Policy<Draft> {
        self.with(|requirements| requirements.certificate_bound = true)
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
            requirements.max_age = shorter(requirements.max_age, Some(max_age));
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
        let allowed = algorithms.into_iter().collect();
        self.with(|requirements| {
            requirements.algorithms = common(requirements.algorithms.take(), Some(&allowed));
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
        let values = values.into_iter().map(Into::into).collect();
        self.with(|requirements| {
            requirements.acr = common(requirements.acr.take(), Some(&values));
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
            requirements.max_auth_age = shorter(requirements.max_auth_age, Some(max_age));
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
        let claim = Claim {
            name: name.into(),
            predicate: Arc::new(predicate),
        };
        self.with(|requirements| requirements.claims.push(claim))
    }

    /// Requires that the token has `authorization_details` of this type for which `predicate` returns `true`
    /// (RFC 9396).
    ///
    /// One element is enough. Other requests are rejected with 403 and `insufficient_scope`.
    ///
    /// ```
    /// use dpop_tower::Policy;
    ///
    /// let pay = Policy::strict().require_authorization_details("payment", |details| {
    ///     details.get("actions").and_then(|it| it.as_array()).is_some_and(|it| it.contains(&"initiate".into()))
    /// });
    /// assert_eq!(pay.build()?.to_string(), "strict, claim authorization_details");
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[doc(alias = "rar")]
    pub fn require_authorization_details(
        self,
        kind: impl Into<String>,
        predicate: impl Fn(AuthorizationDetails<'_>) -> bool + Send + Sync + 'static,
    ) -> Policy<Draft> {
        let kind = kind.into();
        self.require_claim("authorization_details", move |claim| {
            AuthorizationDetails::all(claim)
                .any(|details| details.kind() == kind && predicate(details))
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

    fn with<T>(mut self, change: impl FnOnce(&mut Requirements)) -> Policy<T> {
        change(Arc::make_mut(&mut self.requirements));
        self.in_state()
    }
}
