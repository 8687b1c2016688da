//! Other crates that verify proofs, with all of their checks that this crate makes too.
//!
//! Nonces are off, as they are in this crate by default. The stores of used proofs never evict, so they
//! cost less than usable ones.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dpop_verifier::{DpopError, ReplayContext, ReplayStore, VerifiedDpop};
use http::{HeaderMap, Method, Uri};
use huskarl_resource_server::{
    core::{
        Error as HuskarlError,
        crypto::verifier::{
            JwsVerifier, JwsVerifierFactory, JwsVerifierPlatform, MultiKeyVerifier,
        },
        jwk::{Jwks, PublicJwks},
        jwt::JtiUniquenessChecker,
        platform::MaybeSendBoxFuture,
    },
    rejection::Rejection,
    validator::rfc9068::Rfc9068Validator,
};

use crate::load::{Error, setup::MAX_AGE};

/// `huskarl-resource-server`, which verifies the token and the proof.
pub struct Huskarl {
    validator: Rfc9068Validator,
}

impl fmt::Debug for Huskarl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Huskarl").finish_non_exhaustive()
    }
}

impl Huskarl {
    /// Creates a verifier for tokens of this issuer.
    pub async fn new(issuer: &str, audience: &str, jwks: &str) -> Result<Self, Error> {
        let keys: Jwks = serde_json::from_str(jwks)?;
        let keys = PublicJwks::from(keys);
        let validator = Rfc9068Validator::builder()
            .issuer(issuer)
            .audience(audience)
            .allowed_signing_algorithms(vec!["ES256".to_owned()])
            .allowed_dpop_signing_algorithms(vec!["ES256".to_owned(), "EdDSA".to_owned()])
            .max_dpop_proof_age(Duration::from_secs(MAX_AGE))
            .require_dpop(true)
            .dpop_jti_checker(Seen::default())
            .jws_verifier_factory(Arc::new(FixedKeys(Arc::new(keys))))
            .build()
            .await?;
        Ok(Self { validator })
    }

    /// Verifies the credentials of a request.
    pub async fn verify(
        &self,
        headers: &HeaderMap,
        method: &Method,
        uri: &Uri,
    ) -> Result<(), Rejection> {
        let result = self
            .validator
            .validate_request(headers, method, uri, None)
            .await;
        if let Ok(Some(request)) = &result.outcome {
            std::hint::black_box(request);
            return Ok(());
        }
        let metadata = self.validator.validator_metadata(None);
        let rejection = result.rejection(&metadata, None);
        Err(rejection.expect("what was not validated is rejected"))
    }
}

/// Keys that do not have to be fetched.
struct FixedKeys(Arc<PublicJwks>);

impl JwsVerifierFactory for FixedKeys {
    fn build(
        &self,
        _jwks_uri: Option<&huskarl_resource_server::core::EndpointUrl>,
        platform: Arc<dyn JwsVerifierPlatform>,
    ) -> MaybeSendBoxFuture<'static, Result<Arc<dyn JwsVerifier>, HuskarlError>> {
        let keys = Arc::clone(&self.0);
        Box::pin(async move {
            let verifier = MultiKeyVerifier::from_jwks(&keys, platform.as_ref()).await?;
            Ok(Arc::new(verifier) as Arc<dyn JwsVerifier>)
        })
    }
}

#[derive(Debug, Default)]
struct Seen(Mutex<HashSet<String>>);

impl JtiUniquenessChecker for Seen {
    fn check_and_mark_seen(&self, jti: &str) -> MaybeSendBoxFuture<'_, Result<bool, HuskarlError>> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = seen.insert(jti.to_owned());
        Box::pin(std::future::ready(Ok(!is_new)))
    }
}

/// `dpop-verifier`, which verifies the proof, and only the hash of the token.
pub struct DpopVerifier {
    verifier: dpop_verifier::DpopVerifier,
    seen: Mutex<HashSet<[u8; 32]>>,
}

impl fmt::Debug for DpopVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DpopVerifier").finish_non_exhaustive()
    }
}

impl DpopVerifier {
    /// Creates a verifier without used proofs.
    #[expect(
        clippy::new_without_default,
        reason = "there is nothing default about it"
    )]
    pub fn new() -> Self {
        let max_age = i64::try_from(MAX_AGE).expect("it is some minutes");
        Self {
            verifier: dpop_verifier::DpopVerifier::new().with_max_age_seconds(max_age),
            seen: Mutex::default(),
        }
    }

    /// Verifies a proof.
    pub async fn verify(
        &self,
        proof: &str,
        htu: &str,
        htm: &str,
        token: &str,
    ) -> Result<VerifiedDpop, DpopError> {
        let mut store = Store(&self.seen);
        self.verifier
            .verify(&mut store, proof, htu, htm, Some(token))
            .await
    }
}

/// The trait requires exclusive access, which a server cannot provide.
struct Store<'a>(&'a Mutex<HashSet<[u8; 32]>>);

#[async_trait::async_trait]
impl ReplayStore for Store<'_> {
    async fn insert_once(
        &mut self,
        jti_hash: [u8; 32],
        _: ReplayContext<'_>,
    ) -> Result<bool, DpopError> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(seen.insert(jti_hash))
    }
}
