//! The layers of the crate in docs/architecture.md, and the versions of its dependencies.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A module may use modules of its own row and of every row above it. Rows of adapters stand alone.
const LAYERS: &[(u8, &[&str])] = &[
    (
        0,
        &[
            // Pages of docs/, in rustdoc only.
            "_guide",
            "cache",
            "clock",
            "error",
            "future",
            "header",
            "reason",
            "telemetry",
        ],
    ),
    (1, &["certificate", "crypto", "jose", "jwk", "proof"]),
    (
        2,
        &[
            "client_auth",
            "document",
            "http_client",
            "keys",
            "nonce",
            "replay",
            "revocation",
            "token",
        ],
    ),
    (
        3,
        &[
            "config",
            "credentials",
            "policy",
            "rejection",
            "target",
            "verifier",
        ],
    ),
    (4, &["lifetime", "middleware", "token_endpoint"]),
    (5, &["extract"]),
    (5, &["ssf"]),
    (5, &["cors"]),
    (5, &["grpc"]),
    (5, &["metadata"]),
];

/// The highest layer that the client side may use, which no other module uses.
const CLIENT_MAX: u8 = 1;

/// What the client side may use besides, to obtain tokens from an authorization server.
const CLIENT_ALSO: &[&str] = &["client_auth", "http_client", "keys"];

/// The highest layer that [`TestIssuer`](dpop_tower::test_util::TestIssuer) and the other test utilities
/// may use.
const TEST_UTIL_MAX: u8 = 2;

/// Words that a layer must not contain: the core knows no clock, no headers and no runtime.
const FORBIDDEN: &[(u8, &[&str])] = &[
    (
        1,
        &[
            "async ",
            ".await",
            "HeaderMap",
            "tokio",
            "tower_",
            "TimeSource",
            "SystemClock",
        ],
    ),
    (2, &["tower_", "HeaderMap"]),
    (3, &["tower_"]),
];

fn library() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dpop-tower")
}

fn layer_of(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find_map(|(layer, modules)| modules.contains(&module).then_some(*layer))
}

/// Folders with built or downloaded files.
const FOREIGN: &[&str] = &["node_modules", "target", "venv"];

/// Returns all Rust files in a folder and its subfolders.
fn rust_files(folder: PathBuf) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let is_source = path.ends_with("src/target");
                if is_source || !FOREIGN.iter().any(|name| path.ends_with(name)) {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Whether a file, by its path in `src`, contains only unit tests.
fn is_unit_tests(path: &Path) -> bool {
    path.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// Returns every source file of the library with its top-level module, without comments and tests.
fn sources() -> Vec<(String, PathBuf, String)> {
    let root = library().join("src");
    let mut files = Vec::new();
    for path in rust_files(root.clone()) {
        let relative = path.strip_prefix(&root).unwrap();
        if is_unit_tests(relative) || relative == Path::new("lib.rs") {
            continue;
        }
        let module = relative.iter().next().unwrap().to_str().unwrap();
        let module = module.trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap())
            .collect();
        files.push((module, path, code.join("\n")));
    }
    assert!(files.len() > 30, "the scan found the sources");
    files
}

/// Returns the first segment of every `crate::` path, including groups in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(identifier(rest));
            continue;
        };
        let (mut depth, mut start) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => start = true,
                c if start && !c.is_whitespace() => {
                    used.insert(identifier(&group[i..]));
                    start = false;
                }
                _ => {}
            }
        }
    }
    used
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

#[test]
fn paths_are_found_in_groups_and_alone() {
    let code = "use crate::{a::{b, c}, d::{self, e::{f}}, g}; fn x() { crate::h::i() }";
    assert!(used_modules(code).iter().eq(["a", "d", "g", "h"]));
}

#[test]
fn no_module_uses_one_of_a_layer_above_it() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let max = match module.as_str() {
            "test_util" => TEST_UTIL_MAX,
            "client" => CLIENT_MAX,
            _ => layer_of(&module).unwrap_or_else(|| panic!("{module} has no layer")),
        };
        for used in used_modules(&code) {
            let allowed = used == module
                || module == "client" && CLIENT_ALSO.contains(&used.as_str())
                || layer_of(&used).is_some_and(|layer| {
                    // Only the standard library below the core, and no adapter uses another.
                    layer <= max && !(max == 0 || layer == 5)
                });
            if !allowed {
                wrong.push(format!("{} uses `{used}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_module_uses_one_that_uses_it() {
    let mut uses = BTreeMap::<String, BTreeSet<String>>::new();
    for (module, _, code) in sources() {
        let used = used_modules(&code);
        uses.entry(module.clone())
            .or_default()
            .extend(used.into_iter().filter(|used| *used != module));
    }
    let circles: Vec<_> = (uses.keys())
        .filter(|module| reached_from(&uses, module).contains(*module))
        .collect();
    assert!(circles.is_empty(), "in circles: {circles:?}");
}

/// Returns what a module uses, directly and indirectly.
fn reached_from(uses: &BTreeMap<String, BTreeSet<String>>, module: &str) -> BTreeSet<String> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        for used in uses.get(module).into_iter().flatten() {
            if reached.insert(used.clone()) {
                next.push(used);
            }
        }
    }
    reached
}

#[test]
fn a_circle_is_found_however_long_it_is() {
    let uses = |pairs: &[(&str, &str)]| {
        let mut uses = BTreeMap::<String, BTreeSet<String>>::new();
        for (module, used) in pairs {
            let entry = uses.entry((*module).to_owned()).or_default();
            entry.insert((*used).to_owned());
        }
        uses
    };
    let straight = uses(&[("a", "b"), ("a", "c"), ("b", "c")]);
    assert!(!reached_from(&straight, "a").contains("a"));
    let round = uses(&[("a", "b"), ("b", "c"), ("c", "a")]);
    assert!(reached_from(&round, "b").contains("b"));
}

/// RFC 9449 section 4.3 is a list of twelve checks. Each has to be easy to find in the code.
#[test]
fn each_item_of_rfc_9449_section_4_3_stands_above_the_line_that_checks_it() {
    const MARK: &str = "// RFC 9449 section 4.3 item ";
    let mut found = BTreeSet::new();
    for (_, path, _) in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for (line, next) in text.lines().zip(text.lines().skip(1)) {
            let Some(item) = line.trim().strip_prefix(MARK) else {
                continue;
            };
            let number = item.split(|c: char| !c.is_ascii_digit()).next().unwrap();
            let next = next.trim();
            assert!(
                !next.is_empty() && !next.starts_with("//"),
                "{}: item {number} stands above no code",
                path.display()
            );
            found.insert(number.parse::<u8>().unwrap());
        }
    }
    assert!(found.iter().copied().eq(1..=12), "{found:?}");
}

#[test]
fn the_core_knows_no_clock_no_headers_and_no_runtime() {
    let mut wrong = Vec::new();
    for (module, path, code) in sources() {
        let Some(layer) = layer_of(&module) else {
            continue;
        };
        for (of, words) in FORBIDDEN {
            for word in words
                .iter()
                .filter(|word| *of == layer && code.contains(**word))
            {
                wrong.push(format!("{} contains `{word}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_file_grows_beyond_what_can_be_read_at_a_sitting() {
    for (_, path, code) in sources() {
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 400, "{} has {lines} lines", path.display());
    }
}

#[test]
fn no_file_of_tests_has_more_than_600_lines() {
    let root = library().join("..");
    let mut files = rust_files(root.join("tests"));
    files.extend(rust_files(root.join("dpop-tower/cli/tests")));
    for source in ["dpop-tower/src", "dpop-tower/cli/src"].map(|folder| root.join(folder)) {
        let unit_tests = rust_files(source.clone());
        files.extend(
            unit_tests
                .into_iter()
                .filter(|path| is_unit_tests(path.strip_prefix(&source).unwrap())),
        );
    }
    assert!(
        files.len() > 150,
        "the scan found the tests: {}",
        files.len()
    );
    let too_long: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let lines = fs::read_to_string(path).unwrap().lines().count();
            (lines > 600).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert!(too_long.is_empty(), "{too_long:#?}");
}

/// The compiler of the declared version is not always installed, but the versions that dependencies
/// declare are known.
#[test]
fn every_dependency_of_the_library_supports_the_declared_rust_version() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .arg("--manifest-path")
        .arg(library().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let root = *packages
        .iter()
        .find(|(_, package)| package["name"] == "dpop-tower")
        .unwrap()
        .0;
    let declared = version(packages[root]["rust_version"].as_str().unwrap());

    let (mut seen, mut next) = (BTreeSet::new(), vec![root]);
    let mut too_new = Vec::new();
    while let Some(id) = next.pop() {
        if !seen.insert(id) {
            continue;
        }
        let package = packages[id];
        if let Some(needs) = package["rust_version"].as_str()
            && version(needs) > declared
        {
            too_new.push(format!(
                "{} {} needs {needs}",
                package["name"], package["version"]
            ));
        }
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|kind| kind["kind"] != "dev") {
                next.push(dependency["pkg"].as_str().unwrap());
            }
        }
    }
    assert!(seen.len() > 50, "the graph was walked: {}", seen.len());
    assert!(too_new.is_empty(), "{too_new:#?}");
}

fn version(text: &str) -> [u32; 3] {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    std::array::from_fn(|_| parts.next().unwrap_or(0))
}
