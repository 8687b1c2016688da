//! `[replay]`: the store that remembers used proofs.

use std::{fs, ops::Range, path::Path, sync::Arc, time::Duration};

use dpop_tower::{
    ConfigError,
    clock::{SystemClock, TimeSource as _},
    replay::{AcceptanceWindows, MemoryReplayStore, ReplayStoreBuilder},
};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{File, Replay},
    secret,
};
use crate::gateway::used_proofs::UsedProofs;

/// The stores that a field is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Memory,
    Redis,
    Postgres,
}

const NETWORK: &[Kind] = &[Kind::Redis, Kind::Postgres];

/// The settings of the table `[replay]`. They are equal if the values are, wherever they are in the file.
#[derive(PartialEq)]
pub(super) struct ReplaySettings {
    kind: Kind,
    /// With the password, so it must not be shown.
    url: String,
    table: Replay,
    /// The contents of `ca_file`.
    ca: Option<String>,
}

/// Reads and checks the table.
pub(super) fn replay(
    file: &File,
    source: &Source,
    folder: &Path,
) -> Result<ReplaySettings, SettingsError> {
    let table = &file.replay;
    let (url, span, field) = url(table, source, folder)?;
    let wrong_url = |error: &ConfigError| source.error(span.clone(), field, explain(error));
    let kind = match ReplayStoreBuilder::from_url(&url).map_err(|error| wrong_url(&error))? {
        ReplayStoreBuilder::Redis(_) => Kind::Redis,
        ReplayStoreBuilder::Postgres(_) => Kind::Postgres,
        _ => Kind::Memory,
    };
    let ca = match &table.ca_file {
        None => None,
        Some(path) => Some(
            fs::read_to_string(folder.join(path.get_ref())).map_err(|error| {
                let message = format!("the file cannot be read: {error}");
                source.error(path.span(), "replay.ca_file", message)
            })?,
        ),
    };
    let settings = ReplaySettings {
        kind,
        url,
        table: table.clone(),
        ca,
    };
    check_fields(&settings, source)?;
    settings.store().map_err(|error| wrong_url(&error))?;
    Ok(settings)
}

/// Returns the URL of the store with the password in it, and the field that it comes from.
fn url<'f>(
    table: &'f Replay,
    source: &Source,
    folder: &Path,
) -> Result<(String, Range<usize>, &'f str), SettingsError> {
    let from_environment = secret::read(
        ("", None),
        ("replay.store_env", table.store_env.as_ref()),
        source,
        folder,
    )?;
    let (url, span, field) = match (&table.store, from_environment) {
        (Some(_), Some(variable)) => {
            let message = "`replay.store` is already set";
            return Err(source.error(variable.span, variable.field, message));
        }
        (Some(url), None) => (url.get_ref().clone(), url.span(), "replay.store"),
        (None, Some(variable)) => {
            let url = String::from_utf8(variable.bytes).map_err(|_| {
                let message = "the variable is not UTF-8";
                source.error(variable.span.clone(), variable.field, message)
            })?;
            (url, variable.span, variable.field)
        }
        (None, None) => ("memory".to_owned(), 0..0, "replay.store"),
    };
    let password = secret::read(
        ("replay.password_file", table.password_file.as_ref()),
        ("replay.password_env", table.password_env.as_ref()),
        source,
        folder,
    )?;
    let Some(password) = password else {
        return Ok((url, span, field));
    };
    match with_password(&url, &password.bytes) {
        Ok(url) => Ok((url, span, field)),
        Err(message) => Err(source.error(password.span, password.field, message)),
    }
}

/// Puts the password into the URL.
fn with_password(url: &str, password: &[u8]) -> Result<String, &'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("only a store with a URL has a password");
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    if user.contains(':') {
        return Err("the URL of the store already has a password");
    }
    if password.is_empty() {
        return Err("the password is empty");
    }
    let password = percent_encode(password, NON_ALPHANUMERIC);
    Ok(format!("{scheme}://{user}:{password}@{host}{path}"))
}

/// A field, the stores that it is for, and the setting of the library that it corresponds to.
struct Field {
    name: &'static str,
    stores: &'static [Kind],
    span: fn(&Replay) -> Option<Range<usize>>,
    set: fn(ReplayStoreBuilder, &ReplaySettings) -> Result<ReplayStoreBuilder, ConfigError>,
}

/// Calls a setter that both stores have.
macro_rules! either {
    ($builder:ident, $setter:ident($value:expr)) => {
        match $builder {
            ReplayStoreBuilder::Redis(redis) => ReplayStoreBuilder::Redis(redis.$setter($value)),
            ReplayStoreBuilder::Postgres(postgres) => {
                ReplayStoreBuilder::Postgres(postgres.$setter($value))
            }
            other => other,
        }
    };
}

/// The fields that a store over the network has.
const FIELDS: &[Field] = &[
    Field {
        name: "time_out_ms",
        stores: NETWORK,
        span: |table| span(&table.time_out_ms),
        set: |builder, settings| {
            let Some(time) = value(&settings.table.time_out_ms) else {
                return Ok(builder);
            };
            Ok(either!(builder, time_out(Duration::from_millis(time))))
        },
    },
    Field {
        name: "clock_margin",
        stores: NETWORK,
        span: |table| span(&table.clock_margin),
        set: |builder, settings| {
            let Some(margin) = value(&settings.table.clock_margin) else {
                return Ok(builder);
            };
            Ok(either!(builder, clock_margin(Duration::from_secs(margin))))
        },
    },
    Field {
        name: "window",
        stores: NETWORK,
        span: |table| span(&table.window),
        set: |builder, settings| {
            let Some(window) = value(&settings.table.window) else {
                return Ok(builder);
            };
            let windows = AcceptanceWindows::at_least(Duration::from_secs(window))?;
            Ok(either!(builder, windows(windows)))
        },
    },
    Field {
        name: "ca_file",
        stores: NETWORK,
        span: |table| span(&table.ca_file),
        set: |builder, settings| {
            let Some(ca) = &settings.ca else {
                return Ok(builder);
            };
            Ok(either!(builder, root_certificates(ca.clone())))
        },
    },
    Field {
        name: "danger_fall_back_to_memory",
        stores: NETWORK,
        span: |table| span(&table.danger_fall_back_to_memory),
        set: |builder, settings| {
            if !is_set(&settings.table.danger_fall_back_to_memory) {
                return Ok(builder);
            }
            let memory = settings.memory()?;
            Ok(either!(builder, danger_fall_back_to_memory(memory)))
        },
    },
    Field {
        name: "key_prefix",
        stores: &[Kind::Redis],
        span: |table| span(&table.key_prefix),
        set: |builder, settings| {
            Ok(match (builder, &settings.table.key_prefix) {
                (ReplayStoreBuilder::Redis(redis), Some(prefix)) => {
                    ReplayStoreBuilder::Redis(redis.key_prefix(prefix.get_ref().clone()))
                }
                (builder, _) => builder,
            })
        },
    },
    Field {
        name: "wait_for_replicas",
        stores: &[Kind::Redis],
        span: |table| span(&table.wait_for_replicas),
        set: |builder, settings| {
            Ok(match (builder, value(&settings.table.wait_for_replicas)) {
                (ReplayStoreBuilder::Redis(redis), Some(replicas)) => {
                    ReplayStoreBuilder::Redis(redis.wait_for_replicas(replicas))
                }
                (builder, _) => builder,
            })
        },
    },
    Field {
        name: "danger_allow_eviction",
        stores: &[Kind::Redis],
        span: |table| span(&table.danger_allow_eviction),
        set: |builder, settings| {
            Ok(match builder {
                ReplayStoreBuilder::Redis(redis)
                    if is_set(&settings.table.danger_allow_eviction) =>
                {
                    ReplayStoreBuilder::Redis(redis.danger_allow_eviction())
                }
                builder => builder,
            })
        },
    },
    Field {
        name: "table",
        stores: &[Kind::Postgres],
        span: |table| span(&table.table),
        set: |builder, settings| {
            Ok(match (builder, &settings.table.table) {
                (ReplayStoreBuilder::Postgres(postgres), Some(table)) => {
                    ReplayStoreBuilder::Postgres(postgres.table(table.get_ref().clone()))
                }
                (builder, _) => builder,
            })
        },
    },
    Field {
        name: "max_connections",
        stores: &[Kind::Postgres],
        span: |table| span(&table.max_connections),
        set: |builder, settings| {
            Ok(match (builder, value(&settings.table.max_connections)) {
                (ReplayStoreBuilder::Postgres(postgres), Some(count)) => {
                    ReplayStoreBuilder::Postgres(postgres.max_connections(count))
                }
                (builder, _) => builder,
            })
        },
    },
    Field {
        name: "create_table",
        stores: &[Kind::Postgres],
        span: |table| span(&table.create_table),
        // The table is created when the gateway starts, not with the store.
        set: |builder, _| Ok(builder),
    },
];

/// The fields of the store in memory, which is also what another store may fall back to.
type MemoryField = (&'static str, fn(&Replay) -> Option<Range<usize>>);

const MEMORY_FIELDS: [MemoryField; 4] = [
    ("capacity", |table| span(&table.capacity)),
    ("capacity_per_key", |table| span(&table.capacity_per_key)),
    ("capacity_per_subject", |table| {
        span(&table.capacity_per_subject)
    }),
    ("fence", |table| span(&table.fence)),
];

fn span<T>(field: &Option<Spanned<T>>) -> Option<Range<usize>> {
    field.as_ref().map(Spanned::span)
}

fn value<T: Copy>(field: &Option<Spanned<T>>) -> Option<T> {
    field.as_ref().map(|value| *value.get_ref())
}

fn is_set(field: &Option<Spanned<bool>>) -> bool {
    value(field).unwrap_or_default()
}

/// Rejects a field that the store does not have, so that nobody relies on it, and a value that it does not take.
fn check_fields(settings: &ReplaySettings, source: &Source) -> Result<(), SettingsError> {
    let (table, kind) = (&settings.table, settings.kind);
    let unknown = |span, name: &str| {
        let message = format!("{} has no such setting", kind.name());
        Err(source.error(span, format!("replay.{name}"), message))
    };
    let has_memory = kind == Kind::Memory || is_set(&table.danger_fall_back_to_memory);
    for (name, span) in MEMORY_FIELDS {
        match span(table) {
            // A store that stands in for another one has no records to lose.
            Some(span) if !has_memory || (name == "fence" && kind != Kind::Memory) => {
                return unknown(span, name);
            }
            _ => {}
        }
    }
    for field in FIELDS {
        let Some(span) = (field.span)(table) else {
            continue;
        };
        if !field.stores.contains(&kind) {
            return unknown(span, field.name);
        }
        ReplayStoreBuilder::from_url(&settings.url)
            .and_then(|builder| (field.set)(builder, settings))
            .and_then(ReplayStoreBuilder::build)
            .map_err(|error| {
                source.error(span, format!("replay.{}", field.name), explain(&error))
            })?;
    }
    Ok(())
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Memory => "the store in memory",
            Self::Redis => "a store in Redis",
            Self::Postgres => "a store in PostgreSQL",
        }
    }
}

impl ReplaySettings {
    /// Makes the store, which is empty if it is in memory.
    pub(super) fn store(&self) -> Result<UsedProofs, ConfigError> {
        let mut builder = ReplayStoreBuilder::from_url(&self.url)?;
        for field in FIELDS {
            builder = (field.set)(builder, self)?;
        }
        match builder {
            ReplayStoreBuilder::Memory => {
                let mut memory = self.memory()?;
                if is_set(&self.table.fence) {
                    memory = memory.fenced_since(SystemClock.now())?;
                }
                Ok(UsedProofs::new(Arc::new(memory)))
            }
            ReplayStoreBuilder::Postgres(postgres) if is_set(&self.table.create_table) => {
                Ok(UsedProofs::with_table(Arc::new(postgres.build()?)))
            }
            builder => Ok(UsedProofs::new(builder.build()?)),
        }
    }

    fn memory(&self) -> Result<MemoryReplayStore, ConfigError> {
        let mut memory = match value(&self.table.capacity) {
            None => MemoryReplayStore::new(),
            Some(capacity) => MemoryReplayStore::with_capacity(capacity),
        };
        if let Some(entries) = value(&self.table.capacity_per_key) {
            memory = memory.capacity_per_key(entries);
        }
        if let Some(entries) = value(&self.table.capacity_per_subject) {
            memory = memory.capacity_per_subject(entries);
        }
        Ok(memory)
    }
}
