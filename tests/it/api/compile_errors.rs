//! docs/compile-errors.md shows what the compiler says.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::ui::library;

/// A program that compiles with the axum that the library uses.
const GOOD: &str = "pub fn app(config: dpop_tower::DpopConfig) -> axum::Router {
    async fn orders(token: dpop_tower::BoundToken) -> String { token.thumbprint().to_string() }
    let orders = axum::routing::get(orders);
    axum::Router::new().route(\"/\", orders).layer(dpop_tower::DpopLayer::new(config))
}";

/// Returns the compiler's messages, or `None` if there is no error.
fn compile(code: &str, axum: &Path) -> Option<String> {
    let (library, dependencies) = library();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("snippet.rs");
    fs::write(&file, code).unwrap();
    let rustc = env::var_os("RUSTC").unwrap_or("rustc".into());
    let output = Command::new(rustc)
        .args(["--edition=2024", "--crate-type=lib", "--emit=metadata"])
        .arg("--out-dir")
        .arg(folder.path())
        .arg("--extern")
        .arg(format!("dpop_tower={}", library.display()))
        .arg("--extern")
        .arg(format!("axum={}", axum.display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies.display()))
        .arg(file)
        .output()
        .unwrap();
    (!output.status.success()).then(|| String::from_utf8(output.stderr).unwrap())
}

/// There may be builds of axum with other features.
fn axum() -> PathBuf {
    let (_, folder) = library();
    let files = fs::read_dir(folder).unwrap();
    let mut builds = files.map(|file| file.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with("libaxum-") && name.ends_with(".rlib")
    });
    let fits = |path: &PathBuf| compile(GOOD, path).is_none();
    builds
        .find(fits)
        .expect("the axum that the library was built with")
}

#[test]
fn the_page_shows_what_the_compiler_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compile-errors.md");
    let page = fs::read_to_string(page).unwrap();
    let axum = axum();
    let mut sections = 0;
    for section in page.split("\n## ").skip(1) {
        let Some((_, code)) = section.split_once("```rust\n") else {
            continue;
        };
        let (code, rest) = code.split_once("```").unwrap();
        let (_, message) = rest.split_once("```text\n").expect(section);
        let message = message.lines().next().unwrap();
        let told = compile(code, &axum).unwrap_or_else(|| panic!("it compiles:\n{code}"));
        let first = told.lines().find(|line| line.starts_with("error"));
        assert_eq!(first, Some(message), "{told}");
        sections += 1;
    }
    assert_eq!(sections, page.matches("```text\n").count());
    assert!(sections > 6, "{sections} sections");
}
