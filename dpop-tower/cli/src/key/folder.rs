//! A folder with keys, of which the token selects one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use dpop_tower::client::ClientKey;

use super::parse;
use crate::{failure::Failure, files::read_secret, proof::decoded, terminal::Terminal};

/// The extensions of files that may contain keys.
const EXTENSIONS: [&str; 4] = ["json", "jwk", "jwks", "pem"];

/// The maximum number of such files in a folder.
const MAX_FILES: usize = 100;

/// Reads the key that the token is bound to, or the only key if there is no such token.
///
/// Files without a usable key are skipped, such as those of `dpop token --out`.
pub(super) fn read(
    folder: &Path,
    kid: Option<&str>,
    token: Option<&str>,
    terminal: Terminal,
) -> Result<ClientKey, Failure> {
    let name = folder.display();
    let files = files(folder)
        .map_err(|error| Failure::wrong_use(format!("cannot read the folder {name}: {error}")))?;
    let mut keys = Vec::new();
    for file in files {
        let text = read_secret(&file, "the key", terminal)?;
        if let Ok(key) = parse(&text, kid) {
            keys.push((file, key));
        }
    }
    if let Some(jkt) = token.and_then(bound_to) {
        return (keys.into_iter().map(|(_, key)| key))
            .find(|key| key.thumbprint().to_string() == jkt)
            .ok_or_else(|| {
                Failure::wrong_use(format!(
                    "no key in {name} is the one that the token is bound to, {jkt}"
                ))
                .next_step("Get a new token with `dpop token --key FILE`.")
            });
    }
    let several: Vec<_> = (keys.iter())
        .map(|(file, _)| file.display().to_string())
        .collect();
    match (keys.pop(), keys.is_empty()) {
        (Some((_, key)), true) => Ok(key),
        (None, _) => Err(
            Failure::wrong_use(format!("no file in {name} has a usable key"))
                .next_step("`dpop key new --out FILE` makes a key."),
        ),
        (Some(_), false) => Err(Failure::wrong_use(format!("{name} has several keys"))
            .next_step(format!("Give one of {} with --key.", several.join(", ")))),
    }
}

/// Returns the files that may contain keys, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| EXTENSIONS.contains(&extension)) && path.is_file() {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_FILES} files that may be keys"
            )));
        }
    }
    files.sort();
    Ok(files)
}

/// Returns the thumbprint that a JWT says it is bound to. The server verifies the token.
fn bound_to(token: &str) -> Option<String> {
    let [_, claims] = decoded(token);
    Some(claims.get("cnf")?.get("jkt")?.as_str()?.to_owned())
}
