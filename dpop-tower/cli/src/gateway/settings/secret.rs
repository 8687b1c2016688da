//! Secrets in files and in the environment.

use std::{env, fs, ops::Range, path::Path, path::PathBuf};

use toml::Spanned;

use super::error::{SettingsError, Source};

/// A secret, and the field that it comes from.
pub(super) struct Secret<'f> {
    pub(super) bytes: Vec<u8>,
    pub(super) span: Range<usize>,
    pub(super) field: &'f str,
}

/// Reads a secret from a file or the environment, each with the name of its field. At most one is set.
///
/// One line break at the end does not belong to the secret, so that a file and a variable can hold the same.
pub(super) fn read<'f>(
    (file_field, file): (&'f str, Option<&Spanned<PathBuf>>),
    (env_field, variable): (&'f str, Option<&Spanned<String>>),
    source: &Source,
    folder: &Path,
) -> Result<Option<Secret<'f>>, SettingsError> {
    let (mut bytes, span, field) = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(path), None) => {
            let bytes = fs::read(folder.join(path.get_ref())).map_err(|error| {
                let message = format!("the file cannot be read: {error}");
                source.error(path.span(), file_field, message)
            })?;
            (bytes, path.span(), file_field)
        }
        (None, Some(name)) => {
            let value = env::var_os(name.get_ref()).ok_or_else(|| {
                let message = "the environment has no such variable";
                source.error(name.span(), env_field, message)
            })?;
            (value.into_encoded_bytes(), name.span(), env_field)
        }
        (Some(_), Some(name)) => {
            let message = format!("`{file_field}` is already set");
            return Err(source.error(name.span(), env_field, message));
        }
    };
    if bytes.ends_with(b"\n") {
        bytes.pop();
    }
    if bytes.ends_with(b"\r") {
        bytes.pop();
    }
    Ok(Some(Secret { bytes, span, field }))
}
