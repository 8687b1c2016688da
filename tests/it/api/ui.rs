//! The compiler's messages for users who pass the wrong type.
//!
//! The compiler is called directly, with the library that these tests are built with. A separate project
//! for each case would build the library again.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the most recent build of the library, and the folder of its dependencies.
pub(super) fn library() -> (PathBuf, PathBuf) {
    let test = env::current_exe().unwrap();
    let folder = test.parent().unwrap().to_owned();
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("libdpop_tower-") && name.ends_with(".rlib")
    };
    let entries = fs::read_dir(&folder).unwrap();
    let libraries = entries
        .map(|entry| entry.unwrap().path())
        .filter(is_library);
    let built = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    (libraries.max_by_key(built).unwrap(), folder)
}

/// Returns the compiler's messages for this file, which contains errors.
fn mistakes(file: &Path) -> String {
    let (library, dependencies) = library();
    let output = tempfile::tempdir().unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .arg("--out-dir")
        .arg(output.path())
        .arg("--extern")
        .arg(format!("dpop_tower={}", library.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{told}");
    told
}

/// Replaces each run of white space by one space, since notes are broken into lines.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_wall_says_what_to_give_instead() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/walls.rs");
    let (code, told) = (fs::read_to_string(&file).unwrap(), mistakes(&file));
    let all = in_one_line(&told);
    let mut count = 0;
    for line in code.lines() {
        let Some(expected) = line.trim().strip_prefix("//~ ") else {
            continue;
        };
        count += 1;
        let part = match expected.strip_prefix("note ") {
            Some(note) => format!("note: {note}"),
            None => expected.to_owned(),
        };
        assert!(all.contains(&part), "{part:?} is not in\n{told}");
    }
    assert_eq!(count, 3 * code.matches("\nfn ").count());
    // Each function has one error, and the compiler reports no others.
    let errors = told.matches("\nerror[").count() + usize::from(told.starts_with("error["));
    assert_eq!(errors, code.matches("\nfn ").count(), "{told}");
}
