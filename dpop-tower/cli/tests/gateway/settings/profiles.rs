//! `profile`.

use super::{LINE, TABLES, parse, rejected};

#[test]
fn each_profile_is_known_by_its_name() {
    for (name, text) in [
        ("fapi2", "FAPI 2.0 Security Profile"),
        ("mcp", "MCP authorization 2026-07-28 with SEP-1932"),
        ("atproto", "atproto OAuth profile"),
    ] {
        let settings = parse(&format!("profile = '{name}'"), "").unwrap();
        let told = settings.effective();
        let first = told.lines().next().unwrap();
        assert!(
            first.starts_with("profile ") && first.ends_with(text),
            "{told}"
        );
    }
    let plain = parse("", "").unwrap();
    let told = plain.effective();
    assert!(!told.contains("profile"), "{told}");
    rejected("profile = 'fapi'", "", LINE, "profile", "unknown variant");
}

#[test]
fn an_issuer_without_an_algorithm_of_the_profile_is_an_error_about_its_algorithms() {
    let issuer = "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\nalgorithms = ['RS256']";
    assert!(parse("", issuer).is_ok());
    rejected(
        "profile = 'fapi2'",
        issuer,
        TABLES + 3,
        "issuer[1].algorithms",
        "allows none of the algorithms",
    );
}
