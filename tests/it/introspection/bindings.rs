//! Which key a token is bound to (RFC 9449 section 6.2).

use dpop_tower::test_util::TestClient;
use serde_json::{Value, json};

use super::{Opaque, fresh, with, without};
use crate::support::{URL, Verdict, invalid_token, send};

const NOT_BOUND: Verdict = invalid_token("token_not_bound");
const BOUND: Verdict = invalid_token("token_bound_as_bearer");
const MALFORMED: Verdict = invalid_token("token_confirmation_invalid");
/// RFC 8705 appendix A
const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";
const NOT_SUPPORTED: Verdict = invalid_token("token_confirmation_not_supported");

#[tokio::test]
async fn rfc_9449_section_6_2_a_token_is_bound_to_the_key_in_the_answer() {
    let api = Opaque::new().await;
    let token = fresh();
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    assert_eq!(api.present_as_bearer(&token).await, BOUND);
    let thief = TestClient::new().clock(api.clock.clone());
    let stolen = send(api.router.clone(), thief.get(URL, &token)).await;
    let other_key = invalid_token("token_binding_mismatch");
    assert_eq!(Verdict::of(stolen), other_key);
    assert_eq!(api.idp.calls(), 1);
}

/// The rows are `token_type` and `cnf`, and what becomes of the token with the schemes `DPoP` and `Bearer`.
#[tokio::test]
async fn no_answer_makes_an_unbound_token_of_a_bound_one() {
    let api = Opaque::new().await;
    let good = without(&without(&api.active(), "cnf"), "token_type");
    let jkt = json!({ "jkt": api.client.thumbprint().to_string() });
    let missing = invalid_token("token_missing_claim");
    let invalid = invalid_token("token_invalid_claim");
    let admitted = Verdict::Admitted;
    let rows: &[(Option<Value>, Option<Value>, Verdict, Verdict)] = &[
        (None, None, NOT_BOUND, admitted),
        (Some(json!("Bearer")), None, NOT_BOUND, admitted),
        (Some(json!("bearer")), None, NOT_BOUND, admitted),
        (Some(json!(null)), None, NOT_BOUND, admitted),
        // It is bound, and the answer does not say to what.
        (Some(json!("DPoP")), None, missing, missing),
        (Some(json!("dpop")), None, missing, missing),
        (None, Some(jkt.clone()), admitted, BOUND),
        (Some(json!("DPoP")), Some(jkt.clone()), admitted, BOUND),
        (Some(json!("DPOP")), Some(jkt.clone()), admitted, BOUND),
        (Some(json!("Bearer")), Some(jkt.clone()), admitted, BOUND),
        (
            Some(json!("access_token")),
            Some(jkt.clone()),
            admitted,
            BOUND,
        ),
        (Some(json!(["DPoP"])), Some(jkt.clone()), invalid, invalid),
        (Some(json!(["DPoP"])), None, invalid, invalid),
        (
            Some(json!("Bearer")),
            Some(json!(null)),
            MALFORMED,
            MALFORMED,
        ),
        (None, Some(json!(null)), MALFORMED, MALFORMED),
        (None, Some(json!({})), MALFORMED, MALFORMED),
        (None, Some(json!("")), MALFORMED, MALFORMED),
        (None, Some(json!({ "jkt": null })), MALFORMED, MALFORMED),
        (None, Some(json!({ "jkt": 7 })), MALFORMED, MALFORMED),
        (None, Some(json!({ "jkt": "short" })), MALFORMED, MALFORMED),
        (
            Some(json!("DPoP")),
            Some(json!({ "x5t#S256": X5T })),
            NOT_SUPPORTED,
            NOT_SUPPORTED,
        ),
        (
            Some(json!("DPoP")),
            Some(json!({ "x5t#S256": "x" })),
            MALFORMED,
            MALFORMED,
        ),
        (
            None,
            Some(json!({ "kid": "x" })),
            NOT_SUPPORTED,
            NOT_SUPPORTED,
        ),
    ];
    for (token_type, cnf, by_dpop, by_bearer) in rows {
        let mut answer = good.clone();
        for (name, value) in [("token_type", token_type), ("cnf", cnf)] {
            if let Some(value) = value {
                answer = with(&answer, name, value.clone());
            }
        }
        api.idp.answer_json(&answer);
        let token = fresh();
        assert_eq!(api.present(&token).await, *by_dpop, "DPoP: {answer}");
        assert_eq!(
            api.present_as_bearer(&token).await,
            *by_bearer,
            "Bearer: {answer}"
        );
        assert_eq!(
            api.present_as_bearer(&fresh()).await,
            *by_bearer,
            "Bearer: {answer}"
        );
    }
}
