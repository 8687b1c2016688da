//! Items 1 to 4: one proof, its form and its claims.

use dpop_tower::crypto::Algorithm;
use http::{HeaderValue, Method};
use serde_json::json;

use crate::{
    crypto::JoseKey,
    rfc9449::case::{Case, JoseClient},
    support::{Over, URL, Verdict, Way, invalid_proof},
};

pub(super) async fn a_good_request_is_admitted_once(way: Way) {
    let api = way.api();
    let token = api.token().mint();
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}

pub(super) async fn item_1_there_is_exactly_one_dpop_header(way: Way) {
    let case = Case::new(way);
    let request = |values: &[&str]| {
        let mut request =
            case.api
                .client
                .request_with_proof(Method::GET, URL, &case.token, "placeholder");
        request.headers_mut().remove("dpop");
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append("dpop", value);
        }
        request
    };
    let (one, two) = (case.proof().sign(), case.proof().sign());
    for (what, values, reason) in [
        ("none", &[][..], "proof_missing"),
        ("two", &[&one[..], &two], "proof_multiple"),
        ("the same twice", &[&one, &one], "proof_multiple"),
        ("an empty one beside it", &[&one, ""], "proof_multiple"),
        ("two in one", &[&format!("{one}, {two}")], "proof_malformed"),
        ("empty", &[""], "proof_malformed"),
        ("not ASCII", &["\u{e4}"], "proof_malformed"),
    ] {
        assert_eq!(
            case.api.send(request(values)).await,
            invalid_proof(reason),
            "{what}"
        );
    }
    // None of these uses up the proof.
    case.check("alone", &one, Verdict::Admitted).await;
    case.finish().await;
}

pub(super) async fn item_2_only_the_compact_serialization_is_a_proof(way: Way) {
    let client = JoseClient::new(way.api(), JoseKey::new(Algorithm::Es256));
    let malformed = "proof_malformed";
    let proof = client.sign();
    let [header, payload, signature] = proof.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let flattened = json!({"protected": header, "payload": payload, "signature": signature});
    let general = json!({
        "payload": payload,
        "signatures": [{"protected": header, "signature": signature}],
    });
    for (what, text) in [
        ("one part", header.to_owned()),
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{proof}.{signature}")),
        (
            "five parts, as a JWE",
            format!("{proof}.{signature}.{signature}"),
        ),
        ("a dot before", format!(".{proof}")),
        ("a dot behind", format!("{proof}.")),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("dots only", "..".to_owned()),
        ("flattened JSON", flattened.to_string()),
        ("general JSON", general.to_string()),
        ("a scheme before", format!("DPoP {proof}")),
        ("quotes", format!("\"{proof}\"")),
        ("a tab", format!("{header}\t.{payload}.{signature}")),
        ("a space", format!("{header}. {payload}.{signature}")),
        ("padded signature", format!("{proof}==")),
        ("a comma", format!("{proof},")),
        ("a percent-encoding", proof.replacen('.', "%2E", 1)),
    ] {
        client.case.reject(what, &text, malformed).await;
    }
    // A socket removes spaces around a value (RFC 9110 section 5.5), so the proof would be valid there.
    if matches!(way.over, Over::Process) {
        for (what, text) in [
            ("a space before", format!(" {proof}")),
            ("a space behind", format!("{proof} ")),
        ] {
            client.case.reject(what, &text, malformed).await;
        }
    }
    client
        .case
        .check("as it is", &proof, Verdict::Admitted)
        .await;
}

pub(super) async fn item_3_every_required_claim_is_there(way: Way) {
    let case = Case::new(way);
    for name in ["jti", "htm", "htu", "iat", "ath"] {
        let proof = case.proof().without_claim(name).sign();
        case.reject(name, &proof, "proof_missing_claim").await;
    }
    case.finish().await;
}

pub(super) async fn item_4_typ_is_dpop_jwt_to_the_letter(way: Way) {
    let case = Case::new(way);
    for typ in [
        "DPOP+JWT",
        "dpop+JWT",
        "DPoP+jwt",
        "application/dpop+jwt",
        "dpop",
        "dpop jwt",
        "JWT",
        "jwt",
        "at+jwt",
        " dpop+jwt",
        "dpop+jwt ",
        "dpop+jwt\0",
        "dpop+jws",
    ] {
        let proof = case.proof().header("typ", typ).sign();
        case.reject(typ, &proof, "proof_typ_invalid").await;
    }
    // An access token is not a proof, no matter who signed it.
    case.reject("the token", &case.token, "proof_typ_invalid")
        .await;
    case.finish().await;
}
