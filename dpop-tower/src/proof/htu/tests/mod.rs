mod generated;

use std::iter;

use super::*;

fn htu(uri: &str) -> Htu {
    Htu::parse(uri).unwrap_or_else(|error| panic!("{uri:?}: {error}"))
}

fn origin(origin: &str) -> Origin {
    Origin::parse(origin).unwrap_or_else(|error| panic!("{origin:?}: {error}"))
}

#[track_caller]
fn assert_normalises(cases: &[(&str, &str)]) {
    for (written, normal) in cases {
        assert_eq!(htu(written).as_str(), *normal, "{written:?}");
        assert_eq!(htu(normal).as_str(), *normal, "again, {written:?}");
    }
}

#[track_caller]
fn assert_rejects(cases: &[(&str, HtuError)]) {
    for (written, error) in cases {
        assert_eq!(Htu::parse(written), Err(*error), "{written:?}");
    }
}

#[test]
fn scheme_and_host_are_case_insensitive() {
    assert_normalises(&[
        (
            "HTTPS://API.Example.COM/Path",
            "https://api.example.com/Path",
        ),
        ("hTTp://a/", "http://a/"),
        ("https://%41pi.example/", "https://api.example/"),
        ("https://a%2eb/", "https://a.b/"),
        ("https://a%c3%a9%2f/", "https://a%C3%A9%2F/"),
        ("https://a!$&'()*+,;=_~-/", "https://a!$&'()*+,;=_~-/"),
        ("https://192.0.2.1/", "https://192.0.2.1/"),
        ("https://192.000.02.1/", "https://192.000.02.1/"),
    ]);
}

#[test]
fn a_default_or_empty_port_is_dropped() {
    assert_normalises(&[
        ("https://a:443/", "https://a/"),
        ("https://a:0443/", "https://a/"),
        ("https://a:/", "https://a/"),
        ("https://a:", "https://a/"),
        ("http://a:80/", "http://a/"),
        ("http://a:443/", "http://a:443/"),
        ("https://a:80/", "https://a:80/"),
        ("https://a:008443/", "https://a:8443/"),
        ("https://a:65535/", "https://a:65535/"),
        ("https://a:0/", "https://a:0/"),
        ("https://[::1]:443/", "https://[::1]/"),
        ("https://[::1]:/", "https://[::1]/"),
        ("https://[::1]:8443/", "https://[::1]:8443/"),
    ]);
    assert_rejects(&[
        ("https://a:65536/", HtuError::InvalidPort),
        ("https://a:99999999999999999999/", HtuError::InvalidPort),
        ("https://a:+443/", HtuError::InvalidPort),
        ("https://a:-1/", HtuError::InvalidPort),
        ("https://a: 443/", HtuError::InvalidPort),
        ("https://a:44%33/", HtuError::InvalidPort),
        ("https://a:443:443/", HtuError::InvalidPort),
    ]);
}

#[test]
fn ipv6_literals_are_written_canonically() {
    assert_normalises(&[
        ("https://[2001:DB8:0:0:0:0:0:1]/", "https://[2001:db8::1]/"),
        ("https://[2001:0db8::0001]/", "https://[2001:db8::1]/"),
        ("https://[::FFFF:C000:0201]/", "https://[::ffff:192.0.2.1]/"),
        ("https://[1::2:3:4:5:6:7]/", "https://[1:0:2:3:4:5:6:7]/"),
    ]);
    assert_rejects(&[
        ("https://[::1/", HtuError::InvalidHost),
        ("https://[]/", HtuError::InvalidHost),
        ("https://[::1]x/", HtuError::InvalidHost),
        ("https://[::1]443/", HtuError::InvalidHost),
        ("https://[192.0.2.1]/", HtuError::InvalidHost),
        ("https://[::%31]/", HtuError::InvalidHost),
        ("https://[fe80::1%25eth0]/", HtuError::InvalidHost),
        ("https://[fe80::1%eth0]/", HtuError::InvalidHost),
        ("https://[v1.a]/", HtuError::InvalidHost),
        ("https://[[::1]]/", HtuError::InvalidHost),
        ("https://::1/", HtuError::EmptyHost),
    ]);
}

#[test]
fn hosts_that_are_no_names_are_rejected() {
    assert_rejects(&[
        ("https://", HtuError::EmptyHost),
        ("https:///a", HtuError::EmptyHost),
        ("https://?a", HtuError::EmptyHost),
        ("https://:443/", HtuError::EmptyHost),
        ("https://user@a/", HtuError::UserInfo),
        ("https://user:password@a:443/", HtuError::UserInfo),
        ("https://@a/", HtuError::UserInfo),
        ("https://a]/", HtuError::InvalidHost),
        ("https://a b/", HtuError::InvalidHost),
        ("https://a\\b/", HtuError::InvalidHost),
        ("https://a|b/", HtuError::InvalidHost),
        ("https://a\t/", HtuError::InvalidHost),
        ("https://a%/", HtuError::InvalidPercentEncoding),
        ("https://a%4/", HtuError::InvalidPercentEncoding),
        ("https://a%g0/", HtuError::InvalidPercentEncoding),
    ]);
}

#[test]
fn internationalised_names_have_to_be_a_labels() {
    assert_normalises(&[(
        "https://XN--BCHER-KVA.example/",
        "https://xn--bcher-kva.example/",
    )]);
    assert_rejects(&[
        ("https://b\u{fc}cher.example/", HtuError::NotAscii),
        // The Kelvin sign and the long s lower-case to ASCII letters.
        ("https://\u{212a}.example/", HtuError::NotAscii),
        ("http\u{17f}://a/", HtuError::NotAscii),
        ("https://a/caf\u{e9}", HtuError::NotAscii),
        ("https://a/?caf\u{e9}", HtuError::NotAscii),
    ]);
}

#[test]
fn only_absolute_http_uris_are_accepted() {
    assert_rejects(&[
        ("", HtuError::NotAbsolute),
        ("/orders", HtuError::NotAbsolute),
        ("//a/orders", HtuError::NotAbsolute),
        ("https", HtuError::NotAbsolute),
        ("https:", HtuError::NotAbsolute),
        ("https:a", HtuError::NotAbsolute),
        ("https:/a", HtuError::NotAbsolute),
        ("https:\\\\a", HtuError::NotAbsolute),
        ("wss://a/", HtuError::WebSocketScheme),
        ("WS://a/", HtuError::WebSocketScheme),
        ("wsss://a/", HtuError::UnsupportedScheme),
        ("ftp://a/", HtuError::UnsupportedScheme),
        ("httpss://a/", HtuError::UnsupportedScheme),
        ("http%73://a/", HtuError::UnsupportedScheme),
        (" https://a/", HtuError::UnsupportedScheme),
        ("://a/", HtuError::UnsupportedScheme),
        ("a:443/", HtuError::UnsupportedScheme),
    ]);
}

#[test]
fn query_and_fragment_are_ignored() {
    assert_normalises(&[
        ("https://a/b?c=d", "https://a/b"),
        ("https://a/b?c=/../d#e", "https://a/b"),
        ("https://a/b#c?d", "https://a/b"),
        ("https://a/b/?%zz \\", "https://a/b/"),
        ("https://a?b", "https://a/"),
        ("https://a#@b/c", "https://a/"),
        ("https://a?//b/c:d@e", "https://a/"),
    ]);
}

#[test]
fn only_unreserved_characters_are_decoded() {
    assert_normalises(&[
        ("https://a/%61%7E%7e%2D%5f%30", "https://a/a~~-_0"),
        ("https://a/%2f%2F%3a%5c", "https://a/%2F%2F%3A%5C"),
        ("https://a/%2561", "https://a/%2561"),
        ("https://a/%25%36%31", "https://a/%2561"),
        ("https://a/%00%0a%20%c3%a9", "https://a/%00%0A%20%C3%A9"),
        ("https://a/:@!$&'()*+,;=", "https://a/:@!$&'()*+,;="),
        ("https://a/|[]^`{}", "https://a/|[]^`{}"),
    ]);
    assert_ne!(htu("https://a/|"), htu("https://a/%7C"));
    assert_ne!(htu("https://a/:"), htu("https://a/%3A"));
}

#[test]
fn malformed_paths_are_rejected() {
    for path in [
        "%", "%4", "%zz", "%4g", "%+1", "%%41", "a%4/1", "%2", "%4%41",
    ] {
        let uri = format!("https://a/{path}");
        assert_eq!(
            Htu::parse(&uri),
            Err(HtuError::InvalidPercentEncoding),
            "{path:?}"
        );
    }
    for forbidden in ('\0'..=' ').chain(['"', '<', '>', '\\', '\u{7f}']) {
        let uri = format!("https://a/b{forbidden}c");
        assert_eq!(
            Htu::parse(&uri),
            Err(HtuError::InvalidPathCharacter),
            "{forbidden:?}"
        );
    }
}

#[test]
fn dot_segments_are_removed_and_nothing_else() {
    assert_normalises(&[
        // RFC 3986 section 5.2.4.
        ("https://a/a/b/c/./../../g", "https://a/a/g"),
        ("https://a/mid/content=5/../6", "https://a/mid/6"),
        ("https://a/.", "https://a/"),
        ("https://a/..", "https://a/"),
        ("https://a/./", "https://a/"),
        ("https://a/../../../b", "https://a/b"),
        ("https://a/b/..", "https://a/"),
        ("https://a/b/../", "https://a/"),
        ("https://a/b/.", "https://a/b/"),
        ("https://a/b/c/..", "https://a/b/"),
        ("https://a/%2e%2E/b", "https://a/b"),
        ("https://a/b/.%2e/c", "https://a/c"),
        ("https://a/b/%2e", "https://a/b/"),
        ("https://a/.../..b/.c/d./e..", "https://a/.../..b/.c/d./e.."),
        ("https://a/b%2F../c", "https://a/b%2F../c"),
        ("https://a/b%2F..", "https://a/b%2F.."),
        ("https://a/b/%2F/../c", "https://a/b/c"),
        ("https://a/%252e%252e/b", "https://a/%252e%252e/b"),
    ]);
}

#[test]
fn empty_segments_are_segments() {
    assert_normalises(&[
        ("https://a", "https://a/"),
        ("https://a//", "https://a//"),
        ("https://a//b", "https://a//b"),
        ("https://a/b//c///", "https://a/b//c///"),
        ("https://a/a/..//b", "https://a//b"),
        ("https://a/..//b", "https://a//b"),
        ("https://a//..", "https://a/"),
        ("https://a//../b", "https://a/b"),
        ("https://a/b//../c", "https://a/b/c"),
        ("https://a/.//b.example/", "https://a//b.example/"),
    ]);
}

#[test]
fn a_trailing_dot_of_the_host_is_significant() {
    assert_eq!(htu("https://a./b").as_str(), "https://a./b");
    assert_ne!(htu("https://a./b"), htu("https://a/b"));
    assert!(!origin("https://a").authority_matches("a."));
}

#[test]
fn parts_can_be_read() {
    let uri = htu("https://API.example.com/a/b?c");
    assert_eq!(
        (uri.scheme(), uri.host(), uri.port(), uri.path()),
        ("https", "api.example.com", 443, "/a/b")
    );
    let uri = htu("http://[::1]:8080");
    assert_eq!(
        (uri.scheme(), uri.host(), uri.port(), uri.path()),
        ("http", "[::1]", 8080, "/")
    );
    let own = origin("http://LOCALHOST:3000/");
    assert_eq!(
        (own.as_str(), own.scheme(), own.host(), own.port()),
        ("http://localhost:3000", "http", "localhost", 3000)
    );
    assert_eq!(format!("{uri:?}"), "Htu(\"http://[::1]:8080/\")");
    assert_eq!(format!("{own:?}"), "Origin(\"http://localhost:3000\")");
}

#[test]
fn an_origin_is_scheme_host_and_port_only() {
    for accepted in ["https://a", "https://a/", "HTTPS://A:443", "https://a:/"] {
        assert_eq!(origin(accepted).as_str(), "https://a", "{accepted:?}");
    }
    for (rejected, error) in [
        ("https://a/b", HtuError::NotAnOrigin),
        ("https://a//", HtuError::NotAnOrigin),
        ("https://a/.", HtuError::NotAnOrigin),
        ("https://a?", HtuError::NotAnOrigin),
        ("https://a/#", HtuError::NotAnOrigin),
        ("https://user@a", HtuError::UserInfo),
        ("https://", HtuError::EmptyHost),
        ("a.example", HtuError::NotAbsolute),
        ("ws://a", HtuError::WebSocketScheme),
        ("https://\u{e9}", HtuError::NotAscii),
    ] {
        assert_eq!(Origin::parse(rejected), Err(error), "{rejected:?}");
    }
}

#[test]
fn an_origin_is_joined_with_paths_only() {
    let own = origin("https://a:8443");
    assert_eq!(own.with_path("/b/../%63"), Ok(htu("https://a:8443/c")));
    assert_eq!(own.with_path(""), Ok(htu("https://a:8443")));
    assert_eq!(
        own.with_path("//evil.example/"),
        Ok(htu("https://a:8443//evil.example/"))
    );
    for (path, error) in [
        ("*", HtuError::RelativePath),
        ("b", HtuError::RelativePath),
        (".evil.example/", HtuError::RelativePath),
        ("@evil.example/", HtuError::RelativePath),
        ("https://a:8443/b", HtuError::RelativePath),
        ("/b?c", HtuError::InvalidPathCharacter),
        ("/b#c", HtuError::InvalidPathCharacter),
        ("?", HtuError::RelativePath),
        ("/ b", HtuError::InvalidPathCharacter),
        ("/%b", HtuError::InvalidPercentEncoding),
        ("/\u{e9}", HtuError::NotAscii),
    ] {
        assert_eq!(own.with_path(path), Err(error), "{path:?}");
    }
}

#[test]
fn authorities_are_matched_by_meaning() {
    let own = origin("https://api.example.com");
    for same in [
        "api.example.com",
        "API.Example.Com",
        "api.example.com:443",
        "api.example.com:",
        "api.example.com:00443",
        "%61pi.example.com",
    ] {
        assert!(own.authority_matches(same), "{same:?}");
    }
    for other in [
        "",
        ":",
        ":443",
        "api.example.com:80",
        "api.example.com:8443",
        "api.example.com.",
        "example.com",
        "xapi.example.com",
        "api.example.com/",
        "api.example.com?",
        "api.example.com#",
        "api.example.com ",
        " api.example.com",
        "user@api.example.com",
        "@api.example.com",
        "api.example.com:443:443",
        "api.example.com,evil.example",
        "https://api.example.com",
        "\u{212a}pi.example.com",
    ] {
        assert!(!own.authority_matches(other), "{other:?}");
    }
    assert!(origin("http://a").authority_matches("a:80"));
    assert!(!origin("http://a").authority_matches("a:443"));
    assert!(origin("https://a:8443").authority_matches("A:8443"));
    assert!(!origin("https://a:8443").authority_matches("a"));
    assert!(origin("https://[::1]").authority_matches("[0:0:0:0:0:0:0:1]:443"));
    assert!(!origin("https://[::1]").authority_matches("::1"));
}

#[test]
fn errors_read_as_the_end_of_a_sentence() {
    for error in [
        HtuError::NotAscii,
        HtuError::NotAbsolute,
        HtuError::UnsupportedScheme,
        HtuError::WebSocketScheme,
        HtuError::UserInfo,
        HtuError::EmptyHost,
        HtuError::InvalidHost,
        HtuError::InvalidPort,
        HtuError::InvalidPercentEncoding,
        HtuError::InvalidPathCharacter,
        HtuError::RelativePath,
        HtuError::NotAnOrigin,
    ] {
        let text = error.to_string();
        assert_eq!(text, text.to_lowercase());
        assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
    }
}

#[test]
fn the_usual_input_is_written_without_growing() {
    for uri in [
        "https://api.example.com/v1/orders/7",
        "https://api.example.com",
    ] {
        let text = htu(uri).text;
        assert!(text.capacity() <= uri.len() + 1, "{}", text.capacity());
    }
    let joined = origin("https://api.example.com:8443").with_path("/v1/orders/7");
    let text = joined.map(|uri| uri.text).unwrap();
    assert!(text.capacity() <= text.len() + 1, "{}", text.capacity());
}

#[test]
fn long_paths_of_dot_segments_end() {
    let up = iter::repeat_n("/a/..", 20_000).collect::<String>();
    assert_eq!(htu(&format!("https://a{up}")).as_str(), "https://a/");
}
