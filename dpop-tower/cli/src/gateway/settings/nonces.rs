//! `[nonces]`: the source of nonces.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use dpop_tower::nonce::{NonceSecret, StatelessNonces};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::File,
    secret,
};
use crate::gateway::reload_state::ReloadState;

/// Returns the source of the nonces of all issuers. Nodes whose files name the same secret share their nonces.
pub(super) fn nonces(
    file: &File,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
) -> Result<StatelessNonces, SettingsError> {
    let nonces = &file.nonces;
    let secret = secret(
        ("nonces.secret_file", nonces.secret_file.as_ref()),
        ("nonces.secret_env", nonces.secret_env.as_ref()),
        source,
        folder,
    )?;
    let also = self::secret(
        ("nonces.also_accept_file", nonces.also_accept_file.as_ref()),
        ("nonces.also_accept_env", nonces.also_accept_env.as_ref()),
        source,
        folder,
    )?;
    let mut made = StatelessNonces::new(secret.unwrap_or_else(|| memory.nonce_secret()));
    if let Some(also) = also {
        made = made.also_accept(also);
    }
    if let Some(period) = &nonces.period {
        if !(1..=86_400).contains(period.get_ref()) {
            let message = "must be from 1 to 86400 seconds";
            return Err(source.error(period.span(), "nonces.period", message));
        }
        made = made.period(Duration::from_secs(*period.get_ref()));
    }
    Ok(made)
}

fn secret(
    file: (&str, Option<&Spanned<PathBuf>>),
    variable: (&str, Option<&Spanned<String>>),
    source: &Source,
    folder: &Path,
) -> Result<Option<NonceSecret>, SettingsError> {
    let Some(secret) = secret::read(file, variable, source, folder)? else {
        return Ok(None);
    };
    NonceSecret::new(secret.bytes)
        .map(Some)
        .map_err(|error| source.error(secret.span, secret.field, explain(&error)))
}
