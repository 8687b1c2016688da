//! What the documentation says of tests is true.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of a module of the library, of those inside it, and of their tests.
fn module_text(module: &str) -> String {
    let source = repository().join("dpop-tower/src");
    let mut next = vec![source.join(module), source.join(format!("{module}.rs"))];
    let mut text = String::new();
    while let Some(path) = next.pop() {
        if let Ok(folder) = fs::read_dir(&path) {
            next.extend(folder.map(|entry| entry.unwrap().path()));
        } else if let Ok(code) = fs::read_to_string(&path) {
            text += &code;
        }
    }
    text
}

/// The tests of this binary, as it lists them itself.
fn listed_tests() -> BTreeSet<String> {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--format=terse"])
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

/// What a page names in backticks with this prefix, without it.
fn named<'p>(page: &'p str, prefix: &str) -> Vec<&'p str> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|name| name.strip_prefix(prefix))
        .collect()
}

/// A name with `it` in front is one of these tests, or one that is run in several ways; one with `lib`
/// is a unit test of a module.
#[test]
fn every_test_that_the_documentation_names_exists() {
    let listed = listed_tests();
    let is_listed = |name: &str| {
        let ways = format!("{name}::");
        listed.contains(name) || listed.iter().any(|test| test.starts_with(&ways))
    };
    let is_unit_test = |name: &str| {
        let (module, test) = name.split_once("::").unwrap();
        let code = module_text(module);
        let (_, tests) = code.split_once("#[test]").unwrap_or_default();
        tests.contains(&format!("fn {test}("))
    };
    let (mut count, mut missing) = (0, Vec::new());
    for (path, page) in pages() {
        for name in named(&page, "it::") {
            count += 1;
            if !is_listed(name) {
                missing.push(format!("{}: it::{name}", path.display()));
            }
        }
        for name in named(&page, "lib::") {
            count += 1;
            if !is_unit_test(name) {
                missing.push(format!("{}: lib::{name}", path.display()));
            }
        }
    }
    assert!(count > 150, "the pages were read: {count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The last column of a table has a test, or the reason why there is none.
#[test]
fn no_row_of_the_tables_of_clauses_is_empty() {
    let mut rows = 0;
    for (path, page) in pages() {
        let mut is_table_of_tests = false;
        for line in page.lines() {
            if !line.starts_with('|') {
                is_table_of_tests = false;
                continue;
            }
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let last = cells.last().unwrap();
            if *last == "tests" {
                is_table_of_tests = true;
            } else if is_table_of_tests && !last.starts_with("---") {
                rows += 1;
                let reason = last.split_once("because ").map(|(_, reason)| reason);
                assert!(
                    last.contains("`it::")
                        || last.contains("`lib::")
                        || reason.is_some_and(|reason| reason.len() > 10),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
    assert!(rows > 80, "the tables were read: {rows}");
}

/// The pages of the documentation.
fn pages() -> Vec<(PathBuf, String)> {
    let folder = repository().join("docs");
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let text = fs::read_to_string(&path).unwrap();
            pages.push((path, text));
        }
    }
    pages
}
