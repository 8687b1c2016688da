use std::{collections::BTreeSet, fs};

use super::RejectionKind;
use crate::{
    credentials::RequestErrorKind, policy::PolicyErrorKind, proof::ProofErrorKind,
    rejection::GrantErrorKind, replay::StoreErrorKind, token::TokenErrorKind,
};

struct Reason {
    code: &'static str,
    description: &'static str,
    /// What `Display` says, for the operator.
    text: String,
    kind: RejectionKind,
}

/// Every reason of every table.
fn reasons() -> Vec<Reason> {
    macro_rules! of {
        ($($name:ident)+) => {
            [$($name::ALL.iter().map(|reason| Reason {
                code: reason.as_str(),
                description: reason.description(),
                text: reason.to_string(),
                kind: (*reason).into(),
            }).collect::<Vec<_>>()),+]
        };
    }
    let tables = of!(
        RequestErrorKind ProofErrorKind TokenErrorKind PolicyErrorKind StoreErrorKind GrantErrorKind
    );
    tables.into_iter().flatten().collect()
}

fn page(name: &str) -> String {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(path).unwrap()
}

/// The names in backticks of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn codes_are_snake_case_and_those_of_one_reason_each() {
    let mut codes = BTreeSet::new();
    for Reason { code, .. } in reasons() {
        let is_snake_case = code
            .split('_')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
        assert!(is_snake_case, "{code}");
        assert!(codes.insert(code), "{code} twice");
    }
    assert!(codes.len() > 50, "the tables were read: {}", codes.len());
    // What the counter says of requests that are admitted.
    assert!(!codes.contains("none"));
}

#[test]
fn rfc_6750_section_3_every_description_fits_a_challenge() {
    for reason in reasons() {
        let fits = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
        let description = reason.description;
        assert!(!description.is_empty(), "{}", reason.code);
        assert!(description.bytes().all(fits), "{}", reason.code);
    }
}

#[test]
fn every_reason_has_words_of_its_own_for_the_operator() {
    let mut texts = BTreeSet::new();
    for reason in reasons() {
        assert!(!reason.text.is_empty(), "{}", reason.code);
        assert!(texts.insert(reason.text), "{}", reason.code);
    }
}

/// The row of a reason in docs/wire.md.
fn row(reason: &Reason) -> String {
    let error = match reason.kind.error_code() {
        Some(error) => format!("`{error}`"),
        None => "none".to_owned(),
    };
    let status = reason.kind.status().as_u16();
    let grpc = reason.kind.grpc_status();
    let Reason {
        code, description, ..
    } = reason;
    format!("| `{code}` | {status} | {error} | {grpc} | {description} |")
}

#[test]
fn the_table_of_codes_in_the_documentation_is_this_one() {
    let page = page("wire.md");
    let (_, section) = page.split_once("\n## Reasons\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let written: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let rows: Vec<String> = reasons().iter().map(row).collect();
    for row in &rows {
        assert!(written.contains(&&**row), "docs/wire.md lacks\n{row}");
    }
    for row in &written {
        let is_known = rows.iter().any(|known| known == row);
        assert!(is_known, "docs/wire.md has what is no reason:\n{row}");
    }
    assert_eq!(rows.len(), written.len(), "each of them once");
}

/// In headings, and in the first column of the table of those without a section.
#[test]
fn troubleshooting_knows_every_code_and_no_other() {
    let page = page("troubleshooting.md");
    let (_, others) = page.split_once("\n## Other reasons\n").unwrap();
    let others = others.split("\n## ").next().unwrap();
    let rows = others.lines().filter(|line| line.starts_with("| `"));
    let first_columns = rows.map(|row| row.split('|').nth(1).unwrap());
    let headings = page.lines().filter(|line| line.starts_with("## "));
    let documented: BTreeSet<&str> = headings.chain(first_columns).flat_map(quoted).collect();
    let codes = reasons().into_iter().map(|reason| reason.code);
    let mut names: BTreeSet<&str> = codes.collect();
    // A heading is about a method of requests.
    names.insert("OPTIONS");
    assert_eq!(documented, names);
}
