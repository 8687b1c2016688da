//! Certificates, keys and upstreams that are not what they should be.

use std::{fs, path::Path};

use dpop_cli::gateway::Settings;
use openssl::{pkey::PKey, rsa::Rsa, symm::Cipher};
use tempfile::TempDir;

use super::{LINE, TABLES, parse, rejected};
use crate::tls::certificates::{Authority, Pair, Validity};

/// A folder with a good pair, and with files that are wrong in their own ways.
fn folder() -> (TempDir, Pair) {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("servers");
    let pair = authority.server("api.test");
    pair.write(folder.path(), "server");
    authority.server("api.test").write(folder.path(), "other");
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("ca.pem", &authority.pem());
    write("short", b"too short");
    let encrypted = pair
        .key
        .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"hunter2");
    write("encrypted.key", &encrypted.unwrap());
    write("two.key", &[pair.key_pem(), pair.key_pem()].concat());
    write("cut.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END\n");
    write(
        "no.pem",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    );
    write(
        "no.key",
        b"-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n",
    );
    (folder, pair)
}

fn at(folder: &TempDir, name: &str) -> String {
    format!("'{}'", folder.path().join(name).display())
}

#[test]
fn keys_have_any_of_three_forms() {
    let (folder, pair) = folder();
    let sec1 = pair.key.ec_key().unwrap().private_key_to_pem().unwrap();
    fs::write(folder.path().join("sec1.key"), sec1).unwrap();
    let tables = |key: &str| {
        let (certificate, key) = (at(&folder, "server.pem"), at(&folder, key));
        format!("[tls]\ncertificate_file = {certificate}\nkey_file = {key}")
    };
    for key in ["server.key", "sec1.key"] {
        let settings = parse("", &tables(key)).unwrap_or_else(|error| panic!("{error}"));
        assert!(settings.warnings().is_empty());
    }
    // That of another certificate, but read.
    let rsa = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pkcs1 = rsa.rsa().unwrap().private_key_to_pem().unwrap();
    fs::write(folder.path().join("pkcs1.key"), pkcs1).unwrap();
    let error = parse("", &tables("pkcs1.key")).unwrap_err().to_string();
    assert!(error.contains("it is not the key"), "{error}");
}

#[test]
fn a_pair_that_is_no_good_is_told_with_its_line_and_field() {
    let (folder, _) = folder();
    for (certificate, key, field, told) in [
        (
            "nothing",
            "server.key",
            "certificate_file",
            "cannot be read",
        ),
        (
            "short",
            "server.key",
            "certificate_file",
            "no certificate in PEM",
        ),
        (
            "server.key",
            "server.key",
            "certificate_file",
            "no certificate in PEM",
        ),
        ("cut.pem", "server.key", "certificate_file", "not valid PEM"),
        ("no.pem", "server.key", "certificate_file", "cannot be read"),
        ("server.pem", "nothing", "key_file", "cannot be read"),
        ("server.pem", "short", "key_file", "no private key in PEM"),
        (
            "server.pem",
            "server.pem",
            "key_file",
            "no private key in PEM",
        ),
        ("server.pem", "encrypted.key", "key_file", "not encrypted"),
        ("server.pem", "two.key", "key_file", "more than one"),
        ("server.pem", "no.key", "key_file", "cannot be used"),
        (
            "server.pem",
            "other.key",
            "key_file",
            "not the key of the first",
        ),
    ] {
        let (certificate, key) = (at(&folder, certificate), at(&folder, key));
        let tables = format!("[tls]\ncertificate_file = {certificate}\nkey_file = {key}");
        let line = TABLES + if field == "key_file" { 2 } else { 1 };
        rejected("", &tables, line, &format!("tls.{field}"), told);
    }
    let tables = format!("[tls]\ncertificate_file = {}", at(&folder, "server.pem"));
    rejected("", &tables, TABLES, "tls", "missing field `key_file`");
}

#[test]
fn a_mistake_is_told_with_its_column() {
    let (folder, _) = folder();
    let tables = format!(
        "[tls]\ncertificate_file = {}\nkey_file =   'nothing'",
        at(&folder, "server.pem")
    );
    let error = parse("", &tables).unwrap_err().to_string();
    let place = format!("gateway.toml:{}:14: tls.key_file: ", TABLES + 2);
    assert!(error.contains(&place), "{error}");
}

#[test]
fn certificates_of_clients_need_an_authority() {
    let (folder, _) = folder();
    let pair = format!(
        "[tls]\ncertificate_file = {}\nkey_file = {}\n",
        at(&folder, "server.pem"),
        at(&folder, "server.key")
    );
    let ca = at(&folder, "ca.pem");
    for mode in [
        "",
        "client_certificates = 'required'",
        "client_certificates = 'optional'",
    ] {
        let tables = format!("{pair}client_ca_file = {ca}\n{mode}");
        parse("", &tables).unwrap_or_else(|error| panic!("{error}"));
    }
    for (lines, field, told) in [
        (
            "client_certificates = 'required'",
            "client_certificates",
            "`client_ca_file`",
        ),
        (
            "client_certificates = 'optional'",
            "client_certificates",
            "`client_ca_file`",
        ),
        (
            "client_certificates = 'maybe'",
            "client_certificates",
            "unknown variant",
        ),
        (
            "client_ca_file = 'nothing'",
            "client_ca_file",
            "cannot be read",
        ),
        (
            "client_ca_file = 'short'",
            "client_ca_file",
            "no certificate in PEM",
        ),
    ] {
        let tables = format!("{pair}{lines}");
        rejected("", &tables, TABLES + 3, &format!("tls.{field}"), told);
    }
}

#[test]
fn a_certificate_that_nothing_listens_with_is_told() {
    let (folder, _) = folder();
    let text = format!(
        "\
public_origins = ['https://api.test']
[[issuer]]
url = 'https://issuer.test'
audiences = ['a']
[forward_auth]
listen = '127.0.0.1:1'
proxy = 'nginx'
[tls]
certificate_file = {}
key_file = {}
",
        at(&folder, "server.pem"),
        at(&folder, "server.key")
    );
    let error = Settings::parse(&text, Path::new("gateway.toml")).unwrap_err();
    assert_eq!((error.line(), error.field()), (Some(8), "tls"), "{error}");
    assert!(error.to_string().contains("`listen`"), "{error}");
}

#[test]
fn a_certificate_that_is_not_valid_now_is_a_warning() {
    let folder = TempDir::new().unwrap();
    let authority = Authority::new("servers");
    for (from, until, told) in [
        (-5, -3, Some("certificate 1 of it has expired 3 days ago")),
        (3, 5, Some("certificate 1 of it will be valid in ")),
        (-1, 1, None),
    ] {
        let pair = authority.issue("api.test", Validity { from, until });
        pair.write(folder.path(), "server");
        let tables = format!(
            "[tls]\nkey_file = {}\ncertificate_file = {}",
            at(&folder, "server.key"),
            at(&folder, "server.pem")
        );
        let settings = parse("", &tables).unwrap_or_else(|error| panic!("{error}"));
        match (settings.warnings(), told) {
            ([], None) => {}
            ([warning], Some(told)) => {
                let place = format!("gateway.toml:{}:20: tls.certificate_file: ", TABLES + 2);
                assert!(
                    warning.contains(&place) && warning.contains(told),
                    "{warning}"
                );
            }
            (warnings, told) => panic!("{warnings:?} {told:?}"),
        }
    }
}

#[test]
fn an_upstream_that_cannot_be_is_told_with_its_line_and_field() {
    let (folder, _) = folder();
    let (certificate, key) = (at(&folder, "server.pem"), at(&folder, "server.key"));
    let other = at(&folder, "other.key");
    let https = "upstream = 'https://b.test'\n";
    let with = |fields: &str| format!("{https}upstream_tls = {{ {fields} }}");
    let tls = "upstream_tls";
    for (lines, line, field, told) in [
        ("upstream = 'b.test'".to_owned(), 0, "upstream", "such as"),
        (
            "upstream = 'http://b.test/x'".to_owned(),
            0,
            "upstream",
            "without a path",
        ),
        (
            "upstream_tls = {}".to_owned(),
            0,
            tls,
            "no `upstream` in this route",
        ),
        (
            "upstream = 'http://b.test'\nupstream_tls = {}".to_owned(),
            1,
            tls,
            "not `https`",
        ),
        (
            with("ca_file = 'nothing'"),
            1,
            "upstream_tls.ca_file",
            "cannot be read",
        ),
        (
            with("ca_file = 'short'"),
            1,
            "upstream_tls.ca_file",
            "no certificate",
        ),
        (
            with("server_name = 'a b'"),
            1,
            "upstream_tls.server_name",
            "host name",
        ),
        (
            with(&format!("client_certificate_file = {certificate}")),
            1,
            "upstream_tls.client_certificate_file",
            "`client_key_file`",
        ),
        (
            with(&format!("client_key_file = {key}")),
            1,
            "upstream_tls.client_key_file",
            "`client_certificate_file`",
        ),
        (
            with(&format!(
                "client_certificate_file = {certificate}, client_key_file = {other}"
            )),
            1,
            "upstream_tls.client_key_file",
            "not the key",
        ),
    ] {
        let tables = format!("[[route]]\npath = '/a'\n{lines}");
        let field = format!("route[0].{field}");
        rejected("", &tables, TABLES + 2 + line, &field, told);
    }
    let head = "upstream_tls = { ca_file = 'nothing' }";
    // That of the rest of the file is `http`.
    rejected(head, "", LINE, "upstream_tls", "not `https`");
}

#[test]
fn routes_with_the_same_path_and_different_upstreams_are_told() {
    let route = |path: &str, method: &str, upstream: &str| {
        format!("[[route]]\npath = '{path}'\nmethods = ['{method}']\n{upstream}\n")
    };
    let (a, b) = ("upstream = 'http://a.test'", "upstream = 'http://b.test'");
    let same = [route("/a/{x}", "GET", a), route("/a/{y}", "POST", a)].concat();
    parse("", &same).unwrap_or_else(|error| panic!("{error}"));
    let differ = [route("/a/{x}", "GET", a), route("/a/{y}", "POST", b)].concat();
    rejected(
        "",
        &differ,
        TABLES + 7,
        "route[1].upstream",
        "by the path alone",
    );
    let without = [route("/a/{x}", "GET", a), route("/a/{y}", "POST", "")].concat();
    rejected(
        "",
        &without,
        TABLES + 5,
        "route[1].upstream",
        "by the path alone",
    );
}

#[test]
fn no_error_of_tls_shows_a_key() {
    let (folder, pair) = folder();
    let key = String::from_utf8(pair.key_pem()).unwrap();
    let line = key.lines().nth(1).unwrap();
    // The key where it is cut, in the place of a certificate, and without its end.
    let cut = key.replace("-----END PRIVATE KEY-----", "-----BEGIN");
    fs::write(folder.path().join("cut.key"), &cut).unwrap();
    fs::write(folder.path().join("joined.key"), key.replace('\n', "")).unwrap();
    for (certificate, file) in [
        ("server.pem", "cut.key"),
        ("server.pem", "joined.key"),
        ("server.pem", "other.key"),
        ("cut.key", "cut.key"),
    ] {
        let tables = format!(
            "[tls]\ncertificate_file = {}\nkey_file = {}",
            at(&folder, certificate),
            at(&folder, file)
        );
        let error = parse("", &tables).unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(!told.contains(&line[..16]), "{told}");
    }
}
