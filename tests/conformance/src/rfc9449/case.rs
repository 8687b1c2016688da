//! A valid request, for tests to break.

use dpop_tower::{crypto::AwsLcRs, jwk::Thumbprint, test_util::ProofBuilder};
use http::Method;
use serde_json::{Map, Value, json};

use crate::{
    crypto::JoseKey,
    support::{Api, URL, Verdict, Way, Why, invalid_proof},
};

/// An API and a valid token for it. After every rejection, a valid proof must still pass.
pub(super) struct Case {
    pub(super) api: Api,
    pub(super) token: String,
}

impl Case {
    pub(super) fn new(way: Way) -> Self {
        Self::of(way.api())
    }

    pub(super) fn of(api: Api) -> Self {
        let token = api.token().mint();
        Self { api, token }
    }

    pub(super) fn proof(&self) -> ProofBuilder {
        self.api.proof(&self.token)
    }

    pub(super) async fn send(&self, proof: &str) -> Verdict {
        self.api.get(&self.token, proof).await
    }

    pub(super) async fn check(&self, what: &str, proof: &str, expected: Verdict) {
        assert_eq!(self.send(proof).await, expected, "{what}");
    }

    pub(super) async fn reject(&self, what: &str, proof: &str, reason: &'static str) {
        self.check(what, proof, invalid_proof(reason)).await;
    }

    /// Asserts that the proof is rejected because of its key, for this reason.
    pub(super) async fn reject_key(&self, what: &str, proof: &str, detail: &str) {
        let request = self
            .api
            .client
            .request_with_proof(Method::GET, URL, &self.token, proof);
        let response = self.api.response(request).await;
        let why = Why::of(&response).expect("rejected");
        assert_eq!(
            Verdict::of(response),
            invalid_proof("proof_key_invalid"),
            "{what}"
        );
        assert!(why.detail.ends_with(detail), "{what}");
    }

    pub(super) async fn finish(self) {
        let proof = self.proof().sign();
        self.check("a good proof", &proof, Verdict::Admitted).await;
    }
}

pub(super) fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

pub(super) fn jwk_of(proof: &ProofBuilder) -> Map<String, Value> {
    object(&proof.header_json())["jwk"]
        .as_object()
        .unwrap()
        .clone()
}

/// A client with a key of josekit, and a token for it.
pub(super) struct JoseClient {
    pub(super) key: JoseKey,
    pub(super) case: Case,
}

impl JoseClient {
    pub(super) fn new(api: Api, key: JoseKey) -> Self {
        let token = api
            .token()
            .bound_to_thumbprint(&Thumbprint::of(&key.public_jwk(), &AwsLcRs))
            .mint();
        Self {
            key,
            case: Case { api, token },
        }
    }

    pub(super) fn header(&self) -> Map<String, Value> {
        let header = json!({
            "typ": "dpop+jwt",
            "alg": self.key.algorithm.as_str(),
            "jwk": self.key.public(),
        });
        header.as_object().unwrap().clone()
    }

    pub(super) fn payload(&self) -> String {
        self.case.proof().payload_json()
    }

    pub(super) fn sign(&self) -> String {
        self.key
            .jws(&Value::Object(self.header()).to_string(), &self.payload())
    }
}
