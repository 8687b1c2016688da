//! Reads the keys for encrypted access tokens.

use std::{fs, path::Path};

use dpop_tower::{Issuer, token::DecryptionKeys};

use super::{
    error::{SettingsError, Source, explain},
    file::IssuerTable,
};

/// Adds the keys that the file names. `prefix` is the name of the table, with a dot at its end.
pub(super) fn with_decryption(
    mut tokens: Issuer,
    issuer: &IssuerTable,
    prefix: &str,
    source: &Source,
    folder: &Path,
) -> Result<Issuer, SettingsError> {
    let field = |name: &str| format!("{prefix}{name}");
    let required = issuer.require_encrypted_tokens.as_ref();
    let required = required.filter(|required| *required.get_ref());
    if let Some(file) = &issuer.jwe_keys_file {
        let keys = read(&folder.join(file.get_ref()))
            .map_err(|message| source.error(file.span(), field("jwe_keys_file"), message))?;
        tokens = tokens.decryption_keys(keys);
    } else if let Some(required) = required {
        let message = "every token would be rejected: set `jwe_keys_file`";
        return Err(source.error(required.span(), field("require_encrypted_tokens"), message));
    }
    Ok(match required {
        Some(_) => tokens.require_encrypted_tokens(),
        None => tokens,
    })
}

/// No error contains a part of the file.
fn read(path: &Path) -> Result<DecryptionKeys, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    DecryptionKeys::from_jwk_set(&text).map_err(|error| explain(&error))
}
