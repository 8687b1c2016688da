//! A command line of curl, as browsers copy it and documentation shows it.

use http::HeaderMap;

use super::{
    Unreadable,
    message::{self, Exchange, Request},
};

/// Options with a value that says nothing about the proof.
const WITH_A_VALUE: [&str; 33] = [
    "--cacert",
    "--capath",
    "--cert",
    "--cert-type",
    "--ciphers",
    "--connect-timeout",
    "--connect-to",
    "--cookie",
    "--cookie-jar",
    "--dump-header",
    "--interface",
    "--key",
    "--limit-rate",
    "--max-redirs",
    "--max-time",
    "--output",
    "--pinnedpubkey",
    "--proxy",
    "--range",
    "--referer",
    "--resolve",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "--stderr",
    "--tls-max",
    "--trace",
    "--trace-ascii",
    "--unix-socket",
    "--upload-file",
    "--user",
    "--user-agent",
    "--write-out",
];

/// The short options with a value, and their long names.
const SHORT: [(char, &str); 24] = [
    ('A', "--user-agent"),
    ('b', "--cookie"),
    ('c', "--cookie-jar"),
    ('C', "--range"),
    ('d', "--data"),
    ('D', "--dump-header"),
    ('e', "--referer"),
    ('E', "--cert"),
    ('F', "--form"),
    ('h', "--referer"),
    ('H', "--header"),
    ('K', "--output"),
    ('m', "--max-time"),
    ('o', "--output"),
    ('r', "--range"),
    ('T', "--upload-file"),
    ('u', "--user"),
    ('U', "--user"),
    ('w', "--write-out"),
    ('x', "--proxy"),
    ('X', "--request"),
    ('y', "--max-time"),
    ('Y', "--max-time"),
    ('z', "--range"),
];

/// Returns whether this is a command line of curl.
pub(super) fn is_command(text: &str) -> bool {
    let text = text.strip_prefix("$ ").unwrap_or(text);
    let program = text.split_ascii_whitespace().next().unwrap_or_default();
    let name = program.rsplit(['/', '\\']).next().unwrap_or_default();
    matches!(name, "curl" | "curl.exe")
}

#[derive(Default)]
struct Command {
    method: Option<String>,
    url: Option<String>,
    headers: HeaderMap,
    data: Option<String>,
    is_head: bool,
    is_get: bool,
    notes: Vec<String>,
}

/// Reads the request that the command makes. Nothing is run, and no file is read.
pub(super) fn parse(text: &str) -> Result<Exchange, Unreadable> {
    let text = text.strip_prefix("$ ").unwrap_or(text);
    // The crate makes an empty word of a continued line.
    let text = text.replace("\\\r\n", " ").replace("\\\n", " ");
    let words = shlex::split(&text).ok_or(
        Unreadable::new("the command has a quote that is not closed")
            .next_step("copy it as a command for a POSIX shell (bash), not for cmd or PowerShell"),
    )?;
    let mut command = Command::default();
    let mut words = words.into_iter().skip(1);
    while let Some(word) = words.next() {
        match word.strip_prefix("--") {
            // What follows is another request.
            Some("next") => break,
            Some(_) => {
                let (name, value) = match word.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                    None => (word, None),
                };
                command.option(&name, value, &mut words)?;
            }
            None => match word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                Some(letters) => command.letters(letters, &mut words)?,
                None => command.url = Some(word),
            },
        }
    }
    command.exchange()
}

impl Command {
    fn letters(
        &mut self,
        letters: &str,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Unreadable> {
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let name = SHORT.iter().find(|(short, _)| *short == letter);
            match (letter, name) {
                (_, Some((_, name))) => {
                    let value = rest.as_str();
                    let value = Some(value.to_owned()).filter(|value| !value.is_empty());
                    return self.option(name, value, words);
                }
                ('I', None) => self.is_head = true,
                ('G', None) => self.is_get = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn option(
        &mut self,
        name: &str,
        mut value: Option<String>,
        words: &mut impl Iterator<Item = String>,
    ) -> Result<(), Unreadable> {
        let mut value = || value.take().or_else(|| words.next()).unwrap_or_default();
        match name {
            "--request" => self.method = Some(value()),
            "--url" => self.url = Some(value()),
            "--header" => self.header(&value())?,
            "--oauth2-bearer" => {
                let value = format!("Bearer {}", value());
                message::append(&mut self.headers, "authorization", value.as_bytes())?;
            }
            "--data" | "--data-raw" | "--data-binary" | "--data-ascii" | "--data-urlencode"
            | "--json" | "--form" | "--form-string" => {
                let value = value();
                let data = self.data.get_or_insert_default();
                if !data.is_empty() {
                    data.push('&');
                }
                data.push_str(&value);
            }
            "--head" => self.is_head = true,
            "--get" => self.is_get = true,
            name if WITH_A_VALUE.contains(&name) => drop(value()),
            _ => {}
        }
        Ok(())
    }

    fn header(&mut self, field: &str) -> Result<(), Unreadable> {
        if field.starts_with('@') {
            self.notes
                .push("the headers of a file (-H @…) are not read".to_owned());
            return Ok(());
        }
        // `Name;` sends an empty value, and `Name:` removes a header of curl's own.
        let Some((name, value)) = field.split_once(':') else {
            return Ok(());
        };
        let is_ours = ["authorization", "dpop"].contains(&&*name.trim().to_ascii_lowercase());
        if is_ours && (value.contains('$') || value.contains('`')) {
            self.notes.push(format!(
                "the value of {} has a shell variable that is not expanded: put its value there",
                if name.trim().eq_ignore_ascii_case("dpop") {
                    "DPoP"
                } else {
                    "Authorization"
                },
            ));
        }
        message::append(&mut self.headers, name.trim(), value.as_bytes())
    }

    fn exchange(self) -> Result<Exchange, Unreadable> {
        let url = self.url.ok_or(
            Unreadable::new("the curl command has no URL").next_step("add the URL to the command"),
        )?;
        let default = match (self.is_head, &self.data) {
            (true, _) => "HEAD",
            (false, Some(_)) if !self.is_get => "POST",
            (false, _) => "GET",
        };
        let target = match url.contains("://") {
            true => url,
            // As curl does.
            false => format!("http://{url}"),
        };
        Ok(Exchange {
            request: Some(Request {
                method: message::method(self.method.as_deref().unwrap_or(default))?,
                target,
                headers: self.headers,
                body: self.data.unwrap_or_default(),
            }),
            notes: self.notes,
            ..Exchange::default()
        })
    }
}
