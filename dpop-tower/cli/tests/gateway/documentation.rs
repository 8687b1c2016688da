//! What the documentation says about tests is true.

use dpop_conformance::documentation::missing_tests;

#[test]
fn every_test_that_the_documentation_names_exists() {
    let (count, missing) = missing_tests("gateway");
    assert!(count > 30, "the pages were read: {count}");
    assert!(missing.is_empty(), "{missing:#?}");
}
