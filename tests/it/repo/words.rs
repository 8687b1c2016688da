//! One word for one idea, in code, docs, logs and configuration. The glossary is in CONTRIBUTING.md.

use std::{fs, path::Path};

/// Retired words and their replacements. A match starts at the start of a word, and may end inside it.
const RETIRED: &[(&str, &str)] = &[
    ("Admission", "`Admitted`"),
    ("Askers", "`TrustedProxies`"),
    ("ScopeRequired", "`RequireScope`"),
    ("JwtTokens", "`Issuer`"),
    ("ProofPolicy", "`ProofVerifier`"),
    ("SignatureVerifier", "`CryptoProvider`"),
    ("capacity_per_client", "`capacity_per_key`"),
    ("client_full", "`key_full`"),
    ("demands", "requirements"),
    ("further in,", "inner"),
    ("further out,", "outer"),
    ("inside of", "inside, or inner"),
    ("let in ", "admit"),
    ("let_in", "admitted"),
    ("lets in ", "admits"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("nonces_where_required", "`nonce_source`"),
    ("octet", "byte"),
    ("refus", "reject"),
    ("whoever ", "anyone who"),
];

const KINDS: &[&str] = &["md", "mjs", "proto", "py", "rs", "sh", "toml"];

/// Whether `text` has the word, in any case, at the start of a word or of a part of a name.
fn says(text: &str, word: &str) -> bool {
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    text.match_indices(&word).any(|(start, _)| {
        let before = text.get(..start).and_then(|before| before.chars().last());
        !before.is_some_and(char::is_alphanumeric)
    })
}

fn collect(folder: &Path, wrong: &mut Vec<String>, files: &mut usize) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            // Skips built and downloaded files.
            let is_source = folder.file_name().is_some_and(|folder| folder == "src");
            let is_foreign = name.starts_with('.') || name == "node_modules" || name == "venv";
            if !is_foreign && (is_source || name != "target") {
                collect(&path, wrong, files);
            }
            continue;
        }
        let is_text = path
            .extension()
            .is_some_and(|kind| KINDS.iter().any(|it| kind == *it));
        if !is_text || path.ends_with("tests/it/repo/words.rs") {
            continue;
        }
        *files += 1;
        let text = fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in RETIRED.iter().filter(|(word, _)| says(line, word)) {
                let place = format!("{}:{}", path.display(), number + 1);
                wrong.push(format!("{place}: `{word}`: say {instead}"));
            }
        }
    }
}

#[test]
fn no_file_says_a_word_that_another_has_replaced() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut wrong, mut files) = (Vec::new(), 0);
    collect(&root, &mut wrong, &mut files);
    assert!(files > 200, "the scan found the files: {files}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_word_is_found_in_any_case_and_in_names_but_not_inside_another_word() {
    for text in ["it refuses", "Refusal", "a_refusal", "(refused)"] {
        assert!(says(text, "refus"), "{text}");
    }
    assert!(!says("prefuse", "refus"));
    assert!(!says("let inner = 1;", "let in "));
}
