//! The types of access tokens and the claims of an issuer.

use std::{fs, path::Path};

use dpop_cli::gateway::Settings;

use super::{TABLES, parse, rejected};

#[test]
fn types_and_claims_that_cannot_work_are_told_with_their_line_and_field() {
    for (lines, line, field, told) in [
        ("typ = []", 0, "typ", "no type is named"),
        ("typ = 'a+jwt'", 0, "typ", "sequence"),
        (
            "\ntyp = ['a+jwt',\n'JWT']",
            2,
            "typ[1]",
            "accept_typ_jwt_if",
        ),
        (
            "typ = ['logout+jwt']",
            0,
            "typ[0]",
            "not one of access tokens",
        ),
        ("typ = ['a+jwt', '']", 0, "typ[1]", "not a media type"),
        (
            "accept_typ_jwt_if = { claim = 'typ' }",
            0,
            "accept_typ_jwt_if",
            "missing field `values`",
        ),
        (
            "accept_typ_jwt_if = { claim = 'typ', values = [] }",
            0,
            "accept_typ_jwt_if.values",
            "at least one",
        ),
        (
            "[issuer.accept_typ_jwt_if]\nclaim = 'typ'\nvalues = ['Bearer',\n'ID']",
            3,
            "accept_typ_jwt_if.values[1]",
            "does not mark access tokens",
        ),
        (
            "[issuer.accept_typ_jwt_if]\nvalues = ['x']\nclaim = 'aud'",
            2,
            "accept_typ_jwt_if.claim",
            "does not tell access tokens from ID tokens",
        ),
        (
            "[issuer.accept_typ_jwt_if]\n\nvalue = ['x']\nclaim = 'typ'",
            2,
            "accept_typ_jwt_if.value",
            "unknown field `value`",
        ),
        (
            "danger_accept_typ_jwt = true\naccept_typ_jwt_if = { claim = 'typ', values = ['Bearer'] }",
            1,
            "accept_typ_jwt_if",
            "leave it out",
        ),
        ("client_id_claim = ''", 0, "client_id_claim", "empty"),
        (
            "\nclient_id_claim = 'sub'",
            1,
            "client_id_claim",
            "something else",
        ),
        ("client_id_claim = 7", 0, "client_id_claim", "string"),
    ] {
        rejected(
            "",
            lines,
            TABLES + line,
            &format!("issuer[0].{field}"),
            told,
        );
    }
    // The second of two issuers.
    let second =
        "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\ntyp = ['a+jwt', 'dpop+jwt']";
    let told = "not one of access tokens";
    rejected("", second, TABLES + 3, "issuer[1].typ[1]", told);
}

#[test]
fn types_and_claims_that_issuers_use_are_good() {
    for lines in [
        "typ = ['application/okta-internal-at+jwt', 'at+jwt']",
        "accept_typ_jwt_if = { claim = 'https://x.test/token_use', values = ['access'] }",
        "client_id_claim = 'https://x.test/client'",
        "client_id_claim = 'client_id'",
    ] {
        parse("", lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
    }
}

#[test]
fn the_file_of_each_issuer_in_the_documentation_is_good() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/issuers.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page.split_once("\n## Issuers one by one\n").unwrap();
    let blocks = section.split("```").skip(1).step_by(2);
    let mut files = 0;
    for block in blocks.filter_map(|block| block.strip_prefix("toml\n")) {
        files += 1;
        let text = format!(
            "listen = '127.0.0.1:8080'\nupstream = 'http://127.0.0.1:9000'\n\
             public_origins = ['https://api.example.com']\n{block}"
        );
        let settings = Settings::parse(&text, Path::new("gateway.toml"));
        settings.unwrap_or_else(|error| panic!("{block}: {error}"));
    }
    assert!(files >= 15, "{files} files");
}
