//! Files with secrets, which nobody else may read.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::{failure::Failure, terminal::Terminal};

/// The maximum length of a file with a key or a token.
const MAX_LEN: u64 = 256 * 1024;

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfExists {
    /// It stays, and the command fails.
    Keep,
    /// It is replaced by a new file at once, so that no reader sees a part of it.
    Replace,
}

/// Reads a text from a file, or from the standard input if the path is `-`.
///
/// Warns if users other than the owner can read the file.
///
/// # Errors
///
/// Returns a failure if it cannot be read, is not UTF-8 text, or is too long.
pub(crate) fn read_secret(path: &Path, what: &str, terminal: Terminal) -> Result<String, Failure> {
    let failed = |error: io::Error| {
        let name = if is_stdin(path) {
            "the standard input".to_owned()
        } else {
            path.display().to_string()
        };
        Failure::wrong_use(format!("cannot read {what} from {name}: {error}"))
    };
    if is_stdin(path) {
        return text(io::stdin().lock()).map_err(failed);
    }
    let file = File::open(path).map_err(failed)?;
    warn_if_others_can_read(&file, path, terminal);
    text(file).map_err(failed)
}

/// Writes a file that only its owner can read, and waits until it is on the disk.
///
/// # Errors
///
/// Returns a failure if the file cannot be written, or exists and has to be kept.
pub(crate) fn write_secret(path: &Path, text: &str, if_exists: IfExists) -> Result<(), Failure> {
    let failed =
        |error: io::Error| Failure::wrong_use(format!("cannot write {}: {error}", path.display()));
    if if_exists == IfExists::Replace {
        return replace(path, text).map_err(failed);
    }
    match create(path, text) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Failure::wrong_use(
            format!("{} exists and is not overwritten", path.display()),
        )
        .next_step("Give another file, or --force to replace it.")),
        result => result.map_err(failed),
    }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn text(input: impl io::Read) -> io::Result<String> {
    let mut text = String::new();
    input.take(MAX_LEN + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_LEN {
        return Err(io::Error::other(format!(
            "it has more than {MAX_LEN} bytes"
        )));
    }
    Ok(text)
}

/// Creates a file that does not exist. A link in its place is not followed.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Writes beside the file and then renames, so that after a crash there is the old file or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("it is not the path of a file"))?;
    let mut beside = name.to_os_string();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = path.with_file_name(beside);
    let replaced = create(&beside, text).and_then(|()| fs::rename(&beside, path));
    if replaced.is_err() {
        // It is not there if it could not be created.
        let _ = fs::remove_file(&beside);
    }
    replaced?;
    sync_folder(path)
}

/// A rename is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf))?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(unix)]
fn warn_if_others_can_read(file: &File, path: &Path, terminal: Terminal) {
    use std::os::unix::fs::PermissionsExt as _;
    let Ok(metadata) = file.metadata() else {
        return;
    };
    // Pipes of a shell have the mode of their own kind.
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        let path = path.display();
        terminal.warn(&format!(
            "other users can read {path}: run `chmod 600 {path}`, and replace the secret if they may have"
        ));
    }
}

#[cfg(not(unix))]
fn warn_if_others_can_read(_: &File, _: &Path, _: Terminal) {}
