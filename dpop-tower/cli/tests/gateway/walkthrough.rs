//! The commands of docs/walkthrough.md, run as they are printed.

use std::{
    fs, io,
    net::TcpStream,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use dpop_conformance::documentation::repository;
use dpop_test_servers::free_port;

/// A command, and what it should print.
#[derive(Debug, Default)]
struct Step {
    command: String,
    expected: Vec<String>,
}

/// Returns the commands of all blocks with a console. A command goes on in lines that begin with `>`.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        let block = block.split("```").next().unwrap();
        for line in block.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                steps.push(Step {
                    command: command.to_owned(),
                    ..Step::default()
                });
                continue;
            }
            let step = steps.last_mut().expect("a block begins with a command");
            match line.strip_prefix('>').filter(|_| step.expected.is_empty()) {
                Some(more) => {
                    step.command.push('\n');
                    step.command
                        .push_str(more.strip_prefix(' ').unwrap_or(more));
                }
                None => step.expected.push(line.to_owned()),
            }
        }
    }
    steps
}

/// Returns whether a text has the lines of `expected` in their order. `...` stands for any text, also for lines.
fn is_as_printed(printed: &str, expected: &[String]) -> bool {
    let mut rest = printed.trim_end();
    let expected = expected.join("\n");
    let mut parts = expected.trim_end().split("...");
    let first = parts.next().unwrap_or_default();
    let Some(after) = rest.strip_prefix(first) else {
        return false;
    };
    rest = after;
    let mut ends_open = false;
    for part in parts {
        ends_open = part.is_empty();
        let Some(at) = rest.find(part.trim_start_matches('\n')) else {
            return false;
        };
        rest = &rest[at + part.trim_start_matches('\n').len()..];
    }
    ends_open || rest.is_empty()
}

/// The servers of the page, which end with the test.
#[derive(Default)]
struct Servers(Vec<Child>);

impl Drop for Servers {
    fn drop(&mut self) {
        for server in &mut self.0 {
            // The shell has replaced itself with the server.
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn shell(command: &str, folder: &Path) -> Command {
    let programs = Path::new(env!("CARGO_BIN_EXE_dpop")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("bash");
    shell
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    shell
}

fn wait_for(port: u16) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_commands_of_the_walk_through_print_what_the_page_shows() -> io::Result<()> {
    let mut page = fs::read_to_string(repository().join("docs/walkthrough.md"))?;
    let folder = tempfile::tempdir()?;
    // The tests may run where the ports of the page are taken.
    let ports = [8080, 8081, 9000].map(|usual: u16| (usual.to_string(), free_port()));
    for (usual, port) in &ports {
        page = page.replace(&format!("127.0.0.1:{usual}"), &format!("127.0.0.1:{port}"));
        page = page.replace(
            &format!("http.server {usual}"),
            &format!("http.server {port}"),
        );
    }
    let page = page.replace(
        "dpop idp --config idp.json",
        &format!(
            "dpop idp --config idp.json --listen 127.0.0.1:{}",
            ports[2].1
        ),
    );
    let steps = steps(&page);
    assert!(steps.len() > 15, "the page was read: {steps:?}");

    let mut servers = Servers::default();
    let mut environment = String::new();
    let mut to_start = [ports[1].1, ports[2].1, ports[0].1].into_iter();
    for Step { command, expected } in &steps {
        if let Some(server) = command.strip_suffix(" &") {
            let mut server = shell(&format!("exec {server}"), folder.path());
            let server = server.stdout(Stdio::null()).stderr(Stdio::null());
            servers.0.push(server.process_group(0).spawn()?);
            wait_for(to_start.next().expect("three servers"));
            continue;
        }
        // Each command has a shell of its own.
        if command.starts_with("export ") || command.starts_with("umask ") {
            environment.push_str(command);
            environment.push('\n');
            continue;
        }
        let output =
            shell(&format!("exec 2>&1\n{environment}{command}"), folder.path()).output()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            is_as_printed(&printed.replace('\r', ""), expected),
            "{command}\nprints\n{printed}\nand not\n{}",
            expected.join("\n")
        );
    }
    Ok(())
}

#[test]
fn what_a_page_shows_is_compared_line_by_line() {
    let expected = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| (*line).to_owned())
            .collect::<Vec<_>>()
    };
    assert!(is_as_printed("a\nb\n", &expected(&["a", "b"])));
    assert!(is_as_printed("a\nx\ny\nb\n", &expected(&["a", "...", "b"])));
    assert!(is_as_printed("a 1 b\n", &expected(&["a ... b"])));
    assert!(is_as_printed("a\nrest", &expected(&["a", "..."])));
    assert!(is_as_printed("", &[]));
    assert!(!is_as_printed("a\nb\nc\n", &expected(&["a", "b"])));
    assert!(!is_as_printed("a\n", &expected(&["b"])));
    assert!(!is_as_printed("error", &[]));
    assert!(!is_as_printed("a 1 c\n", &expected(&["a ... b"])));
}
