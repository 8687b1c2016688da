//! The commands that the documentation shows are run, or at least exist.

use std::{collections::BTreeSet, fs, path::Path};

use dpop_conformance::documentation::{pages, repository};

/// Pages whose commands are run as they are printed, and compared with what the page shows.
const RUN: &[&str] = &[
    "inspect.md",
    "tutorial-grpc.md",
    "tutorial.md",
    "walkthrough.md",
];

/// Commands for servers, files or tokens that only a reader has, and those that take hours or install programs.
/// A test of the gateway checks that `dpop` knows their options.
const NEEDS_A_READER: &[&str] = &[
    "cargo +nightly fuzz run layer artifacts/layer/crash-...",
    "cargo install",
    "cargo mutants",
    "(umask 077;",
    "curl -H \"Authorization: DPoP $TOKEN\"",
    "curl -s http://127.0.0.1:9000/token",
    "dpop ",
    "install -d",
    "systemctl ",
];

/// Returns the commands of a page, without the remarks after them.
fn commands(page: &str) -> Vec<&str> {
    page.lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|command| command.split("  #").next().unwrap().trim())
        .collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap()
}

/// Returns the packages after `-p` in a command of cargo.
fn packages(command: &str) -> impl Iterator<Item = &str> {
    command
        .split(" -p ")
        .skip(1)
        .filter_map(|rest| rest.split(' ').next())
}

#[test]
fn every_command_of_the_pages_is_run_by_a_test_or_exists() {
    let (tests, recipes) = (read("tests/run.sh"), read("justfile"));
    let mut seen = BTreeSet::new();
    let mut all = pages();
    all.push(("README.md".into(), read("README.md")));
    all.push(("CONTRIBUTING.md".into(), read("CONTRIBUTING.md")));
    for (path, page) in all {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if RUN.contains(&name.as_str()) {
            continue;
        }
        // The walk-through of the gateway runs as well, but not the other commands of its page.
        let page = match name.as_str() {
            "gateway.md" => page
                .split("\n## Software of other projects")
                .nth(1)
                .unwrap()
                .to_owned(),
            _ => page,
        };
        for command in commands(&page) {
            seen.insert(command.to_owned());
            let program = command.split(' ').next().unwrap();
            let is_known = if let Some(recipe) = command.strip_prefix("just ") {
                let recipe = recipe.split(' ').next().unwrap();
                (recipes.lines()).any(|line| line.split([' ', ':']).next() == Some(recipe))
            } else if let Some(folder) = command.strip_prefix("cd ") {
                repository().join(folder).is_dir()
            } else if packages(command).next().is_some() {
                packages(command).all(|package| tests.contains(&format!("-p {package} ")))
            } else if Path::new(program).components().count() > 1 {
                repository().join(program).is_file()
            } else {
                NEEDS_A_READER
                    .iter()
                    .any(|known| command.starts_with(known))
            };
            assert!(is_known, "{name}: $ {command}");
        }
    }
    assert!(seen.len() > 20, "the pages were read: {seen:?}");
}
