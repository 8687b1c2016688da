use std::{iter, net::Ipv6Addr};

use proptest::{prelude::*, sample::select};

use super::{normalise::is_unreserved, *};

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

/// A resource, each part in its only normal form. `spell` writes it in any equivalent form.
#[derive(Clone, Debug)]
struct Resource {
    scheme: Scheme,
    host: String,
    /// `None` is the default port.
    port: Option<u16>,
    segments: Vec<String>,
}

impl Resource {
    fn normal(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let path = self.segments.join("/");
        format!("{}{}{port}/{path}", self.scheme.prefix(), self.host)
    }

    fn spell(&self, dice: &[u8]) -> String {
        let dice = &mut dice.iter().copied().cycle();
        let mut uri = any_case(self.scheme.as_str(), dice) + "://";
        if self.host.starts_with('[') {
            uri += &any_case(&self.host, dice);
        } else {
            uri += &any_encoding(&self.host, true, dice);
        }
        let (port, width) = (
            self.port.unwrap_or(self.scheme.default_port()),
            roll(dice, 9),
        );
        uri += &match (self.port, width) {
            (None, 0..3) => String::new(),
            (None, 3) => ":".to_owned(),
            _ => [":", &format!("{port:0width$}")].concat(),
        };
        let [parents @ .., last] = self.segments.as_slice() else {
            panic!("a path has a segment");
        };
        let root = uri.len();
        for _ in 0..roll(dice, 3) {
            uri += pick(dice, ["/..", "/%2e.", "/.", "/%2E"]);
        }
        for parent in parents {
            uri += pick(dice, NOWHERE);
            uri += "/";
            uri += &any_encoding(parent, false, dice);
        }
        uri += pick(dice, NOWHERE);
        if last.is_empty() {
            uri += pick(dice, ["/", "/.", "/x/..", "//%2e%2E", "/%2e"]);
        } else {
            uri += "/";
            uri += &any_encoding(last, false, dice);
        }
        if uri.get(root..) == Some("/") && roll(dice, 2) == 0 {
            uri.truncate(root);
        }
        uri + pick(dice, ["", "", "?", "#", "?a=/../b", "#%zz/?", "?://@"])
    }
}

/// Paths that lead back to where they start, if a segment follows.
const NOWHERE: [&str; 8] = [
    "",
    "",
    "",
    "/.",
    "/%2E/.",
    "/x/..",
    "//%2e.",
    "/%2f/y/../%2E%2e/.",
];

fn roll(dice: &mut impl Iterator<Item = u8>, sides: u8) -> usize {
    usize::from(dice.next().unwrap() % sides)
}

fn pick<'a, const N: usize>(dice: &mut impl Iterator<Item = u8>, from: [&'a str; N]) -> &'a str {
    from[roll(dice, u8::try_from(N).unwrap())]
}

fn any_case(text: &str, dice: &mut impl Iterator<Item = u8>) -> String {
    text.chars()
        .map(|c| match roll(dice, 2) {
            0 => c.to_ascii_uppercase(),
            _ => c.to_ascii_lowercase(),
        })
        .collect()
}

fn any_encoding(text: &str, host: bool, dice: &mut impl Iterator<Item = u8>) -> String {
    let mut spelled = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let unit = if c == '%' { 3 } else { 1 };
        let (unit, tail) = rest.split_at(unit);
        rest = tail;
        let unit = if host || c == '%' {
            any_case(unit, dice)
        } else {
            unit.to_owned()
        };
        spelled += &match unit.as_bytes() {
            [byte] if is_unreserved(*byte) && roll(dice, 3) == 0 => {
                any_case(&format!("%{byte:02x}"), dice)
            }
            _ => unit,
        };
    }
    spelled
}

fn dice() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..64)
}

fn segment() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => "[a-zA-Z0-9._~-]",
        1 => "[!$&'()*+,;=:@|^`{}\\[\\]]",
        1 => select(vec!["%2F", "%25", "%3F", "%23", "%20", "%00", "%C3%A9", "%5C", "%2525"])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(atom, 0..5)
        .prop_map(|atoms| atoms.concat())
        .prop_filter("no dot segment", |text| text != "." && text != "..")
}

fn scheme() -> impl Strategy<Value = Scheme> {
    select(vec![Scheme::Http, Scheme::Https])
}

fn resource() -> impl Strategy<Value = Resource> {
    let host = prop_oneof![
        6 => "[a-z0-9_~-]{1,4}(\\.[a-z0-9]{1,3}){0,2}\\.?",
        1 => "[a-z](%C3%A9|%2F|!|=|%25){1,2}",
        1 => any::<[u16; 8]>().prop_map(|groups| format!("[{}]", Ipv6Addr::from(groups))),
        1 => select(vec!["[::1]", "[::]", "[2001:db8::1]", "[::ffff:192.0.2.1]"])
            .prop_map(str::to_owned),
    ];
    let port = prop::option::of(any::<u16>().prop_filter("default", |p| ![80, 443].contains(p)));
    let segments = prop::collection::vec(segment(), 1..6);
    (scheme(), host, port, segments).prop_map(|(scheme, host, port, segments)| Resource {
        scheme,
        host,
        port,
        segments,
    })
}

/// Texts that are URIs or almost URIs, with everything in them that is special anywhere.
fn near_uri() -> impl Strategy<Value = String> {
    const PIECES: &str = "/ / / // . .. %2e %2E %2f %41 % %4 %zz %C3 a A b ~ : :443 :80 \
        :65536 @ ? # [ ] [::1] [1::] :: | \\ \0 \" < \u{e9} \u{212a} +1 * 0";
    const STARTS: &str = "x http http: https:// https://a HTTP://a/ https://[::1]";
    let pieces = [" ", "\t", "\n"].into_iter().chain(PIECES.split(' '));
    let piece = select(pieces.collect::<Vec<_>>());
    let start = select(iter::once("").chain(STARTS.split(' ')).collect::<Vec<_>>());
    (start, prop::collection::vec(piece, 0..12))
        .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
}

fn assert_normal(uri: &Htu) {
    let (text, host) = (uri.as_str(), uri.host());
    assert_eq!(htu(text).text, text);
    assert_eq!(htu(text), *uri);
    let explicit_port = format!("{}://{host}:{}{}", uri.scheme(), uri.port(), uri.path());
    assert_eq!(htu(&explicit_port), *uri);

    let graphic = text.bytes().all(|byte| byte.is_ascii_graphic());
    assert!(graphic && !text.contains(['?', '#', '\\', '"']), "{text:?}");
    assert!(["http", "https"].contains(&uri.scheme()), "{text:?}");
    assert!(!host.is_empty() && !host.contains(['@', '/']), "{text:?}");
    assert!(
        host.contains('%') || host == host.to_lowercase(),
        "{text:?}"
    );
    assert!(uri.path().starts_with('/'), "{text:?}");
    assert!(
        uri.path()
            .split('/')
            .all(|segment| segment != "." && segment != ".."),
        "{text:?}"
    );
    for piece in text.split('%').skip(1) {
        let byte = u8::from_str_radix(&piece[..2], 16).unwrap();
        assert!(!is_unreserved(byte), "{text:?}");
        assert_eq!(piece[..2], piece[..2].to_uppercase());
    }
}

/// RFC 3986 section 5.2.4 to the letter.
fn remove_dot_segments(path: &str) -> String {
    let mut input = path.to_owned();
    let mut output = String::new();
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("../").or(input.strip_prefix("./")) {
            input = rest.to_owned();
        } else if input.starts_with("/./") || input == "/." {
            input = "/".to_owned() + input.get(3..).unwrap_or_default();
        } else if input.starts_with("/../") || input == "/.." {
            input = "/".to_owned() + input.get(4..).unwrap_or_default();
            output.truncate(output.rfind('/').unwrap_or(0));
        } else if input == "." || input == ".." {
            input.clear();
        } else {
            let end = input[1..].find('/').map_or(input.len(), |slash| slash + 1);
            output += &input[..end];
            input = input[end..].to_owned();
        }
    }
    output
}

proptest! {
    #[test]
    fn nothing_panics_and_what_is_accepted_is_normal(text in prop_oneof![
        near_uri(), any::<String>(), any::<String>().prop_map(|text| "https://".to_owned() + &text),
    ]) {
        if let Ok(uri) = Htu::parse(&text) {
            assert_normal(&uri);
        }
        let own = origin("https://a:8443");
        if let Ok(uri) = own.with_path(&text) {
            assert_normal(&uri);
        }
        if let Ok(origin) = Origin::parse(&text) {
            prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin));
        }
        let _ = own.authority_matches(&text);
    }

    #[test]
    fn every_spelling_of_a_resource_is_the_same(
        resource in resource(), one in dice(), other in dice(),
    ) {
        let (one, other) = (resource.spell(&one), resource.spell(&other));
        prop_assert_eq!(htu(&one).text, resource.normal(), "{}", one);
        prop_assert_eq!(htu(&one), htu(&other));
        assert_normal(&htu(&one));
    }

    #[test]
    fn different_resources_are_never_the_same(
        one in resource(), other in resource(), dice_one in dice(), dice_other in dice(),
    ) {
        if one.normal() == other.normal() {
            return Ok(());
        }
        let (one, other) = (one.spell(&dice_one), other.spell(&dice_other));
        prop_assert_ne!(htu(&one), htu(&other));
    }

    #[test]
    fn neighbours_of_a_resource_are_never_the_same(
        resource in resource(), change in 0_u8..10, at in any::<prop::sample::Index>(),
        one in dice(), other in dice(),
    ) {
        let mut neighbour = resource.clone();
        let at = at.index(resource.segments.len());
        let segment = &mut neighbour.segments[at];
        match change {
            0 => *segment = segment.chars().map(|c| match c {
                'a'..='z' => c.to_ascii_uppercase(),
                _ => c.to_ascii_lowercase(),
            }).collect(),
            1 => *segment += "%2F",
            2 => *segment += "%00",
            3 => neighbour.segments.insert(at, String::new()),
            4 => neighbour.segments.push(String::new()),
            5 => *segment = segment.replace(':', "%3A").replace('|', "%7C").replace('[', "%5B"),
            6 => *segment = segment.replace("%2525", "%25").replace("%25", "%2525"),
            7 => neighbour.port = Some(neighbour.port.map_or(1, |port| port ^ 1)),
            8 => if !neighbour.host.starts_with('[') { neighbour.host += "."; },
            _ => neighbour.scheme = match neighbour.scheme {
                Scheme::Http => Scheme::Https,
                Scheme::Https => Scheme::Http,
            },
        }
        // Hex digits have no lower case in a normal form, and default ports none at all.
        if change == 0 && resource.normal().contains('%')
            || [Some(80), Some(443)].contains(&neighbour.port)
            || resource.normal() == neighbour.normal()
        {
            return Ok(());
        }
        let (one, other) = (resource.spell(&one), neighbour.spell(&other));
        prop_assert_ne!(htu(&one), htu(&other), "{} {}", one, other);
    }

    #[test]
    fn a_segment_is_never_split_at_an_encoded_slash(
        resource in resource(), one in dice(), other in dice(),
    ) {
        let mut resource = resource;
        resource.segments.push(String::new());
        let mut neighbour = resource.clone();
        neighbour.segments = vec![resource.segments.join("%2F")];
        prop_assert_ne!(htu(&resource.spell(&one)), htu(&neighbour.spell(&other)));
    }

    #[test]
    fn dot_segments_are_removed_as_the_rfc_writes_it(path in "(/(\\.|\\.\\.|[ab.]{0,3}))+") {
        let uri = htu(&format!("https://a{path}"));
        prop_assert_eq!(uri.path(), remove_dot_segments(&path));
        let encoded = htu(&format!("https://a{}", path.replace('.', "%2e")));
        prop_assert_eq!(uri, encoded);
    }

    #[test]
    fn joining_is_parsing_the_concatenation(
        resource in resource(), path in near_uri(), slash in "/?",
    ) {
        let own = Resource { segments: vec![String::new()], ..resource }.normal();
        let own = origin(&own);
        let path = slash + &path;
        let joined = own.with_path(&path);
        if path.contains(['?', '#']) || !(path.is_empty() || path.starts_with('/')) {
            prop_assert!(joined.is_err());
        } else {
            prop_assert_eq!(joined, Htu::parse(&format!("{}{path}", own.as_str())));
        }
    }

    #[test]
    fn an_authority_matches_if_it_makes_the_same_origin(
        scheme in scheme(),
        own in "(a|b|\\[::1\\])(:(80|443|1)?)?",
        authority in "([aAbB]|%61|\\[::0?1\\]|\\[0::1\\])(:0{0,2}(80|443|1)?)?[/@.?#x ]?",
    ) {
        let own = origin(&format!("{}{own}", scheme.prefix()));
        let same = Origin::parse(&format!("{}{authority}", scheme.prefix())) == Ok(own.clone());
        prop_assert_eq!(own.authority_matches(&authority), same && !authority.contains('/'));
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
