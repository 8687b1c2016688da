//! Being written.

use crate::support::{Api, Verdict, invalid_proof};

#[tokio::test]
async fn a_good_request_is_let_in_once() {
    let api = Api::new();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::LetIn);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}
