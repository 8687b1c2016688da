//! The parser of challenges that the tests use.

pub(crate) use dpop_conformance::challenge::Challenge;

#[test]
fn the_parser_of_these_tests_is_strict() {
    assert!(Challenge::parse("Bearer").is_ok());
    let two = Challenge::parse("DPoP error=\"a b\", algs=\"X Y\"").unwrap();
    assert_eq!(two.scheme, "DPoP");
    assert_eq!((two.get("error"), two.get("x")), (Some("a b"), None));
    for wrong in [
        "",
        " DPoP",
        "DPoP ",
        "DPoP algs",
        "DPoP algs=",
        "DPoP algs=ES256",
        "DPoP algs=\"",
        "DPoP algs=\"\"",
        "DPoP algs=\"a\",",
        "DPoP algs=\"a\", ",
        "DPoP algs=\"a\",error=\"b\"",
        "DPoP algs=\"a\" error=\"b\"",
        "DPoP algs=\"a\", algs=\"b\"",
        "DPoP algs=\"a\\\"b\"",
        "DPoP algs=\"a\tb\"",
        "DPoP, Bearer",
    ] {
        assert!(Challenge::parse(wrong).is_err(), "{wrong:?}");
    }
}
