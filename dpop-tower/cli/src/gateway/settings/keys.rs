//! Reads `[issuer.key_fetching]`, which sets when the keys of an issuer are fetched.

use std::time::Duration;

use dpop_tower::token::KeyFetching;
use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file,
};

/// A setter of the library.
type Set = fn(KeyFetching, Duration) -> KeyFetching;

/// Returns the settings of the table. The library checks the values.
pub(super) fn fetching(
    table: &file::KeyFetching,
    field: &str,
    source: &Source,
) -> Result<KeyFetching, SettingsError> {
    let mut fetching = KeyFetching::new();
    for (name, plain, set_plain, danger, set_danger) in [
        (
            "refresh_after",
            &table.refresh_after,
            KeyFetching::refresh_after as Set,
            &table.danger_refresh_after,
            KeyFetching::danger_refresh_after as Set,
        ),
        (
            "max_refresh_after",
            &table.max_refresh_after,
            KeyFetching::max_refresh_after,
            &table.danger_max_refresh_after,
            KeyFetching::danger_max_refresh_after,
        ),
        (
            "max_key_age",
            &table.max_key_age,
            KeyFetching::max_key_age,
            &table.danger_max_key_age,
            KeyFetching::danger_max_key_age,
        ),
    ] {
        if let (Some(_), Some(danger)) = (plain, danger) {
            let message = format!("`{name}` is already set");
            let field = format!("{field}.danger_{name}");
            return Err(source.error(danger.span(), field, message));
        }
        for (value, set) in [(plain, set_plain), (danger, set_danger)] {
            fetching = with(fetching, set, value.as_ref().map(Spanned::get_ref));
        }
    }
    for (value, set) in [
        (
            &table.min_refresh_after,
            KeyFetching::min_refresh_after as Set,
        ),
        (
            &table.unknown_key_cool_down,
            KeyFetching::unknown_key_cool_down,
        ),
        (&table.min_retry_delay, KeyFetching::min_retry_delay),
        (&table.max_retry_delay, KeyFetching::max_retry_delay),
    ] {
        fetching = with(fetching, set, value.as_ref());
    }
    Ok(fetching)
}

fn with(fetching: KeyFetching, set: Set, seconds: Option<&u64>) -> KeyFetching {
    match seconds {
        Some(seconds) => set(fetching, Duration::from_secs(*seconds)),
        None => fetching,
    }
}
