//! Every error in a file is reported with its line and its field.

mod decryption;
mod issuers;
mod metadata;
mod profiles;
mod replay;
#[cfg(feature = "tls")]
mod tls;
mod values;

use std::{fs, path::Path};

use dpop_cli::gateway::{Settings, SettingsError};
use tempfile::TempDir;

/// The line of `@` in the files below.
const LINE: usize = 4;

/// Parses a valid file with `head` in its fourth line and `tables` at its end.
fn parse(head: &str, tables: &str) -> Result<Settings, SettingsError> {
    let folder = TempDir::new().unwrap();
    let jwks = dpop_tower::test_util::TestIssuer::new().jwks();
    fs::write(folder.path().join("jwks.json"), jwks).unwrap();
    fs::write(folder.path().join("short"), "too short").unwrap();
    let text = format!(
        "\
listen = \"127.0.0.1:8080\"
upstream = \"http://127.0.0.1:9000\"
public_origins = [\"https://api.test\"]
{head}
[[issuer]]
url = \"https://issuer.test\"
audiences = [\"https://api.test\"]
jwks_file = \"jwks.json\"
{tables}"
    );
    Settings::parse(&text, &folder.path().join("gateway.toml"))
}

/// The line at which `tables` begins.
const TABLES: usize = 9;

#[track_caller]
fn rejected(head: &str, tables: &str, line: usize, field: &str, told: &str) {
    let error = parse(head, tables).expect_err(&format!("{head:?} {tables:?}"));
    let text = error.to_string();
    assert_eq!(error.line(), Some(line), "{text}");
    assert_eq!(error.field(), field, "{text}");
    assert!(text.contains(told), "{text:?} does not contain {told:?}");
    assert!(
        text.contains(&format!("gateway.toml:{line}:")) && text.contains(field),
        "{text}"
    );
}

#[test]
fn a_file_of_what_has_no_default_is_good() {
    let settings = parse("", "").unwrap();
    assert_eq!(settings.listen(), "127.0.0.1:8080".parse().ok());
    assert!(!settings.forwarding().danger_pass_on_credentials);
}

#[test]
fn the_file_that_comes_with_the_gateway_is_good() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/gateway/gateway.toml");
    Settings::read(&path).unwrap();
}

#[test]
fn a_file_that_is_not_there_is_told() {
    let error = Settings::read(Path::new("/nonexistent/gateway.toml")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/gateway.toml"));
    assert_eq!(error.line(), None);
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    rejected("= 7", "", LINE, "", "key");
    rejected("mode = \"strict", "", LINE, "", "string");
    rejected(
        "mode = 'off'\nmode = 'off'",
        "",
        LINE + 1,
        "",
        "duplicate key",
    );
}

#[test]
fn what_is_missing_is_told_with_its_table() {
    let text = "listen = '127.0.0.1:1'\npublic_origins = ['https://api.test']\n\
                [[issuer]]\nurl = 'https://issuer.test'\naudiences = ['a']\n";
    let error = Settings::parse(text, Path::new("gateway.toml"));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("missing field `upstream`")
    );
    rejected(
        "",
        "[[issuer]]\nurl = 'https://b.test'",
        TABLES,
        "issuer[1]",
        "missing field `audiences`",
    );
    rejected(
        "",
        "[[route]]\nmode = 'off'",
        TABLES,
        "route[0]",
        "missing field `path`",
    );
    rejected(
        "",
        "[trusted_proxies]",
        TABLES,
        "trusted_proxies",
        "missing field `networks`",
    );
}

#[test]
fn a_field_that_is_not_known_is_an_error_everywhere() {
    rejected("moode = 'off'", "", LINE, "moode", "unknown field `moode`");
    for (table, field) in [
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['a']\nx = 1",
            "issuer[1].x",
        ),
        ("[proof]\n\n\nx = 1", "proof.x"),
        ("[nonces]\n\n\nx = 1", "nonces.x"),
        (
            "[trusted_proxies]\nnetworks = ['10.0.0.1']\n\nx = 1",
            "trusted_proxies.x",
        ),
        ("[identity]\n\n\nx = 1", "identity.x"),
        ("[[route]]\npath = '/'\n\nx = 1", "route[0].x"),
        ("[limits]\n\n\nx = 1", "limits.x"),
        ("[replay]\n\n\nx = 1", "replay.x"),
        ("[cors]\norigins = ['*']\n\nx = 1", "cors.x"),
        (
            "[issuer.key_fetching]\n\n\nx = 1",
            "issuer[0].key_fetching.x",
        ),
        ("[probe]\nlisten = '127.0.0.1:1'\n\nx = 1", "probe.x"),
        ("[tls]\n\n\nx = 1", "tls.x"),
        (
            "[[route]]\npath = '/'\n\nupstream_tls = { x = 1 }",
            "route[0].upstream_tls.x",
        ),
    ] {
        rejected("", table, TABLES + 3, field, "unknown field `x`");
    }
}

#[test]
fn every_field_is_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gateway.md");
    let page = fs::read_to_string(page).unwrap();
    let mut count = 0;
    for (head, table) in [
        ("unknown = 1", ""),
        ("", "[[issuer]]\nunknown = 1"),
        ("", "[proof]\nunknown = 1"),
        ("", "[nonces]\nunknown = 1"),
        ("", "[trusted_proxies]\nunknown = 1"),
        ("", "[identity]\nunknown = 1"),
        ("", "[[route]]\nunknown = 1"),
        ("", "[limits]\nunknown = 1"),
        ("", "[replay]\nunknown = 1"),
        ("", "[forward_auth]\nunknown = 1"),
        ("", "[ext_authz]\nunknown = 1"),
        ("", "[cors]\nunknown = 1"),
        ("", "[issuer.key_fetching]\nunknown = 1"),
        ("", "[issuer.introspection]\nunknown = 1"),
        ("", "[issuer.status_list]\nunknown = 1"),
        ("", "[revocation]\nunknown = 1"),
        ("", "[[revocation.transmitter]]\nunknown = 1"),
        ("", "[probe]\nunknown = 1"),
        ("", "[tls]\nunknown = 1"),
        ("", "[upstream_tls]\nunknown = 1"),
    ] {
        let error = parse(head, table).unwrap_err().to_string();
        let (_, fields) = error.split_once("expected ").unwrap();
        for field in fields.split('`').skip(1).step_by(2) {
            count += 1;
            let names = [
                format!("`{field}`"),
                format!("`[[{field}]]`"),
                format!("`[{field}]`"),
                format!("`[identity.{field}]`"),
                format!("`[issuer.{field}]`"),
                format!("`[[revocation.{field}]]`"),
            ];
            let is_there = names.iter().any(|name| page.contains(name));
            assert!(is_there, "{field} of {table:?}");
        }
    }
    assert!(count > 40, "{count} fields");
}

/// Fields of an issuer, each wrong in its own way, and their lines.
#[test]
fn what_an_issuer_cannot_be_is_told_with_its_line_and_field() {
    for (lines, line, field, told) in [
        ("algorithms = []", 0, "algorithms", "no algorithm"),
        (
            "\nalgorithms = ['ES384',\n'HS256']",
            2,
            "algorithms[1]",
            "\"HS256\" is not known",
        ),
        ("algorithms = ['es256']", 0, "algorithms[0]", "ES256"),
        ("algorithms = 'ES256'", 0, "algorithms", "sequence"),
        // The key in the file is for ES256.
        ("algorithms = ['ES384']", -1, "jwks_file", "JWK Set"),
        ("\nleeway = 61", 1, "leeway", "`danger_leeway`"),
        ("leeway = 3601", 0, "leeway", "an hour"),
        ("leeway = -1", 0, "leeway", "-1"),
        ("leeway = 1.5", 0, "leeway", "float"),
        ("danger_leeway = 3601", 0, "danger_leeway", "an hour"),
        (
            "leeway = 5\ndanger_leeway = 90",
            1,
            "danger_leeway",
            "already",
        ),
        ("scope_claim = ''", 0, "scope_claim", "empty"),
        ("\nscope_claim = 'aud'", 1, "scope_claim", "something else"),
        ("scope_claim = ['scp']", 0, "scope_claim", "string"),
    ] {
        let line = TABLES.checked_add_signed(line).unwrap();
        rejected("", lines, line, &format!("issuer[0].{field}"), told);
    }
    for (table, field, line, told) in [
        (
            "url = 'https://b.test/.well-known/openid-configuration'\naudiences = ['b']",
            "url",
            1,
            "likely \"https://b.test\"",
        ),
        (
            "url = 'https://b.test/jwks.json'\naudiences = ['b']\njwks_file = 'jwks.json'",
            "url",
            1,
            "JWK Set",
        ),
        (
            "url = ''\naudiences = ['b']\njwks_file = 'jwks.json'",
            "url",
            1,
            "empty",
        ),
        (
            "url = 'https://b.test/keys'\naudiences = ['b']\njwks_url = 'https://b.test'",
            "jwks_url",
            3,
            "swapped",
        ),
    ] {
        let table = format!("[[issuer]]\n{table}");
        rejected(
            "",
            &table,
            TABLES + line,
            &format!("issuer[1].{field}"),
            told,
        );
    }
}

#[test]
fn what_is_odd_and_good_is_good() {
    for tables in [
        "algorithms = ['ES256', 'RS256']\nleeway = 0\nscope_claim = 'https://x.test/roles'",
        "leeway = 60",
        "danger_leeway = 3600",
        "danger_leeway = 0",
        "[proof]\nmax_age = 600\nleeway = 60",
        "[proof]\nmax_age = 1\nleeway = 0",
        "[proof]\ndanger_max_age = 86400\ndanger_leeway = 3600",
        "[replay]\nfence = true",
        "[replay]\ncapacity = 50\ncapacity_per_key = 50\ncapacity_per_subject = 7",
        "[[issuer]]\nurl = 'https://b.test/'\naudiences = ['b']",
        "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwks_url = 'https://c.test/keys'",
    ] {
        parse("", tables).unwrap_or_else(|error| panic!("{tables}: {error}"));
    }
    parse("path_prefix = '/v1.0/a%2Fb'", "").unwrap();
}

#[test]
fn no_error_shows_a_secret() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("secret"), "hunter2").unwrap();
    let text = "\
listen = '127.0.0.1:8080'
upstream = 'http://127.0.0.1:9000'
public_origins = ['https://api.test']
[[issuer]]
url = 'https://issuer.test'
audiences = ['a']
[nonces]
secret_file = 'secret'";
    let error = Settings::parse(text, &folder.path().join("gateway.toml")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
