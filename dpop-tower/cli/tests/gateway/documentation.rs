//! What the documentation says about tests and commands is true.

use std::process::Command;

use dpop_conformance::documentation::{missing_tests, pages};

#[test]
fn every_test_that_the_documentation_names_exists() {
    let (count, missing) = missing_tests("gateway");
    assert!(count > 30, "the pages were read: {count}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// Returns the arguments of a command line that calls `dpop`, up to a pipe or a redirection.
fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ dpop ")?;
    let line = line.split("  #").next().unwrap();
    let arguments = shlex::split(line).expect("quotes are closed");
    let ends =
        |argument: &String| ["&", "|"].contains(&&**argument) || argument.starts_with(['>', '<']);
    let end = arguments.iter().position(ends).unwrap_or(arguments.len());
    Some(arguments[..end].to_vec())
}

/// With `--help` at its end, a command is parsed and not run.
#[test]
fn the_program_knows_every_command_and_option_that_the_documentation_shows() {
    let mut count = 0;
    for (path, page) in pages() {
        for line in page.lines() {
            let Some(arguments) = arguments(line) else {
                continue;
            };
            count += 1;
            let parsed = Command::new(env!("CARGO_BIN_EXE_dpop"))
                .args(&arguments)
                .arg("--help")
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&parsed.stderr);
            assert!(
                parsed.status.success(),
                "{}: {line}: {told}",
                path.display()
            );
        }
    }
    assert!(count > 10, "the pages were read: {count}");
}
