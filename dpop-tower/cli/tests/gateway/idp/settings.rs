//! The configuration file.

use super::*;

fn error(settings: &Value) -> String {
    Settings::parse(&settings.to_string()).unwrap_err()
}

#[test]
fn a_mistake_is_named_with_its_field() {
    for (settings, named) in [
        (json!({ "nonce": true }), "nonce"),
        (json!({ "nonces": "yes" }), "nonces"),
        (
            json!({ "access_token_format": "saml" }),
            "access_token_format",
        ),
        (
            json!({ "access_token_lifetime": 0 }),
            "access_token_lifetime",
        ),
        (json!({ "code_lifetime": u64::MAX }), "code_lifetime"),
        (json!({ "signing_algorithm": "none" }), "signing_algorithm"),
        (json!({ "audiences": [] }), "audiences"),
        (json!({ "scopes": ["a b"] }), "scopes"),
        (json!({ "users": [] }), "users"),
        (
            json!({ "users": [{ "subject": "a" }, { "subject": "a" }] }),
            "users",
        ),
        (json!({ "clients": [{ "client_id": "" }] }), "clients"),
        (
            json!({ "clients": [{ "client_id": "a" }, { "client_id": "a" }] }),
            "clients",
        ),
        (
            json!({ "clients": [{ "client_id": "a", "secret": "x" }] }),
            "clients[0].secret",
        ),
        (
            json!({ "clients": [{ "client_id": "a", "scopes": ["x"] }] }),
            "clients",
        ),
        (
            json!({ "clients": [{ "client_id": "a", "redirect_uris": ["/x"] }] }),
            "redirect_uris",
        ),
        (
            json!({ "clients": [{ "client_id": "a", "grants": ["client_credentials"] }] }),
            "client_secret",
        ),
        (
            json!({ "clients": [{ "client_id": "a", "grants": ["password"] }] }),
            "grants",
        ),
    ] {
        let error = error(&settings);
        assert!(error.contains(named), "{error:?} does not name {named}");
    }
    assert!(Settings::parse("{} x").is_err());
}

#[test]
fn no_secret_is_in_the_debug_text() {
    let settings = json!({ "clients": [{ "client_id": "api", "client_secret": "s3cret" }] });
    let settings = Settings::parse(&settings.to_string()).unwrap();
    assert!(!format!("{settings:?}").contains("s3cret"));
    let idp = Idp::new(settings, "http://127.0.0.1:1", ManualClock::starting_now()).unwrap();
    assert!(!format!("{idp:?}").contains("s3cret"));
    // Nor is one that the file has printed at start.
    assert!(!idp.clients().to_string().contains("s3cret"));
}

#[test]
fn an_issuer_is_an_origin_and_signs_with_a_key_that_can_be_made() {
    let new = |settings: &Value, url: &str| {
        let settings = Settings::parse(&settings.to_string()).unwrap();
        Idp::new(settings, url, ManualClock::starting_now())
    };
    assert!(new(&json!({}), "http://127.0.0.1:1/tenant").is_err());
    let idp = new(
        &json!({ "issuer": "https://idp.test/" }),
        "http://127.0.0.1:1",
    )
    .unwrap();
    assert_eq!(idp.url(), "https://idp.test");
    assert!(
        new(
            &json!({ "signing_algorithm": "ES512" }),
            "http://127.0.0.1:1"
        )
        .is_err()
    );
}

#[test]
fn the_example_in_the_documentation_is_valid_and_the_table_names_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/idp.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, example) = page.split_once("```json\n").unwrap();
    let example = example.split("```").next().unwrap();
    Settings::parse(example).unwrap();
    // The error about an unknown field names all that are known.
    let known = error(&json!({ "unknown": 1 }));
    let (_, known) = known.split_once("expected one of ").unwrap();
    let fields: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    assert!(fields.len() > 10, "{known}");
    for field in fields {
        assert!(page.contains(&format!("\n| `{field}` |")), "{field}");
    }
}
