//! `[metadata]`.

use super::{TABLES, parse, rejected};

#[test]
fn the_text_of_the_settings_has_the_metadata() {
    let plain = parse("", "").unwrap();
    assert!(!plain.effective().contains("metadata"));
    let settings = parse("", "[metadata]").unwrap();
    let expected = "\
resource              https://api.test
  metadata            https://api.test/.well-known/oauth-protected-resource
";
    assert!(
        settings.effective().contains(expected),
        "{}",
        settings.effective()
    );
}

#[test]
fn a_profile_that_asks_for_it_is_met_with_it() {
    for profile in ["mcp", "atproto"] {
        let head = format!("profile = '{profile}'");
        let without = parse(&head, "").unwrap();
        assert!(without.effective().contains("has no metadata"), "{profile}");
        let with = parse(&head, "[metadata]").unwrap();
        assert!(
            !with.effective().contains("not met"),
            "{}",
            with.effective()
        );
    }
}

#[test]
fn each_error_is_told_with_its_field() {
    for (fields, line, field, told) in [
        (
            "resources = ['https://api.test/a', 'https://other.test']",
            1,
            "metadata.resources[1]",
            "not on a public origin",
        ),
        (
            "resource_name = 'a'\nresources = ['https://api.test/a#b']",
            2,
            "metadata.resources[0]",
            "fragment",
        ),
        (
            "resources = ['https://api.test/a', 'https://api.test/a']",
            1,
            "metadata.resources[1]",
            "twice",
        ),
        (
            "authorization_servers = ['https://other.test']",
            1,
            "metadata.authorization_servers[0]",
            "not a configured issuer",
        ),
        (
            "scopes_supported = ['a', 'b c']",
            1,
            "metadata.scopes_supported[1]",
            "not a scope",
        ),
        (
            "resource_documentation = 'docs'",
            1,
            "metadata.resource_documentation",
            "https URL",
        ),
        (
            "resource_policy_uri = 'ftp://docs.test'",
            1,
            "metadata.resource_policy_uri",
            "https URL",
        ),
        (
            "resource_tos_uri = 'http://docs.test'",
            1,
            "metadata.resource_tos_uri",
            "https URL",
        ),
        (
            "resource = 'https://api.test'",
            1,
            "metadata.resource",
            "unknown field",
        ),
    ] {
        let tables = format!("[metadata]\n{fields}");
        rejected("", &tables, TABLES + line, field, told);
    }
}

#[test]
fn plain_http_is_an_error_about_the_table_unless_it_is_allowed_on_this_machine() {
    let text = |more: &str| {
        format!(
            "listen = '127.0.0.1:8080'\nupstream = 'http://127.0.0.1:9000'\n\
             public_origins = ['http://127.0.0.1:8080']\n[[issuer]]\n\
             url = 'https://issuer.test'\naudiences = ['a']\n[metadata]\n{more}"
        )
    };
    let parse = |more: &str| {
        dpop_cli::gateway::Settings::parse(&text(more), std::path::Path::new("gateway.toml"))
    };
    let error = parse("").unwrap_err();
    assert_eq!((error.field(), error.line()), ("metadata", Some(7)));
    assert!(
        error.to_string().contains("danger_allow_plain_http"),
        "{error}"
    );
    assert!(parse("danger_allow_plain_http = true").is_ok());
}
