//! The pages of docs/ are the book, and the module `_guide` of the library.
//!
//! A page links to another one through a label that is the path, as in `[nonces][nonces.md]`, and defines the label
//! at its end, which is what mdBook and others need. In rustdoc, `dpop-tower/src/_guide/links.md` comes before each
//! page, and the first definition of a label counts: there, it leads to the module of the page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use dpop_conformance::documentation::repository;

const LINKS: &str = "dpop-tower/src/_guide/links.md";

/// Returns the pages of the book by their path in docs/, and their text without code.
fn book() -> BTreeMap<String, String> {
    let docs = repository().join("docs");
    let mut pages = BTreeMap::new();
    for folder in ["", "decisions"] {
        for entry in fs::read_dir(docs.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|kind| kind == "md") && !path.ends_with("SUMMARY.md") {
                let name = path.strip_prefix(&docs).unwrap().to_str().unwrap();
                pages.insert(
                    name.to_owned(),
                    without_code(&fs::read_to_string(&path).unwrap()),
                );
            }
        }
    }
    assert!(pages.len() > 40, "the pages were read: {}", pages.len());
    pages
}

/// Returns the text without blocks of code and without code in a line.
fn without_code(page: &str) -> String {
    let mut text = String::new();
    let mut in_block = false;
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            text.extend(line.split('`').step_by(2));
            text.push('\n');
        }
    }
    text
}

/// Returns the targets of links in the text, as in `[text](target)`.
fn inline_targets(text: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    for rest in text.split("](").skip(1) {
        targets.extend(rest.split(')').next());
    }
    targets
}

/// Returns the labels that the text defines, and their targets.
fn definitions(text: &str) -> BTreeMap<&str, &str> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('['));
    lines
        .filter_map(|line| line.split_once("]: "))
        .filter(|(label, _)| !label.contains(']'))
        .collect()
}

fn is_relative(target: &str) -> bool {
    !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:")
}

/// Returns the path in docs/ to which `target` leads from a page, and the name of the section.
fn resolve<'t>(page: &str, target: &'t str) -> (String, Option<&'t str>) {
    let (path, section) = match target.split_once('#') {
        Some((path, section)) => (path, Some(section)),
        None => (target, None),
    };
    let mut folders: Vec<&str> = page.split('/').collect();
    folders.pop();
    for part in path.split('/') {
        if part == ".." {
            assert!(
                folders.pop().is_some(),
                "{page}: {target} leads out of docs/"
            );
        } else {
            folders.push(part);
        }
    }
    (folders.join("/"), section)
}

/// Returns the module of the library that has this page.
fn module(page: &str) -> String {
    let name = page.strip_suffix(".md").unwrap();
    match name.strip_prefix("decisions/") {
        Some("README") => "decisions".to_owned(),
        Some(name) => format!("decisions::_{}", &name[..4]),
        None => name.replace('-', "_"),
    }
}

fn links_for_rustdoc() -> String {
    let mut links = BTreeSet::new();
    for (page, text) in book() {
        for (label, target) in definitions(&text) {
            if is_relative(target) && target.contains(".md") {
                let (path, section) = resolve(&page, target);
                let section = section.map_or(String::new(), |section| format!("#{section}"));
                links.insert(format!(
                    "[{label}]: crate::_guide::{}{section}\n",
                    module(&path)
                ));
            }
        }
    }
    links.into_iter().collect()
}

#[test]
fn every_page_is_in_the_summary_of_the_book_and_in_the_guides_of_the_library() {
    let summary = fs::read_to_string(repository().join("docs/SUMMARY.md")).unwrap();
    let guides = fs::read_to_string(repository().join("dpop-tower/src/_guide.rs")).unwrap();
    for page in book().keys() {
        assert!(
            summary.contains(&format!("({page})")),
            "{page} is not in SUMMARY.md"
        );
        let name = module(page);
        let name = name.rsplit("::").next().unwrap();
        assert!(
            guides.contains(&format!("{name}: \"{page}\" {{")),
            "{page} is not in _guide.rs"
        );
    }
}

#[test]
fn pages_link_to_each_other_through_labels_and_to_nothing_else_of_the_repository() {
    let mut count = 0;
    for (page, text) in book() {
        let inline: Vec<&str> = inline_targets(&text)
            .into_iter()
            .filter(|target| is_relative(target))
            .collect();
        assert!(
            inline.is_empty(),
            "{page}: write [text][path] for {inline:?}"
        );
        for (label, target) in definitions(&text) {
            if !is_relative(target) {
                continue;
            }
            count += 1;
            assert_eq!(label, target, "{page}: a label is the path");
            assert!(
                text.contains(&format!("][{label}]")),
                "{page}: nothing uses [{label}]"
            );
            let (path, _) = resolve(&page, target);
            assert!(
                repository().join("docs").join(&path).is_file(),
                "{page}: {target}"
            );
        }
        for label in text
            .split("][")
            .skip(1)
            .filter_map(|rest| rest.split(']').next())
        {
            assert!(
                definitions(&text).contains_key(label) || label.is_empty(),
                "{page}: [{label}] is not defined"
            );
        }
    }
    assert!(count > 100, "the links were read: {count}");
}

/// `DPOP_WRITE_DOCS=1` writes the file.
#[test]
fn the_links_between_pages_lead_to_modules_in_rustdoc() {
    let (path, links) = (repository().join(LINKS), links_for_rustdoc());
    if std::env::var_os("DPOP_WRITE_DOCS").is_some() {
        fs::write(&path, &links).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap();
    assert!(
        written == links,
        "{LINKS} is out of date: run the test with DPOP_WRITE_DOCS=1"
    );
}

/// Returns the name of a heading in a link, as GitHub and mdBook derive it.
fn section(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    heading
        .chars()
        .filter_map(|char| match char {
            ' ' => Some('-'),
            char if char.is_alphanumeric() || char == '-' || char == '_' => Some(char),
            _ => None,
        })
        .collect()
}

fn sections(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(section).collect()
}

/// The links of the book itself are checked where it is built, in tests/book.sh.
#[test]
fn links_of_the_other_pages_lead_to_files_and_sections() {
    let root = repository();
    let pages = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "README.md",
        "RELEASING.md",
        "SECURITY.md",
        "examples/README.md",
        "tests/e2e/README.md",
        "tests/grpc/README.md",
    ];
    let mut count = 0;
    for page in pages {
        let text = without_code(&fs::read_to_string(root.join(page)).unwrap());
        let folder: PathBuf = root.join(page).parent().unwrap().to_owned();
        let targets = inline_targets(&text).into_iter();
        for target in targets.chain(definitions(&text).into_values()) {
            if !is_relative(target) {
                continue;
            }
            count += 1;
            let (path, name) = target.split_once('#').unwrap_or((target, ""));
            let path = folder.join(path);
            assert!(path.exists(), "{page}: {target}");
            assert!(
                name.is_empty() || sections(&path).iter().any(|section| section == name),
                "{page}: {target}: no such section"
            );
        }
    }
    assert!(count > 50, "the links were read: {count}");
}

/// Features are listed in the README, in the crate's documentation and in the book.
#[test]
fn every_feature_is_in_each_list_of_features() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let manifest = read("dpop-tower/Cargo.toml");
    let features = manifest.split("[features]").nth(1).unwrap();
    let features = features.split("\n[").next().unwrap();
    let names: Vec<&str> = features
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| *name != "default")
        .collect();
    assert!(names.len() > 15, "the features were read: {names:?}");
    for page in ["README.md", "docs/settings.md", "dpop-tower/src/lib.rs"] {
        let text = read(page);
        for name in &names {
            let mut rows = text.lines().map(|line| line.trim_start_matches("//! "));
            assert!(
                rows.any(|row| row.starts_with('|') && row.contains(&format!("`{name}`"))),
                "{page}: {name}"
            );
        }
    }
}

#[test]
fn the_badges_of_the_readme_are_true() {
    let read = |path: &str| fs::read_to_string(repository().join(path)).unwrap();
    let (readme, manifest) = (read("README.md"), read("Cargo.toml"));
    let value = |name: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim_matches([' ', '=', '"']).to_owned()
    };
    assert!(readme.contains(&format!("/badge/rust-{}%2B-", value("rust-version"))));
    assert_eq!(value("license"), "MIT OR Apache-2.0");
    assert!(readme.contains("/badge/license-MIT_or_Apache--2.0-"));
    assert_eq!(value("unsafe_code"), "forbid");
    assert!(readme.contains("/badge/unsafe-forbidden-"));
    assert_eq!(readme.matches("/badge/").count(), 3);
}
