use serde_json::json;

use super::*;
use crate::crypto::pure_rust::PureRust;

const JKT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
/// RFC 8705 appendix A
const X5T: &str = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0";

fn verified(mut claims: Value) -> Result<VerifiedToken, TokenError> {
    claims["exp"] = json!(2_000_000_000);
    VerifiedToken::new(claims.as_object().cloned().unwrap())
}

fn confirmation(cnf: &Value) -> Result<Confirmation, TokenErrorKind> {
    verified(json!({ "cnf": cnf }))
        .map(|token| token.confirmation())
        .map_err(|error| error.kind())
}

#[test]
fn only_a_token_without_cnf_is_unbound() {
    assert_eq!(
        verified(json!({})).unwrap().confirmation(),
        Confirmation::Unbound
    );
    for malformed in [
        json!(null),
        json!([]),
        json!(""),
        json!({}),
        json!(true),
        json!({"jkt": 7}),
        json!({"jkt": null}),
        json!({"jkt": ""}),
        json!({"jkt": [JKT]}),
        json!({"jkt": &JKT[..42]}),
        json!({"jkt": format!("{JKT}=")}),
        json!({"jkt": 7, "x5t#S256": X5T}),
        json!({"jkt": JKT, "x5t#S256": 7}),
        json!({"jkt": JKT, "x5t#S256": null}),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": [X5T]}),
        json!({"x5t#S256": &X5T[..42]}),
        json!({"x5t#S256": format!("{X5T}=")}),
        // RFC 8705 section 3.1 has an example with bits that belong to no byte.
        json!({"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}),
    ] {
        assert_eq!(
            confirmation(&malformed),
            Err(TokenErrorKind::ConfirmationInvalid),
            "{malformed}"
        );
    }
}

#[test]
fn every_kind_of_binding_is_told_apart() {
    let key = Confirmation::Key(JKT.parse().unwrap());
    assert_eq!(confirmation(&json!({"jkt": JKT})), Ok(key));
    assert_eq!(confirmation(&json!({"jkt": JKT, "new": {}})), Ok(key));
    let certificate = Confirmation::Certificate(X5T.parse().unwrap());
    assert_eq!(confirmation(&json!({"x5t#S256": X5T})), Ok(certificate));
    assert_eq!(
        confirmation(&json!({"x5t#S256": X5T, "new": {}})),
        Ok(certificate)
    );
    assert_eq!(
        confirmation(&json!({"x5t#S256": X5T, "jkt": JKT})),
        Ok(Confirmation::KeyAndCertificate(
            JKT.parse().unwrap(),
            X5T.parse().unwrap()
        ))
    );
    assert_eq!(confirmation(&json!({"jwk": {}})), Ok(Confirmation::Unknown));
}

#[test]
fn claims_of_the_wrong_type_are_rejected_not_ignored() {
    for value in [json!(7), json!(null), json!(["a"]), json!({})] {
        let error = verified(json!({ "iss": value })).unwrap_err();
        assert_eq!(error, TokenError::invalid("iss"));
    }
    for exp in [json!("2000000000"), json!(null), json!([1]), json!(true)] {
        let claims = json!({ "exp": exp }).as_object().cloned().unwrap();
        assert_eq!(
            VerifiedToken::new(claims).unwrap_err(),
            TokenError::invalid("exp")
        );
    }
    assert_eq!(
        VerifiedToken::new(Map::new()).unwrap_err(),
        TokenError::missing("exp")
    );
}

#[test]
fn claims_that_are_handed_on_count_as_absent_if_they_are_no_text() {
    for value in [json!(7), json!(null), json!(true), json!(["a"]), json!({})] {
        let claims = json!({ "sub": value, "client_id": value, "jti": value, "azp": value });
        let token = verified(claims).unwrap();
        assert_eq!(token.claims().subject(), None, "{value}");
        assert_eq!(token.claims().client_id(), None, "{value}");
        assert_eq!(token.claims().get("sub"), Some(&value));
    }
    let token = verified(json!({"sub": "", "client_id": "c"})).unwrap();
    assert_eq!(token.claims().subject(), Some(""));
    assert_eq!(token.claims().client_id(), Some("c"));
}

#[test]
fn who_a_token_is_for_is_told_by_issuer_and_subject_or_client() {
    let digest = |claims: Value| verified(claims).unwrap().claims().subject_digest(&PureRust);
    let alice = digest(json!({"iss": "i", "sub": "alice"}));
    assert!(alice.is_some());
    for same in [
        json!({"iss": "i", "sub": "alice", "client_id": "x", "scope": "y"}),
        json!({"iss": "i", "sub": "alice", "client_id": 7}),
    ] {
        assert_eq!(digest(same), alice);
    }
    let others = [
        json!({"iss": "j", "sub": "alice"}),
        json!({"sub": "alice"}),
        json!({"iss": "i", "sub": "bob"}),
        json!({"iss": "i", "sub": ""}),
        json!({"iss": "i", "client_id": "alice"}),
        json!({"iss": "ia", "sub": "lice"}),
        json!({"iss": "", "sub": "ialice"}),
    ];
    let mut digests: Vec<_> = others.into_iter().map(digest).chain([alice]).collect();
    assert!(digests.iter().all(Option::is_some));
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 8);
    // What is no text counts as absent here, too.
    let client = digest(json!({"iss": "i", "client_id": "c"}));
    for sub in [json!(null), json!(7), json!(["alice"])] {
        assert_eq!(
            digest(json!({"iss": "i", "sub": sub, "client_id": "c"})),
            client
        );
    }
    assert_eq!(digest(json!({"iss": "i"})), None);
    assert_eq!(
        digest(json!({"iss": "i", "sub": null, "client_id": []})),
        None
    );
}

#[test]
fn the_client_is_that_of_the_named_claim_and_of_no_other() {
    let claims = json!({"iss": "i", "client_id": "a", "azp": "b", "cid": "c", "x": 7});
    let digest = |token: &VerifiedToken| token.claims().subject_digest(&PureRust);
    let by_default = verified(claims.clone()).unwrap();
    assert_eq!(by_default.claims().client_id(), Some("a"));
    for (name, expected) in [
        ("azp", Some("b")),
        ("cid", Some("c")),
        ("client_id", Some("a")),
        ("x", None),
        ("absent", None),
    ] {
        let token = verified(claims.clone()).unwrap();
        assert_eq!(digest(&token), digest(&by_default), "{name}");
        // What was computed before counts no longer.
        let token = token.with_client_id_claim(name);
        assert_eq!(token.claims().client_id(), expected, "{name}");
        let same = expected.map(|id| verified(json!({"iss": "i", "client_id": id})).unwrap());
        assert_eq!(digest(&token), same.as_ref().and_then(digest), "{name}");
    }
}

fn scopes(token: &VerifiedToken) -> Vec<&str> {
    token.claims().scopes().collect()
}

#[test]
fn scopes_are_split_at_spaces() {
    let token = verified(json!({"scope": "a b:c  d"})).unwrap();
    assert_eq!(scopes(&token), ["a", "b:c", "d"]);
    assert_eq!(verified(json!({})).unwrap().claims().scopes().count(), 0);
}

#[test]
fn scopes_of_an_array_are_its_texts_without_a_space() {
    for (scope, expected) in [
        (json!(["a", "b:c"]), &["a", "b:c"][..]),
        (json!(["a b", "c", " d", "e ", " "]), &["c"]),
        (json!(["", "a", ""]), &["a"]),
        (json!([7, null, true, ["b"], {"c": "c"}, "a"]), &["a"]),
        (json!([]), &[]),
        (json!([["a"]]), &[]),
        (json!({"a": "a"}), &[]),
        (json!(null), &[]),
        (json!(7), &[]),
        (json!(true), &[]),
    ] {
        let token = verified(json!({ "scope": scope })).unwrap();
        assert_eq!(scopes(&token), expected, "{scope}");
    }
}

#[test]
fn scopes_are_those_of_the_named_claim_and_of_no_other() {
    let claims = json!({"scope": "a b", "scp": ["c"], "roles": "d", "x": 7});
    for (name, expected) in [
        ("scp", &["c"][..]),
        ("roles", &["d"]),
        ("scope", &["a", "b"]),
        ("x", &[]),
        ("absent", &[]),
    ] {
        let token = verified(claims.clone()).unwrap().with_scope_claim(name);
        assert_eq!(scopes(&token), expected, "{name}");
    }
}

#[test]
fn debug_shows_names_of_claims_and_no_values() {
    let token = verified(json!({"sub": "alice", "email": "a@example.com"})).unwrap();
    let text = format!("{token:?}");
    assert!(text.contains("email") && !text.contains("alice") && !text.contains('@'));
}

#[test]
fn a_mismatch_names_the_claim_and_its_debug_text_does_not() {
    #[derive(Debug, serde::Deserialize)]
    struct Tenant {
        #[expect(dead_code, reason = "it is missing")]
        tenant: String,
    }
    let token = verified(json!({"sub": "alice"})).unwrap();
    let error = token.claims().deserialize::<Tenant>().unwrap_err();
    assert!(error.to_string().contains("`tenant`"), "{error}");
    assert_eq!(format!("{error:?}"), "ClaimsMismatch(..)");
}
