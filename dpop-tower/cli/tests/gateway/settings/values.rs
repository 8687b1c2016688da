//! Invalid values.

use std::path::Path;

use dpop_cli::gateway::Settings;

use super::{LINE, TABLES, parse, rejected};

#[test]
fn a_value_of_another_type_is_told_with_its_field() {
    rejected(
        "danger_pass_on_credentials = 'yes'",
        "",
        LINE,
        "danger_pass_on_credentials",
        "boolean",
    );
    rejected("mode = 'lax'", "", LINE, "mode", "unknown variant `lax`");
    rejected("shutdown_timeout = -1", "", LINE, "shutdown_timeout", "-1");
    rejected(
        "",
        "[proof]\nmax_age = '60'",
        TABLES + 1,
        "proof.max_age",
        "string",
    );
    rejected(
        "",
        "[[route]]\npath = 7",
        TABLES + 1,
        "route[0].path",
        "integer",
    );
    rejected(
        "",
        "[replay]\ncapacity = 0",
        TABLES + 1,
        "replay.capacity",
        "nonzero",
    );
}

#[test]
fn a_head_that_means_nothing_is_told_with_its_field() {
    let with = |field: &str, value: &str| {
        let text = format!(
            "listen = {}\nupstream = {}\npublic_origins = {}\n[[issuer]]\nurl = {}\naudiences = {}\n",
            if field == "listen" {
                value
            } else {
                "'127.0.0.1:8080'"
            },
            if field == "upstream" {
                value
            } else {
                "'http://127.0.0.1:9000'"
            },
            if field.starts_with("public_origins") {
                value
            } else {
                "['https://api.test']"
            },
            if field == "issuer[0].url" {
                value
            } else {
                "'https://issuer.test'"
            },
            if field == "issuer[0].audiences" {
                value
            } else {
                "['a']"
            },
        );
        Settings::parse(&text, Path::new("gateway.toml")).unwrap_err()
    };
    for (field, value, line, told) in [
        ("listen", "'8080'", 1, "socket address"),
        ("upstream", "'127.0.0.1:9000'", 2, "such as"),
        (
            "upstream",
            "'http://127.0.0.1:9000/v1'",
            2,
            "without a path",
        ),
        ("upstream", "'http://user@127.0.0.1'", 2, "such as"),
        ("upstream", "'ftp://127.0.0.1'", 2, "such as"),
        ("public_origins[0]", "['https://*.api.test']", 3, "'*'"),
        ("upstream", "'http://a b'", 2, "not a URL"),
        ("public_origins", "[]", 3, "clients call the gateway"),
        ("public_origins[0]", "['api.test']", 3, "looks like"),
        (
            "public_origins[1]",
            "['https://api.test',\n'https://api.test/v1']",
            4,
            "looks like",
        ),
        ("issuer[0].url", "'http://issuer.test'", 5, "https"),
        ("issuer[0].url", "'issuer'", 5, "not a URL"),
        ("issuer[0].url", "''", 5, "empty"),
        ("issuer[0].audiences", "[]", 6, "audience"),
        ("issuer[0].audiences", "['a', '']", 6, "audience"),
    ] {
        let error = with(field, value);
        assert_eq!(
            (error.field(), error.line()),
            (field, Some(line)),
            "{error}"
        );
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[test]
fn what_cannot_be_is_told_with_its_field() {
    for (table, line, field, told) in [
        (
            "[[issuer]]\nurl = 'https://issuer.test'\naudiences = ['b']",
            1,
            "issuer[1].url",
            "twice",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwks_file = 'nothing'",
            3,
            "issuer[1].jwks_file",
            "cannot be read",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwks_file = 'short'",
            3,
            "issuer[1].jwks_file",
            "JWK Set",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwks_url = 'http://b.test/k'",
            3,
            "issuer[1].jwks_url",
            "https",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\njwks_url = 'https://b.test/k'\njwks_file = 'jwks.json'",
            4,
            "issuer[1].jwks_file",
            "already",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\n[identity.claims]\nsub = 'X-User'",
            4,
            "identity.claims.sub",
            "does not tell who called",
        ),
        (
            "[[issuer]]\nurl = 'https://b.test'\naudiences = ['b']\n[identity.claims]\nclient_id = 'X-A'",
            4,
            "identity.claims.client_id",
            "does not tell who called",
        ),
        (
            "[identity]\nprincipal = 'X-DPoP-Thumbprint'",
            1,
            "identity.principal",
            "already in use",
        ),
        (
            "[[route]]\npath = '/a'\nissuers = ['https://issuer.test', 'https://b.test']",
            2,
            "route[0].issuers[1]",
            "`url` of an `[[issuer]]`",
        ),
        (
            "[[route]]\npath = '/a'\nissuers = []",
            1,
            "route[0].path",
            "accepts no issuer",
        ),
        (
            "[[route]]\npath = '/a'\nmode = 'off'\nissuers = ['https://issuer.test']",
            1,
            "route[0].mode",
            "`issuers` has no effect",
        ),
        ("[proof]\nmax_age = 0", 1, "proof.max_age", "is zero"),
        ("[proof]\nmax_age = 86401", 1, "proof.max_age", "a day"),
        (
            "[proof]\nmax_age = 601",
            1,
            "proof.max_age",
            "`danger_max_age`",
        ),
        (
            "[proof]\ndanger_max_age = 86401",
            1,
            "proof.danger_max_age",
            "a day",
        ),
        (
            "[proof]\nmax_age = 60\ndanger_max_age = 700",
            2,
            "proof.danger_max_age",
            "`proof.max_age` is already set",
        ),
        (
            "[proof]\nmax_age = 60\nleeway = 3601",
            2,
            "proof.leeway",
            "an hour",
        ),
        (
            "[proof]\n\nleeway = 61",
            2,
            "proof.leeway",
            "`danger_leeway`",
        ),
        (
            "[proof]\ndanger_leeway = 3601",
            1,
            "proof.danger_leeway",
            "an hour",
        ),
        (
            "[proof]\nleeway = 1\ndanger_leeway = 2",
            2,
            "proof.danger_leeway",
            "`proof.leeway` is already set",
        ),
        (
            "[issuer.key_fetching]\nmax_key_age = 60",
            0,
            "issuer[0].key_fetching",
            "`KeyFetching::max_key_age` is 60s",
        ),
        (
            "[issuer.key_fetching]\nmax_refresh_after = 3601",
            0,
            "issuer[0].key_fetching",
            "danger_max_refresh_after",
        ),
        (
            "[issuer.key_fetching]\nrefresh_after = 60\ndanger_refresh_after = 60",
            2,
            "issuer[0].key_fetching.danger_refresh_after",
            "`refresh_after` is already set",
        ),
        (
            "[[issuer]]\nurl = 'http://idp.example.com'\naudiences = ['b']\ndanger_allow_plain_http = true",
            1,
            "issuer[1].url",
            "danger_allow_plain_http_to_any_host",
        ),
        (
            "[probe]\nlisten = 9090",
            1,
            "probe.listen",
            "expected socket address",
        ),
        (
            "[replay]\ncapacity_per_subject = 0",
            1,
            "replay.capacity_per_subject",
            "nonzero",
        ),
        (
            "[proof]\nalgorithms = []",
            1,
            "proof.algorithms",
            "algorithm",
        ),
        (
            "[proof]\nalgorithms = ['ES256',\n'HS256']",
            2,
            "proof.algorithms[1]",
            "not asymmetric",
        ),
        (
            "[nonces]\nsecret_file = 'nothing'",
            1,
            "nonces.secret_file",
            "cannot be read",
        ),
        (
            "[nonces]\nsecret_file = 'short'",
            1,
            "nonces.secret_file",
            "32 bytes",
        ),
        (
            "[nonces]\nsecret_env = 'NO_SUCH_SECRET'",
            1,
            "nonces.secret_env",
            "no such variable",
        ),
        (
            "[nonces]\nsecret_file = 'a'\nsecret_env = 'b'",
            2,
            "nonces.secret_env",
            "already",
        ),
        (
            "[nonces]\nsecrets_file = 'nothing'",
            1,
            "nonces.secrets_file",
            "cannot be read",
        ),
        (
            "[nonces]\n\nsecrets_file = 'short'",
            2,
            "nonces.secrets_file",
            "line 1 is not `current`, `previous` or `next`",
        ),
        (
            "[nonces]\nalso_accept_env = 'PATH'\nsecrets_file = 'short'",
            2,
            "nonces.secrets_file",
            "has all secrets",
        ),
        ("[nonces]\nperiod = 0", 1, "nonces.period", "from 1"),
        (
            "[trusted_proxies]\nnetworks = []",
            1,
            "trusted_proxies.networks",
            "no peer",
        ),
        (
            "[trusted_proxies]\nnetworks = ['10.0.0.0/8', 'proxy.test']",
            1,
            "trusted_proxies.networks[1]",
            "looks like",
        ),
        (
            "[trusted_proxies]\nnetworks = ['10.0.0.0/8']\nprefixes = ['v1']",
            2,
            "trusted_proxies.prefixes[0]",
            "slash",
        ),
        (
            "[identity]\nthumbprint = 'a b'",
            1,
            "identity.thumbprint",
            "not a valid header name",
        ),
        (
            "[identity]\nthumbprint = 'Authorization'",
            1,
            "identity.thumbprint",
            "another meaning",
        ),
        (
            "[identity.claims]\nsub = 'x-user'\niss = 'X_User'",
            2,
            "identity.claims.iss",
            "punctuation",
        ),
        (
            "[identity.claims]\nsub = 'content-length'",
            1,
            "identity.claims.sub",
            "another meaning",
        ),
        (
            "[nonces]\naccept_for_iat = true\nperiod = 301",
            1,
            "nonces.accept_for_iat",
            "10 minutes",
        ),
        ("[[route]]\npath = 'orders'", 1, "route[0].path", "slash"),
        (
            "[[route]]\npath = '/a/../b'",
            1,
            "route[0].path",
            "rejected",
        ),
        ("[[route]]\npath = '/a?b'", 1, "route[0].path", "query"),
        ("[[route]]\npath = '/{'", 1, "route[0].path", "neither"),
        (
            "[[route]]\npath = '/users/:id'",
            1,
            "route[0].path",
            "write \"{id}\"",
        ),
        (
            "[[route]]\npath = '/a'\nmode = 'deny'\nscopes = ['a']",
            1,
            "route[0].mode",
            "`scopes` has no effect",
        ),
        (
            "[[route]]\npath = '/a'\n[[route]]\npath = '/{b}'\n[[route]]\npath = '/{c}'",
            5,
            "route[2].path",
            "two policies",
        ),
        (
            "[[route]]\npath = '/a'\n[[route]]\npath = '/a'",
            3,
            "route[1].path",
            "two policies",
        ),
        (
            "[[route]]\npath = '/a'\nmethods = []",
            1,
            "route[0].path",
            "no method",
        ),
        (
            "[[route]]\npath = '/a'\nmethods = ['GET', 'get']",
            2,
            "route[0].methods[1]",
            "such as GET",
        ),
        (
            "[[route]]\npath = '/a'\nscopes = ['a b']",
            1,
            "route[0].path",
            "no token can have",
        ),
        (
            "[[route]]\npath = '/a'\nacr = []",
            1,
            "route[0].path",
            "no `acr`",
        ),
        (
            "[[route]]\npath = '/a'\nmode = 'off'\nscopes = ['a']",
            1,
            "route[0].mode",
            "`scopes` has no effect",
        ),
        (
            "[limits]\nheader_size = 4096",
            1,
            "limits.header_size",
            "8192",
        ),
        (
            "[limits]\nconnections = 0",
            1,
            "limits.connections",
            "from 1",
        ),
        (
            "[limits]\nidle_timeout = 0",
            1,
            "limits.idle_timeout",
            "from 1",
        ),
        (
            "[cors]\norigins = []",
            1,
            "cors.origins",
            "origins of pages",
        ),
        (
            "[cors]\norigins = ['https://a.test',\n'https://a.test/x']",
            2,
            "cors.origins[1]",
            "such as",
        ),
        (
            "[cors]\norigins = ['a.test']",
            1,
            "cors.origins[0]",
            "such as",
        ),
        (
            "[cors]\norigins = ['https://u@a.test']",
            1,
            "cors.origins[0]",
            "such as",
        ),
        (
            "[cors]\norigins = ['app://a/b']",
            1,
            "cors.origins[0]",
            "such as",
        ),
        (
            "[cors]\norigins = ['file:///']",
            1,
            "cors.origins[0]",
            "such as",
        ),
        (
            "[cors]\norigins = ['null']",
            1,
            "cors.origins[0]",
            "any page",
        ),
        (
            "[cors]\norigins = ['https://a.test', '*']",
            1,
            "cors.origins[1]",
            "list each origin",
        ),
        (
            "[cors]\norigins = ['https://*.a.test']",
            1,
            "cors.origins[0]",
            "patterns are not supported",
        ),
        (
            "[cors]\norigins = ['*']\nmethods = ['GET', 'get']",
            2,
            "cors.methods[1]",
            "such as GET",
        ),
        (
            "[cors]\norigins = ['*']\nmethods = ['OPTIONS']",
            2,
            "cors.methods[0]",
            "preflights",
        ),
        (
            "[cors]\norigins = ['*']\nmethods = ['TRACE']",
            2,
            "cors.methods[0]",
            "do not let pages",
        ),
        (
            "[cors]\norigins = ['*']\nheaders = ['X-A', '*']",
            2,
            "cors.headers[1]",
            "each header",
        ),
        (
            "[cors]\norigins = ['*']\nexpose = ['a b']",
            2,
            "cors.expose[0]",
            "not a valid header name",
        ),
        (
            "[cors]\norigins = ['*']\nmax_age = 86401",
            2,
            "cors.max_age",
            "at most",
        ),
        (
            "[limits]\nresponse_timeout = 0",
            1,
            "limits.response_timeout",
            "from 1",
        ),
    ] {
        rejected("", table, TABLES + line, field, told);
    }
    rejected("path_prefix = 'v1'", "", LINE, "path_prefix", "slash");
    rejected(
        "path_prefix = '/a/../b'",
        "",
        LINE,
        "path_prefix",
        "write \"/b\"",
    );
}

#[test]
fn the_header_of_a_client_certificate_has_a_known_syntax_and_a_usable_name() {
    for (table, rest) in [
        ("trusted_proxies", "networks = ['10.0.0.1']"),
        ("forward_auth", "proxy = 'nginx'\nlisten = '127.0.0.1:1'"),
        ("ext_authz", "listen = '127.0.0.1:1'"),
    ] {
        let file = |value| format!("[{table}]\n{rest}\nclient_certificate = {value}");
        for (value, told) in [
            ("'x-cert'", "unknown variant"),
            ("{ escaped_pem = 'a b' }", "cannot be the name"),
            ("{ base64_der = 'Authorization' }", "cannot be the name"),
            ("{ base64_der = 'X-Original-URI' }", "cannot be the name"),
            ("{ base64_der = 'X_DPoP_Cert' }", "cannot be the name"),
            ("{ sha256_hex = '' }", "cannot be the name"),
        ] {
            let line = TABLES + rest.lines().count() + 1;
            let field = format!("{table}.client_certificate");
            rejected("", &file(value), line, &field, told);
        }
        // Envoy alone can report it apart from the headers.
        let peer = parse("", &file("'peer_certificate'"));
        match peer {
            Ok(_) => assert_eq!(table, "ext_authz"),
            Err(error) => {
                assert_ne!(table, "ext_authz", "{error}");
                assert!(error.to_string().contains("only Envoy"), "{error}");
            }
        }
    }
}

#[test]
fn a_route_that_rejects_or_checks_nothing_has_no_rule_for_certificates() {
    for field in ["accept_certificate_bound", "require_certificate_bound"] {
        for mode in ["off", "deny"] {
            let tables = format!("[[route]]\npath = '/a'\nmode = '{mode}'\n{field} = true");
            rejected("", &tables, TABLES + 1, "route[0].mode", field);
        }
    }
}
