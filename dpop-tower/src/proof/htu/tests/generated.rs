//! Every spelling of a resource that can be generated, and texts that are almost URIs.

use std::{iter, net::Ipv6Addr};

use proptest::{prelude::*, sample::select};

use super::{htu, origin};
use crate::proof::htu::{normalise::is_unreserved, *};

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
