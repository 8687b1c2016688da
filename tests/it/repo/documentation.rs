//! What the documentation says about tests is true.

use std::fs;

use dpop_conformance::documentation::{missing_tests, named, pages, repository};

/// Returns the text of a module of the library, including its submodules and tests.
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

/// Names that begin with `it` are these tests, and names that begin with `lib` are unit tests. The
/// gateway's test binary checks names that begin with `gateway`.
#[test]
fn every_test_that_the_documentation_names_exists() {
    let is_unit_test = |name: &str| {
        let (module, test) = name.split_once("::").unwrap();
        let code = module_text(module);
        let (_, tests) = code.split_once("#[test]").unwrap_or_default();
        tests.contains(&format!("fn {test}("))
    };
    let (mut count, mut missing) = missing_tests("it");
    for (path, page) in pages() {
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

/// The last column of a table contains a test, or the reason why there is none.
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
                    ["`it::", "`lib::", "`gateway::"]
                        .iter()
                        .any(|name| last.contains(name))
                        || reason.is_some_and(|reason| reason.len() > 10),
                    "{}: {line}",
                    path.display()
                );
            }
        }
    }
    assert!(rows > 80, "the tables were read: {rows}");
}

/// Pages whose code is compiled by tests/tutorial.py and by `api::compile_errors`.
const OTHERWISE_COMPILED: &[&str] = &["compile-errors.md", "tutorial-grpc.md", "tutorial.md"];

/// An ignored example compiles for nobody.
#[test]
fn all_rust_code_of_the_pages_is_compiled() {
    let compiled = fs::read_to_string(repository().join("tests/readme.rs")).unwrap();
    let mut count = 0;
    for (path, page) in pages() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut blocks = page.lines().filter(|line| line.starts_with("```rust"));
        assert!(
            !blocks.clone().any(|line| line.contains("ignore")),
            "{name}"
        );
        if blocks.next().is_some() {
            count += 1;
            assert!(
                compiled.contains(&format!("\"{name}\"")) || OTHERWISE_COMPILED.contains(&name),
                "{name} is not in tests/readme.rs"
            );
        }
    }
    assert!(count > 10, "the pages were read: {count}");
}
