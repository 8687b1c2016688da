//! `[nonces]`: the source of nonces.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use dpop_tower::nonce::{NonceSecret, NonceSecrets, StatelessNonces};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{File, Nonces},
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
    let mut made = StatelessNonces::new(secrets(nonces, source, folder, memory)?);
    if let Some(name) = &nonces.partition {
        if !(1..=255).contains(&name.get_ref().len()) {
            let message = "must have from 1 to 255 bytes";
            return Err(source.error(name.span(), "nonces.partition", message));
        }
        made = made.partition(name.get_ref().as_str());
    }
    if nonces.bind_to_key {
        made = made.bind_to_key();
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

/// Returns the secrets, of which the process makes one if the file names none.
fn secrets(
    nonces: &Nonces,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
) -> Result<NonceSecrets, SettingsError> {
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
    let Some(path) = &nonces.secrets_file else {
        let secrets = NonceSecrets::new(secret.unwrap_or_else(|| memory.nonce_secret()));
        return Ok(match also {
            Some(also) => secrets.previous(also),
            None => secrets,
        });
    };
    let error = |message| source.error(path.span(), "nonces.secrets_file", message);
    if secret.is_some() || also.is_some() {
        return Err(error(
            "the file has all secrets, and another field names one as well".to_owned(),
        ));
    }
    let text = fs::read_to_string(folder.join(path.get_ref()))
        .map_err(|why| error(format!("the file cannot be read: {why}")))?;
    NonceSecrets::parse(&text).map_err(|why| error(explain(&why)))
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
