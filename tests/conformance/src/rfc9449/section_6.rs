//! Section 6: the key that a token is bound to.

use dpop_tower::crypto::Algorithm;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::case::JoseClient;
use crate::{
    crypto::{JoseKey, base64url},
    support::{Verdict, Way, invalid_token},
};

cases! { rfc9449::section_6 as section_6;
each_way [
    a_token_is_bound_to_the_sha_256_thumbprint_of_the_key,
    a_token_of_one_key_is_no_token_of_another,
]
}

/// One algorithm for every kind of key.
const KINDS: [Algorithm; 5] = [
    Algorithm::Ed25519,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
];

fn client(way: Way, algorithm: Algorithm) -> JoseClient {
    let api = way.api_with(|tokens| tokens, |config| config.algorithms(KINDS));
    JoseClient::new(api, JoseKey::new(algorithm))
}

async fn a_token_is_bound_to_the_sha_256_thumbprint_of_the_key(way: Way) {
    for algorithm in KINDS {
        let mut client = client(way, algorithm);
        // RFC 7638 section 3: the required members in lexicographic order, without white space.
        let mut members: Vec<_> = client.key.public().into_iter().collect();
        members.sort_by(|(one, _), (other, _)| one.cmp(other));
        let members: Vec<_> = members
            .into_iter()
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        let jkt = base64url(Sha256::digest(format!("{{{}}}", members.join(","))));
        let token = client.case.api.issuer.token();
        client.case.token = token.claim("cnf", json!({ "jkt": jkt })).mint();
        let proof = client.sign();
        client
            .case
            .check(algorithm.as_str(), &proof, Verdict::Admitted)
            .await;
    }
}

async fn a_token_of_one_key_is_no_token_of_another(way: Way) {
    for algorithm in KINDS {
        let mut client = client(way, algorithm);
        client.key = JoseKey::other(algorithm);
        let proof = client.sign();
        let mismatch = invalid_token("token_binding_mismatch");
        client
            .case
            .check(algorithm.as_str(), &proof, mismatch)
            .await;
    }
}
