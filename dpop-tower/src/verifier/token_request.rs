//! Requests to the token endpoint of an authorization server, from the proof to the binding of the new token.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};

use super::{
    Possession, RequestHead, RequestShape, Rule, Verifier,
    candidate::{Candidate, check_proof, nonce_key},
    store::{ask_store, check_freshness},
    trace::Trace,
    write_nonce,
};
use crate::{
    header::DPOP,
    jwk::{PublicJwk, Thumbprint},
    policy::{Mode, PolicyErrorKind},
    proof::{NonceStatus, ProofErrorKind},
    rejection::{Cause, GrantErrorKind, TokenRequestRejection},
    telemetry::{self, Outcome},
};

impl Verifier {
    /// Verifies the proof of a request to the token endpoint of an authorization server, which has no access token
    /// (RFC 9449 section 5).
    ///
    /// It also serves the endpoint for pushed authorization requests (RFC 9449 section 10.1). The policy of the
    /// verifier decides whether the request needs a proof and a nonce; see
    /// [`token_endpoint`](crate::token_endpoint#policies).
    ///
    /// This function does no I/O and stores nothing. Call [`redeem`](TokenRequest::redeem) before you issue a token.
    ///
    /// ```
    /// # #[cfg(feature = "test-util")]
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use dpop_tower::{DpopConfig, PublicOrigin, RequestHead, Verifier};
    /// # use dpop_tower::test_util::TestClient;
    /// use http::{HeaderMap, HeaderValue, Method};
    ///
    /// let origin = PublicOrigin::new("https://idp.example.com")?;
    /// let verifier = Verifier::new(DpopConfig::authorization_server(origin).build()?);
    ///
    /// let (uri, mut headers) = ("/token".parse()?, HeaderMap::new());
    /// # let client = TestClient::new();
    /// # let proof = client.proof("POST", "https://idp.example.com/token").sign();
    /// headers.insert("dpop", HeaderValue::try_from(proof)?);
    /// let head = || RequestHead::new(&Method::POST, &uri, &headers);
    ///
    /// let request = verifier.verify_token_request(head())?;
    /// // Authenticate the client and check its grant here. It may not be the one that made the proof.
    /// let binding = request.redeem("alice").await?;
    /// assert_eq!(binding.thumbprint(), Some(&client.thumbprint()));
    /// assert_eq!(binding.token_type(), "DPoP");
    ///
    /// let again = verifier.verify_token_request(head())?;
    /// let rejection = again.redeem("alice").await.unwrap_err();
    /// assert_eq!(rejection.reason(), "proof_replayed");
    /// assert_eq!(rejection.status(), 400);
    /// assert!(rejection.body().contains(r#""error":"invalid_dpop_proof""#));
    /// # Ok(()) }
    /// # #[cfg(not(feature = "test-util"))] fn main() {}
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the rejection to send to the client if the proof is not valid, or if there is none and the policy
    /// requires one.
    pub fn verify_token_request(
        &self,
        request: RequestHead<'_>,
    ) -> Result<TokenRequest, TokenRequestRejection> {
        let rule = self.rules.choose(&request);
        let trace = Trace::start(rule.policy.mode());
        let _entered = trace.span.enter();
        let nonce_key = nonce_key(&rule.config, request.headers);
        let shape = RequestShape::of(request.method, request.headers).with_nonce_key(nonce_key);
        let proved = match check(&rule, request, nonce_key, &trace) {
            Ok(proved) => {
                trace.end(Outcome::Admitted, "none");
                proved
            }
            Err(cause) if rule.only_reports() => {
                // The log and the metrics have it.
                trace.rejected(Outcome::WouldReject, &rule.report(cause, shape));
                None
            }
            Err(cause) => {
                let rejection = rule.reject(cause, shape);
                trace.rejected(Outcome::Rejected, &rejection);
                return Err(TokenRequestRejection::new(rejection));
            }
        };
        Ok(TokenRequest(Arc::new(Inner {
            rule,
            shape,
            proved,
        })))
    }
}

/// Checks the proof and its signature. Returns `None` if the policy admits the request without a proof.
fn check(
    rule: &Rule,
    request: RequestHead<'_>,
    nonce_key: Option<Thumbprint>,
    trace: &Trace,
) -> Result<Option<Proved>, Cause> {
    let Rule { config, policy, .. } = rule;
    if policy.mode() == Mode::Off {
        return Ok(None);
    }
    if let Some(kind) = rule.rejects {
        return Err(kind.into());
    }
    match policy.mode() {
        Mode::Deny => return Err(PolicyErrorKind::Denied.into()),
        Mode::Optional if !request.headers.contains_key(DPOP) => return Ok(None),
        Mode::Off | Mode::Optional | Mode::ReportOnly | Mode::Strict => {}
    }
    let now = config.clock.now();
    let Candidate {
        proof,
        digest,
        fence,
        ..
    } = check_proof(config, policy, request, nonce_key, None, now)?;
    let key = proof.public_jwk().clone();
    // Anyone can send a proof, so its key does not get into the cache.
    let prepared = match proof.known_key() {
        Some(prepared) => prepared,
        None => proof.prepare_key(&*config.crypto)?,
    };
    let proof = proof.verify_signature(&prepared)?;
    trace.key(&proof);
    let possession = Possession {
        proof,
        digest,
        fence,
    };
    Ok(Some(Proved { key, possession }))
}

/// A request to a token endpoint whose proof is valid, or that needs none.
///
/// [`Verifier::verify_token_request`] returns it, and a
/// [`TokenEndpointLayer`](crate::token_endpoint::TokenEndpointLayer) puts it into the request's extensions. With the
/// feature `axum`, it is an extractor. Clones are the same request.
///
/// # Security
///
/// The proof may have been used before until [`redeem`](Self::redeem) returns, and the caller may be a stranger with a
/// key of its own.
#[derive(Clone)]
#[must_use = "the proof may have been used before"]
pub struct TokenRequest(Arc<Inner>);

struct Inner {
    rule: Arc<Rule>,
    shape: RequestShape,
    proved: Option<Proved>,
}

/// A key, and the proof that the client holds it.
struct Proved {
    key: PublicJwk,
    possession: Possession,
}

impl TokenRequest {
    /// Returns the thumbprint of the key that the client has proved to hold, or `None` if it sent no proof.
    pub fn thumbprint(&self) -> Option<&Thumbprint> {
        let proved = self.0.proved.as_ref()?;
        Some(proved.possession.proof.thumbprint())
    }

    /// Returns the key that the client has proved to hold, or `None` if it sent no proof.
    pub fn public_jwk(&self) -> Option<&PublicJwk> {
        Some(&self.0.proved.as_ref()?.key)
    }

    /// Checks that the client sent a proof, whatever the policy. Call it for clients whose metadata has
    /// `dpop_bound_access_tokens` (RFC 9449 section 5.2).
    ///
    /// # Errors
    ///
    /// Returns a rejection with `invalid_dpop_proof` if there is no proof.
    pub fn require_proof(&self) -> Result<(), TokenRequestRejection> {
        match self.0.proved {
            Some(_) => Ok(()),
            None => Err(self.reject(ProofErrorKind::Missing)),
        }
    }

    /// Checks an authorization code against the `dpop_jkt` that its authorization request had (RFC 9449 section 10).
    ///
    /// With a pushed authorization request, `dpop_jkt` is what [`pushed_dpop_jkt`](Self::pushed_dpop_jkt) returned. If
    /// it is `None`, the code is not bound to a key. You can bind a device code in the same way.
    ///
    /// # Errors
    ///
    /// Returns a rejection with `invalid_grant` if the code is bound to a key and the client has not proved to hold
    /// that key.
    pub fn check_code(&self, dpop_jkt: Option<&Thumbprint>) -> Result<(), TokenRequestRejection> {
        self.check_key(dpop_jkt, GrantErrorKind::CodeKeyMismatch)
    }

    /// Checks a refresh token against the key that it is bound to (RFC 9449 section 5).
    ///
    /// Bind the refresh tokens of public clients to the key of the proof, and pass its thumbprint here. A refresh token
    /// of a confidential client is bound to the client by its authentication: pass `None`, and the client can change
    /// its key.
    ///
    /// # Errors
    ///
    /// Returns a rejection with `invalid_grant` if the refresh token is bound to a key and the client has not proved to
    /// hold that key.
    pub fn check_refresh_token(
        &self,
        bound_to: Option<&Thumbprint>,
    ) -> Result<(), TokenRequestRejection> {
        self.check_key(bound_to, GrantErrorKind::RefreshTokenKeyMismatch)
    }

    fn check_key(
        &self,
        bound_to: Option<&Thumbprint>,
        otherwise: GrantErrorKind,
    ) -> Result<(), TokenRequestRejection> {
        match bound_to {
            Some(_) if bound_to != self.thumbprint() => Err(self.reject(otherwise)),
            _ => Ok(()),
        }
    }

    /// Returns the thumbprint to bind the code of a pushed authorization request to: that of the proof, or the
    /// `dpop_jkt` parameter of the request (RFC 9449 section 10.1).
    ///
    /// Store it with the request, and pass it to [`check_code`](Self::check_code) when the code is redeemed. The proof
    /// of a pushed request need not be [redeemed](Self::redeem): anyone who copies it can only bind a code to the key of
    /// its owner.
    ///
    /// # Errors
    ///
    /// Returns a rejection with `invalid_request` if the parameter is not a thumbprint, or not that of the proof's key.
    pub fn pushed_dpop_jkt(
        &self,
        parameter: Option<&str>,
    ) -> Result<Option<Thumbprint>, TokenRequestRejection> {
        let parameter: Option<Thumbprint> = parameter
            .map(str::parse)
            .transpose()
            .map_err(|_| self.reject(GrantErrorKind::DpopJktMalformed))?;
        match (parameter, self.thumbprint()) {
            (Some(parameter), Some(proved)) if parameter != *proved => {
                Err(self.reject(GrantErrorKind::DpopJktMismatch))
            }
            (parameter, proved) => Ok(parameter.or(proved.copied())),
        }
    }

    /// Puts the proof on record, and returns what the new token is to be bound to.
    ///
    /// Call it once for each request, after you have authenticated the client and checked its grant, and before you
    /// issue anything or use the grant up. `subject` is whom the grant is for: the user, or with
    /// `client_credentials` the client. The record counts towards the share that the subject has of the replay store.
    ///
    /// # Security
    ///
    /// Anyone can make a proof, so a record for each valid proof would let strangers fill the replay store, and then
    /// nobody gets a token (RFC 9449 section 11.1). Therefore nothing is stored before this call, and only a client
    /// with a valid grant should get this far.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the proof may count as used, and the client has to make a new one.
    ///
    /// # Errors
    ///
    /// Returns the rejection to send to the client if the proof was used before, has become too old, or cannot be put
    /// on record.
    pub async fn redeem(&self, subject: &str) -> Result<TokenBinding, TokenRequestRejection> {
        let Inner { rule, shape, .. } = &*self.0;
        match self.record_use(subject).await {
            Ok(thumbprint) => {
                telemetry::verdict(rule.policy.mode().as_str(), Outcome::Admitted, "none");
                Ok(TokenBinding { thumbprint })
            }
            Err(cause) if rule.only_reports() => {
                let _ = rule.report(cause, *shape);
                Ok(TokenBinding { thumbprint: None })
            }
            Err(cause) => Err(self.reject(cause)),
        }
    }

    async fn record_use(&self, subject: &str) -> Result<Option<Thumbprint>, Cause> {
        let Some(Proved { possession, .. }) = &self.0.proved else {
            return Ok(None);
        };
        let config = &*self.0.rule.config;
        let subject = config.crypto.sha256(&[b"t", subject.as_bytes()]);
        // The client may have been authenticated by a slow database since the proof was checked.
        let answer = ask_store(config, possession, Some(subject), config.clock.now())?.await;
        check_freshness(config, Some(possession.fence), answer)?;
        Ok(Some(*possession.proof.thumbprint()))
    }

    /// Returns the headers that the response needs, whatever becomes of the request.
    ///
    /// They are empty, or they are a `DPoP-Nonce` for the client's next proof and `Cache-Control: no-store` (RFC 9449
    /// section 8.2). A [`TokenEndpointLayer`](crate::token_endpoint::TokenEndpointLayer) adds them.
    pub fn response_headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        write_nonce(&mut headers, self.new_nonce().as_ref());
        headers
    }

    /// Returns a nonce if that of the proof is about to retire, or if the policy offers nonces.
    pub(crate) fn new_nonce(&self) -> Option<HeaderValue> {
        let Inner { rule, proved, .. } = &*self.0;
        let is_due = match proved {
            _ if rule.config.offers_nonce(&rule.policy) => true,
            Some(proved) => proved.possession.proof.nonce_status() == Some(NonceStatus::Retiring),
            None => true,
        };
        is_due.then(|| rule.current_nonce(self.thumbprint().copied()))?
    }

    fn reject(&self, cause: impl Into<Cause>) -> TokenRequestRejection {
        let Inner { rule, shape, .. } = &*self.0;
        TokenRequestRejection::new(rule.reject(cause.into(), *shape))
    }
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenRequest")
            .field("thumbprint", &self.thumbprint())
            .finish_non_exhaustive()
    }
}

/// What a new token is to be bound to: the key of the client, or nothing.
///
/// ```
/// use dpop_tower::token_endpoint::TokenBinding;
/// use serde_json::{Map, Value};
///
/// /// Adds the binding to the claims of a new access token.
/// fn bind(claims: &mut Map<String, Value>, binding: &TokenBinding) {
///     if let Some(cnf) = binding.cnf() {
///         claims.insert("cnf".to_owned(), cnf);
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the token has to be bound to the client's key"]
pub struct TokenBinding {
    thumbprint: Option<Thumbprint>,
}

impl TokenBinding {
    /// Returns the thumbprint of the client's key, or `None` if the token is a bearer token.
    pub const fn thumbprint(&self) -> Option<&Thumbprint> {
        self.thumbprint.as_ref()
    }

    /// Returns the `cnf` claim of the access token, which is also in the introspection response (RFC 9449 section 6).
    pub fn cnf(&self) -> Option<Value> {
        let jkt = self.thumbprint?.to_string();
        Some(json!({ "jkt": jkt }))
    }

    /// Returns the `token_type` of the token response: `DPoP` or `Bearer`.
    pub const fn token_type(&self) -> &'static str {
        match self.thumbprint {
            Some(_) => "DPoP",
            None => "Bearer",
        }
    }
}
