//! The tables of clauses, in the documentation of the presets and in docs/profiles.md.

use std::fs;

use dpop_conformance::documentation::repository;

/// The cells of a row.
type Row = Vec<String>;

const PROFILES: [(&str, &str); 3] = [
    ("fapi2", "## FAPI 2.0"),
    ("mcp", "## MCP"),
    ("atproto", "## atproto"),
];

/// Returns the rows of the first table whose header begins with `clause`.
fn rows(text: &str) -> Vec<Row> {
    let lines = text
        .lines()
        .skip_while(|line| !line.starts_with("| clause |"));
    let rows = lines.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}

/// Returns the table in the documentation of a preset.
fn documented(profile: &str) -> Vec<Row> {
    let path = format!("dpop-tower/src/config/profile/{profile}.rs");
    let source = fs::read_to_string(repository().join(path)).unwrap();
    let comments = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("/// "));
    rows(&comments.collect::<Vec<_>>().join("\n"))
}

/// Returns the table of a section of docs/profiles.md.
fn on_the_page(section: &str) -> Vec<Row> {
    let page = fs::read_to_string(repository().join("docs/profiles.md")).unwrap();
    let (_, rest) = page.split_once(section).unwrap();
    rows(rest)
}

/// Returns a clause as a part of a test's name.
fn slug(clause: &str) -> String {
    let parts = clause.split(|c: char| !c.is_ascii_alphanumeric());
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
    parts.join("_").to_lowercase()
}

#[test]
fn both_tables_of_a_profile_say_the_same() {
    for (profile, section) in PROFILES {
        let (rustdoc, page) = (documented(profile), on_the_page(section));
        assert!(rustdoc.len() > 10, "{profile}: {}", rustdoc.len());
        let without_tests: Vec<Row> = page.iter().map(|row| row[..3].to_vec()).collect();
        assert_eq!(rustdoc, without_tests, "{profile}");
    }
}

#[test]
fn each_clause_that_is_not_left_to_you_has_a_test_with_its_name() {
    for (profile, section) in PROFILES {
        for row in on_the_page(section) {
            let [clause, _, here, tests] = row.as_slice() else {
                panic!("{profile}: {row:?}");
            };
            if here.starts_with("yours") {
                assert!(tests.starts_with("none, because "), "{clause}: {tests}");
                continue;
            }
            let kinds = ["always", "set:", "shown:"];
            assert!(kinds.iter().any(|kind| here.starts_with(kind)), "{clause}");
            let (module, slug) = (format!("`it::profiles::{profile}::"), slug(clause));
            let names = tests.split(", ").filter(|name| name.starts_with(&module));
            let count = names.filter(|name| name.contains(&slug)).count();
            assert!(count > 0, "{profile}: {clause} has no test {slug}");
        }
    }
}
