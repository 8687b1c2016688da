//! The tests that the documentation names. Each test binary checks its own.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Returns the tests of this binary that the documentation names but that do not exist, and how many it
/// names. A test that runs in several ways is named without them.
pub fn missing_tests(binary: &str) -> (usize, Vec<String>) {
    let listed = listed_tests();
    let is_listed = |name: &str| {
        let ways = format!("{name}::");
        listed.contains(name) || listed.iter().any(|test| test.starts_with(&ways))
    };
    let (mut count, mut missing) = (0, Vec::new());
    for (path, page) in pages() {
        for name in named(&page, &format!("{binary}::")) {
            count += 1;
            if !is_listed(name) {
                missing.push(format!("{}: {binary}::{name}", path.display()));
            }
        }
    }
    (count, missing)
}

/// Returns the tests that this binary lists.
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

/// Returns the names in backticks with this prefix, without the prefix.
pub fn named<'p>(page: &'p str, prefix: &str) -> Vec<&'p str> {
    page.split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|name| name.strip_prefix(prefix))
        .collect()
}

/// Returns the pages of the documentation.
pub fn pages() -> Vec<(PathBuf, String)> {
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
