//! Two lines: a URI, and another one, which also serves as a path and as the value of `Host`.
//!
//! An implementation of RFC 3986 decides what is a URI and which two are equivalent.
#![no_main]

use dpop_tower::proof::{Htu, Origin};
use dpop_tower_fuzz::reading;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (first, second) = input.split_once('\n').unwrap_or((input, ""));
    let one = check(first);
    if let (Some(one), Some(two)) = (&one, check(second)) {
        let equal = reading::normalised(first) == reading::normalised(second);
        assert_eq!(*one == two, equal);
        assert_eq!(one.as_str() == two.as_str(), equal);
        let differences = [one.difference(&two), two.difference(one)];
        for difference in differences {
            assert_eq!(difference.is_none(), equal);
            if let Some(difference) = difference {
                let line = difference.to_string();
                assert!(line.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
            }
        }
    }
    if let Ok(origin) = Origin::parse(first) {
        check_origin(&origin, first, one.as_ref(), second);
    }
});

fn check(uri: &str) -> Option<Htu> {
    let read = reading::normalised(uri);
    match Htu::parse(uri) {
        Ok(htu) => {
            let normal = htu.as_str();
            assert_eq!(read, Some(reading::escaped(normal)), "{uri:?}");
            assert_eq!(Htu::parse(normal).as_ref(), Ok(&htu), "idempotent");
            let port = format!(":{}", htu.port());
            let origin = format!("{}://{}", htu.scheme(), htu.host());
            let rest = normal.strip_prefix(&origin).expect("begins with both");
            assert!([rest.strip_prefix(&port), Some(rest)].contains(&Some(htu.path())));
            Some(htu)
        }
        Err(_) => {
            // A query or fragment with bytes outside ASCII is not part of what this target reads.
            assert!(read.is_none() || !uri.is_ascii(), "{uri:?} is {read:?}");
            None
        }
    }
}

fn check_origin(origin: &Origin, text: &str, htu: Option<&Htu>, other: &str) {
    let root = origin.with_path("/").expect("every origin has a root");
    assert_eq!(Some(&root), htu, "an origin is a URI with the path /");
    assert_eq!(origin.with_path("").as_ref(), Ok(&root));
    assert_eq!(Origin::parse(origin.as_str()).as_ref(), Ok(origin));
    assert!(!text.contains(['?', '#', '@']));

    // The path of a request, joined to the origin, is the same URI as the two written together.
    let joined = Htu::parse(&format!("{}{other}", origin.as_str()));
    match origin.with_path(other) {
        Ok(htu) => {
            assert_eq!(joined.as_ref(), Ok(&htu));
            assert!(!other.contains(['?', '#']));
        }
        Err(_) => assert!(
            joined.is_err() || !other.starts_with('/') || other.contains(['?', '#']),
            "{other:?}"
        ),
    }

    // Another origin must not pass for this one.
    let claimed = Origin::parse(&format!("{}://{other}", origin.scheme()));
    let is_authority = !other.contains(['/', '?', '#']);
    assert_eq!(
        origin.authority_matches(other),
        is_authority && claimed.as_ref() == Ok(origin),
        "{other:?}"
    );
}
