//! docs/inspect.md shows what the program prints.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use dpop_conformance::documentation::repository;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Returns the files that the page shows, and its commands with their output.
fn read(page: &str) -> (BTreeMap<String, String>, Vec<(String, String)>) {
    let (mut files, mut commands) = (BTreeMap::new(), Vec::new());
    let mut file = None;
    let mut blocks = page.split("```");
    while let (Some(prose), Some(block)) = (blocks.next(), blocks.next()) {
        // The last line before a block names the file, as in `request.http`:
        let name = prose.trim().lines().last().unwrap_or_default();
        let name = name
            .strip_suffix("`:")
            .and_then(|name| name.rsplit('`').next());
        file = name.map(str::to_owned).or(file);
        let (kind, text) = block.split_once('\n').unwrap();
        match (kind, text.strip_prefix("$ ")) {
            ("console", Some(text)) => {
                let (command, output) = text.split_once('\n').unwrap();
                commands.push((command.to_owned(), output.to_owned()));
            }
            ("text", _) => {
                let name = file.take().expect("a file has a name");
                files.insert(name, text.to_owned());
            }
            _ => {}
        }
    }
    (files, commands)
}

/// The request of the page, twice, and a server whose clock is 41 seconds ahead.
fn har(request: &str) -> String {
    let mut lines = request.lines();
    let start = lines.next().unwrap();
    let path = start.split(' ').nth(1).unwrap();
    let headers: Vec<Value> = (lines.filter_map(|line| line.split_once(": ")))
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let entry = |started: &str, date: &str| {
        json!({
            "startedDateTime": started,
            "time": 20,
            "request": {
                "method": "GET",
                "url": format!("https://resource.example.org{path}"),
                "headers": headers,
            },
            "response": {"status": 200, "headers": [{"name": "date", "value": date}]},
        })
    };
    let entries = [
        entry("2019-07-04T17:50:19.000Z", "Thu, 04 Jul 2019 17:51:00 GMT"),
        entry("2019-07-04T17:50:25.000Z", "Thu, 04 Jul 2019 17:51:06 GMT"),
    ];
    json!({"log": {"entries": entries}}).to_string()
}

/// Runs a command of the page in the folder with its files, and returns what it prints.
fn printed(command: &str, folder: &Path) -> String {
    let words = shlex::split(command).unwrap();
    assert_eq!(words[..2], ["dpop", "inspect"], "{command}");
    let output = Command::new(env!("CARGO_BIN_EXE_dpop"))
        .args(&words[1..])
        .current_dir(folder)
        .output()
        .unwrap();
    let (out, err) = (output.stdout, output.stderr);
    let printed = String::from_utf8(out).unwrap() + &String::from_utf8(err).unwrap();
    let is_rejected = printed.contains("\ndpop: ");
    assert_eq!(
        output.status.code(),
        Some(i32::from(is_rejected)),
        "{printed}"
    );
    printed
}

/// With `DPOP_WRITE_DOCS` in the environment, it writes the output into the page instead.
#[test]
fn the_page_shows_what_the_program_prints() {
    let path = repository().join("docs/inspect.md");
    let mut page = fs::read_to_string(&path).unwrap();
    let (files, commands) = read(&page);
    let folder = TempDir::new().unwrap();
    for (name, text) in &files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::write(
        folder.path().join("capture.har"),
        har(&files["request.http"]),
    )
    .unwrap();
    assert!(commands.len() >= 4, "{commands:?}");
    let writes = std::env::var_os("DPOP_WRITE_DOCS").is_some();
    for (command, output) in commands {
        let printed = printed(&command, folder.path());
        if writes {
            let before = format!("$ {command}\n{output}```");
            page = page.replace(&before, &format!("$ {command}\n{printed}```"));
        } else {
            assert_eq!(output, printed, "{command}");
        }
    }
    if writes {
        fs::write(path, page).unwrap();
    }
}
