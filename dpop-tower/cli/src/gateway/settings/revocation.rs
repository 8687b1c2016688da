//! `[revocation]`: what revokes tokens, and `[issuer.status_list]`: where the issuer publishes what is revoked.

use std::{num::NonZeroUsize, ops::Range, path::Path, time::Duration};

use dpop_tower::{
    ConfigError, ConfigErrorKind, Issuer,
    ssf::{EventReceiver, EventReceiverBuilder, Transmitter},
    token::StatusLists,
};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{self, File, IssuerTable},
    issuer::algorithms,
    secret,
};
use crate::gateway::{events::Events, reload_state::ReloadState};

const USUAL_PATH: &str = "/security-events";

/// Returns the number of entries of the revocation list.
pub(super) fn capacity(file: &File) -> Option<NonZeroUsize> {
    let capacity = file.revocation.as_ref()?.capacity.as_ref()?;
    Some(*capacity.get_ref())
}

/// Returns whether anything can add to the revocation list.
pub(super) fn has_transmitters(file: &File) -> bool {
    (file.revocation.as_ref()).is_some_and(|table| !table.transmitters.get_ref().is_empty())
}

/// Returns the receiver of security events, if there are transmitters.
pub(super) fn events(
    file: &File,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
) -> Result<Option<Events>, SettingsError> {
    let Some(table) = &file.revocation else {
        return Ok(None);
    };
    let usual_path = Spanned::new(table.transmitters.span(), USUAL_PATH.to_owned());
    let path = table.path.as_ref().unwrap_or(&usual_path);
    if !is_path(path.get_ref()) {
        let message = "it has to begin with `/` and to consist of letters, digits, `-`, `.`, `_`, `~` and `/`, without \
             dot segments";
        return Err(source.error(path.span(), "revocation.path", message));
    }
    let transmitters = table.transmitters.get_ref();
    if transmitters.is_empty() {
        let unused = [
            ("path", table.path.as_ref().map(Spanned::span)),
            (
                "token_lifetime",
                table.token_lifetime.as_ref().map(Spanned::span),
            ),
        ];
        return match unused
            .into_iter()
            .find_map(|(name, span)| Some((name, span?)))
        {
            Some((name, span)) => {
                let message = "there is no `[[revocation.transmitter]]` that it could be for";
                Err(source.error(span, format!("revocation.{name}"), message))
            }
            None => Ok(None),
        };
    }
    if file.listen.is_none() {
        let message = "there is no `listen` at which transmitters could deliver events";
        return Err(source.error(table.transmitters.span(), "revocation.transmitter", message));
    }
    let builder = |transmitters: Vec<Transmitter>| {
        let builder = EventReceiver::builder(transmitters, memory.revocations());
        match &table.token_lifetime {
            Some(seconds) => builder.token_lifetime(Duration::from_secs(*seconds.get_ref())),
            None => builder,
        }
    };
    let mut all = Vec::new();
    for (index, transmitter) in transmitters.iter().enumerate() {
        let reader = Reader {
            table: transmitter.get_ref(),
            prefix: format!("revocation.transmitter[{index}]"),
            source,
            folder,
            memory,
        };
        let before = transmitters.iter().take(index);
        let issuer = &reader.table.issuer;
        if before
            .map(|other| &other.get_ref().issuer)
            .any(|other| other == issuer)
        {
            let message = "this transmitter is listed twice";
            return Err(source.error(issuer.span(), reader.field("issuer"), message));
        }
        // An error says more about a transmitter alone.
        reader.check(builder(vec![reader.read()?]), table.token_lifetime.as_ref())?;
        all.push(reader.read()?);
    }
    let receiver = builder(all).build();
    let receiver = receiver.map_err(|error| {
        source.error(
            table.transmitters.span(),
            "revocation.transmitter",
            explain(&error),
        )
    })?;
    Ok(Some(Events::new(path.get_ref(), receiver)))
}

/// Whether a path is written in its only spelling.
fn is_path(path: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    let is_segment = |segment: &str| !matches!(segment, "" | "." | "..");
    path.strip_prefix('/')
        .is_some_and(|rest| rest.split('/').all(is_segment))
        && path.chars().all(is_plain)
}

struct Reader<'f> {
    table: &'f file::Transmitter,
    prefix: String,
    source: &'f Source,
    folder: &'f Path,
    memory: &'f ReloadState,
}

impl Reader<'_> {
    fn field(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
    }

    fn read(&self) -> Result<Transmitter, SettingsError> {
        let table = self.table;
        let issuer = table.issuer.get_ref().as_str();
        let mut transmitter = match &table.jwks_url {
            None => Transmitter::discover(issuer),
            Some(url) => Transmitter::new(issuer).jwks_url(url.get_ref().as_str()),
        };
        transmitter = transmitter
            .audience(table.audience.get_ref().as_str())
            .fetched_keys(self.memory.fetched_keys());
        let (file, variable) = (
            self.field("authorization_file"),
            self.field("authorization_env"),
        );
        let secret = secret::read(
            (&file, table.authorization_file.as_ref()),
            (&variable, table.authorization_env.as_ref()),
            self.source,
            self.folder,
        )?;
        if let Some(secret) = secret {
            let text = String::from_utf8(secret.bytes).map_err(|_| {
                let message = "the value must be ASCII text";
                self.source
                    .error(secret.span.clone(), secret.field, message)
            })?;
            transmitter = transmitter.authorization(text);
        }
        for issuer in table.tokens_of.iter().flat_map(Spanned::get_ref) {
            transmitter = transmitter.tokens_of(issuer.get_ref().as_str());
        }
        let names = table.algorithms.as_ref();
        if let Some(algorithms) = algorithms(names, &self.field("algorithms"), self.source)? {
            transmitter = transmitter.algorithms(algorithms);
        }
        if table.tokens_have_sid {
            transmitter = transmitter.tokens_have_sid();
        }
        if table.danger_allow_plain_http {
            transmitter = transmitter.danger_allow_plain_http();
        }
        Ok(transmitter)
    }

    /// Builds a receiver of this transmitter alone, to find the field that an error is about.
    fn check(
        &self,
        builder: EventReceiverBuilder,
        token_lifetime: Option<&Spanned<u64>>,
    ) -> Result<(), SettingsError> {
        let Err(error) = builder.build() else {
            return Ok(());
        };
        let table = self.table;
        let (span, field) = match (error.kind(), token_lifetime) {
            (ConfigErrorKind::SecurityEvents, Some(seconds)) if error.issuer().is_none() => {
                (seconds.span(), "revocation.token_lifetime".to_owned())
            }
            (ConfigErrorKind::SecurityEvents, _) => self.culprit(),
            _ => match &table.jwks_url {
                Some(url) => (url.span(), self.field("jwks_url")),
                None => (table.issuer.span(), self.field("issuer")),
            },
        };
        Err(self.source.error(span, field, explain(&error)))
    }

    fn culprit(&self) -> (Range<usize>, String) {
        let table = self.table;
        let is_empty = |text: &Spanned<String>| text.get_ref().is_empty();
        let tokens_of = table.tokens_of.as_ref();
        if is_empty(&table.issuer) {
            (table.issuer.span(), self.field("issuer"))
        } else if let Some(list) = tokens_of.filter(|list| list.get_ref().iter().any(is_empty)) {
            (list.span(), self.field("tokens_of"))
        } else if is_empty(&table.audience) {
            (table.audience.span(), self.field("audience"))
        } else if let Some(file) = &table.authorization_file {
            (file.span(), self.field("authorization_file"))
        } else {
            let span = table.authorization_env.as_ref().map_or(0..0, Spanned::span);
            (span, self.field("authorization_env"))
        }
    }
}

/// Adds the status lists of an issuer.
pub(super) fn with_status_lists(tokens: Issuer, issuer: &IssuerTable) -> Issuer {
    let Some(table) = &issuer.status_list else {
        return tokens;
    };
    let table = table.get_ref();
    let mut lists = StatusLists::at(
        table
            .origins
            .get_ref()
            .iter()
            .map(|origin| origin.get_ref().as_str()),
    );
    if let Some(seconds) = &table.max_age {
        lists = lists.max_age(Duration::from_secs(*seconds.get_ref()));
    }
    if let Some(bytes) = &table.max_size {
        lists = lists.max_size(*bytes.get_ref());
    }
    tokens.status_lists(lists)
}

/// Returns the field of `[issuer.status_list]` that an error is about.
pub(super) fn status_list_culprit(
    error: &ConfigError,
    issuers: &[Spanned<IssuerTable>],
) -> (Range<usize>, String) {
    let found = issuers.iter().enumerate().find_map(|(index, issuer)| {
        let issuer = issuer.get_ref();
        let is_named = error
            .issuer()
            .is_none_or(|name| name == issuer.url.get_ref());
        let table = issuer.status_list.as_ref().filter(|_| is_named)?.get_ref();
        let seconds = 20..=3600;
        let (span, name) = match (&table.max_age, &table.max_size) {
            (Some(max_age), _) if !seconds.contains(max_age.get_ref()) => {
                (max_age.span(), "max_age")
            }
            (_, Some(max_size))
                if !table.origins.get_ref().is_empty()
                    && error.to_string().contains("max_size") =>
            {
                (max_size.span(), "max_size")
            }
            _ => (table.origins.span(), "origins"),
        };
        Some((span, format!("issuer[{index}].status_list.{name}")))
    });
    found.unwrap_or((0..0, String::new()))
}
