//! What the programs wrote to their logs.

use std::{
    collections::HashSet,
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
};

use dpop_tower_performance::load::Error;

use crate::{
    people::{MARK, People},
    programs::{NONCE_SECRET, PASSWORD},
};

/// How every token and every proof begins: `{"` in base64url.
const JWS: &str = "eyJ";

/// A log that is read while it is written.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    read: u64,
    /// The beginning of a line that is not complete yet.
    rest: Vec<u8>,
    pub lines: u64,
    /// How often the gateway said that it has read its file again, and that it could not.
    pub reloads: u64,
    pub reload_errors: u64,
}

impl Log {
    /// Returns the log at this path.
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: 0,
            rest: Vec::new(),
            lines: 0,
            reloads: 0,
            reload_errors: 0,
        }
    }

    /// Reads what is new, and returns what must not be there.
    pub fn scan(&mut self, people: &People) -> Result<Vec<String>, Error> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.read))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        self.read += new.len() as u64;
        self.rest.append(&mut new);
        let end = self.rest.iter().rposition(|byte| *byte == b'\n');
        let complete: Vec<u8> = self.rest.drain(..end.map_or(0, |end| end + 1)).collect();
        let sent: HashSet<&[u8; MARK]> = people.sent().collect();
        let mut findings = Vec::new();
        for line in String::from_utf8_lossy(&complete).lines() {
            self.lines += 1;
            if line.contains("reloaded ") {
                self.reloads += 1;
            } else if line.contains("misspelled") {
                self.reload_errors += 1;
            }
            let what = wrong_with(line, &sent);
            if let Some(what) = what {
                // The line itself may have a secret.
                let name = self.path.file_name().unwrap_or_default().display();
                findings.push(format!("{what} in line {} of {name}", self.lines));
            }
        }
        Ok(findings)
    }
}

fn wrong_with(line: &str, sent: &HashSet<&[u8; MARK]>) -> Option<&'static str> {
    let is_part = |window: &[u8]| window.first_chunk().is_some_and(|mark| sent.contains(mark));
    if line.contains("panicked") {
        Some("a panic")
    } else if line.contains(PASSWORD) {
        Some("the password of the replay store")
    } else if line.contains(NONCE_SECRET) {
        Some("the secret for nonces")
    } else if line.contains(JWS) {
        Some("the beginning of a token or a proof")
    } else if line.as_bytes().windows(MARK).any(is_part) {
        Some("a part of a token or a proof")
    } else {
        None
    }
}

/// Fails unless each of these would be found, so that a clean log means something.
pub fn check() -> Result<(), Error> {
    let mut people = People::new(1, 1);
    let credentials = people.good(0, "GET", "/orders/42", None);
    let sent: HashSet<&[u8; MARK]> = people.sent().collect();
    let signature = credentials.proof.rsplit('.').next().unwrap_or_default();
    let claims = credentials.token.split('.').nth(1).unwrap_or_default();
    for line in [
        format!("WARN proof {}", credentials.proof),
        format!("WARN \"{}\"", &signature[..MARK]),
        format!("WARN {claims}"),
        format!("redis://dpop:{PASSWORD}@127.0.0.1"),
        NONCE_SECRET.to_owned(),
        "thread 'main' panicked at src/main.rs".to_owned(),
    ] {
        wrong_with(&line, &sent).ok_or_else(|| format!("not found in a log: {line}"))?;
    }
    match wrong_with(
        "INFO rejected request reason=\"proof_replayed\" status=401",
        &sent,
    ) {
        None => Ok(()),
        Some(what) => Err(format!("a good line is taken for one with {what}").into()),
    }
}
