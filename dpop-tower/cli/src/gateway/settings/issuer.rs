//! `[[issuer]]`: an issuer of access tokens, and which of its fields an error is about.

use std::{ops::Range, path::Path, time::Duration};

use dpop_tower::{ConfigError, ConfigErrorKind, Issuer, crypto::Algorithm};
use toml::Spanned;

use super::{
    decryption::with_decryption,
    error::{SettingsError, Source},
    file::IssuerTable,
    keys, types,
};
use crate::gateway::reload_state::ReloadState;

/// Returns an issuer with its settings, except those for opaque tokens.
pub(super) fn tokens(
    index: usize,
    issuer: &IssuerTable,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
) -> Result<Issuer, SettingsError> {
    let url = issuer.url.get_ref().as_str();
    let mut tokens = match (&issuer.jwks_url, &issuer.jwks_file) {
        (None, None) => Issuer::discover(url),
        (Some(jwks), None) => Issuer::new(url).jwks_url(jwks.get_ref().as_str()),
        (None, Some(file)) => Issuer::new(url).jwks_file(folder.join(file.get_ref())),
        (Some(_), Some(file)) => {
            let field = format!("issuer[{index}].jwks_file");
            return Err(source.error(file.span(), field, "`jwks_url` is already set"));
        }
    };
    tokens = tokens.fetched_keys(memory.fetched_keys());
    for audience in issuer.audiences.get_ref() {
        tokens = tokens.audience(audience.as_str());
    }
    let field = |name: &str| format!("issuer[{index}].{name}");
    let names = issuer.algorithms.as_ref();
    if let Some(algorithms) = algorithms(names, &field("algorithms"), source)? {
        tokens = tokens.algorithms(algorithms);
    }
    match (&issuer.leeway, &issuer.danger_leeway) {
        (None, None) => {}
        (Some(leeway), None) => {
            tokens = tokens.leeway(Duration::from_secs(*leeway.get_ref()));
        }
        (None, Some(leeway)) => {
            tokens = tokens.danger_leeway(Duration::from_secs(*leeway.get_ref()));
        }
        (Some(_), Some(danger)) => {
            let message = "`leeway` is already set";
            return Err(source.error(danger.span(), field("danger_leeway"), message));
        }
    }
    if let Some(claim) = &issuer.scope_claim {
        tokens = tokens.scope_claim(claim.get_ref().as_str());
    }
    if let Some(claim) = &issuer.client_id_claim {
        tokens = tokens.client_id_claim(claim.get_ref().as_str());
    }
    if issuer.danger_allow_plain_http {
        tokens = tokens.danger_allow_plain_http();
    }
    if issuer.danger_allow_plain_http_to_any_host {
        tokens = tokens.danger_allow_plain_http_to_any_host();
    }
    if let Some(table) = &issuer.key_fetching {
        let fetching = keys::fetching(table.get_ref(), &field("key_fetching"), source)?;
        tokens = tokens.key_fetching(fetching);
    }
    tokens = with_decryption(tokens, issuer, &field(""), source, folder)?;
    types::with_types(tokens, issuer, &field(""), source)
}

/// Returns the algorithms that a field lists, or `None` without the field.
pub(super) fn algorithms(
    names: Option<&Spanned<Vec<Spanned<String>>>>,
    field: &str,
    source: &Source,
) -> Result<Option<Vec<Algorithm>>, SettingsError> {
    let Some(names) = names else {
        return Ok(None);
    };
    if names.get_ref().is_empty() {
        let message = "no algorithm is allowed: list some, or leave the field out for the default";
        return Err(source.error(names.span(), field, message));
    }
    let parse = |(index, name): (usize, &Spanned<String>)| {
        Algorithm::from_name(name.get_ref()).ok_or_else(|| {
            let known: Vec<_> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
            let message = format!(
                "the algorithm {:?} is not known, or not asymmetric; these are: {}",
                name.get_ref(),
                known.join(", ")
            );
            source.error(name.span(), format!("{field}[{index}]"), message)
        })
    };
    names
        .get_ref()
        .iter()
        .enumerate()
        .map(parse)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Returns the place of the only `introspection` table.
pub(super) fn introspected(issuers: &[Spanned<IssuerTable>]) -> (Range<usize>, String) {
    let mut tables = issuers.iter().enumerate();
    let found = tables.find_map(|(index, issuer)| {
        let table = issuer.get_ref().introspection.as_ref()?;
        let prefix = format!("issuer[{index}].introspection");
        Some(match &table.get_ref().url {
            Some(url) => (url.span(), format!("{prefix}.url")),
            None => (table.span(), prefix),
        })
    });
    found.unwrap_or((0..0, String::new()))
}

/// Returns the field of an issuer that an error is about. All other fields were checked before.
pub(super) fn culprit(
    error: &ConfigError,
    issuers: &[Spanned<IssuerTable>],
) -> (Range<usize>, String) {
    let is_named = |issuer: &Spanned<IssuerTable>| {
        // With only one issuer, the error does not name it.
        (error.issuer()).is_none_or(|name| name == issuer.get_ref().url.get_ref())
    };
    let mut tables = issuers.iter().enumerate();
    let Some((index, issuer)) = tables.find(|(_, issuer)| is_named(issuer)) else {
        return (0..0, String::new());
    };
    let issuer = issuer.get_ref();
    let of_issuer = |name: &str| format!("issuer[{index}].{name}");
    let keys = (issuer
        .jwks_url
        .as_ref()
        .map(|url| (url.span(), of_issuer("jwks_url"))))
    .or(issuer
        .jwks_file
        .as_ref()
        .map(|file| (file.span(), of_issuer("jwks_file"))))
    .unwrap_or((issuer.url.span(), of_issuer("url")));
    match error.kind() {
        ConfigErrorKind::AccessTokens if !issuer.names_an_audience() => {
            (issuer.audiences.span(), of_issuer("audiences"))
        }
        ConfigErrorKind::AccessTokens if issuer.url.get_ref().is_empty() => {
            (issuer.url.span(), of_issuer("url"))
        }
        // The algorithms of proofs have errors that name no issuer.
        ConfigErrorKind::Algorithms if error.issuer().is_some() => {
            let span = issuer.algorithms.as_ref().map(Spanned::span);
            (
                span.unwrap_or_else(|| issuer.url.span()),
                of_issuer("algorithms"),
            )
        }
        ConfigErrorKind::Issuer => (issuer.url.span(), of_issuer("url")),
        ConfigErrorKind::AccessTokens | ConfigErrorKind::Keys => keys,
        ConfigErrorKind::Decryption => {
            let span = issuer.jwe_keys_file.as_ref().map_or(0..0, Spanned::span);
            (span, of_issuer("jwe_keys_file"))
        }
        ConfigErrorKind::KeyFetching => {
            let span = issuer.key_fetching.as_ref().map_or(0..0, Spanned::span);
            (span, of_issuer("key_fetching"))
        }
        ConfigErrorKind::ScopeClaim => {
            let span = issuer.scope_claim.as_ref().map_or(0..0, Spanned::span);
            (span, of_issuer("scope_claim"))
        }
        ConfigErrorKind::ClientIdClaim => {
            let span = (issuer.client_id_claim.as_ref()).map_or(0..0, Spanned::span);
            (span, of_issuer("client_id_claim"))
        }
        ConfigErrorKind::TokenType => {
            let (span, field) = types::culprit(error, issuer);
            (span, of_issuer(&field))
        }
        ConfigErrorKind::Window => match (&issuer.leeway, &issuer.danger_leeway) {
            (Some(leeway), _) => (leeway.span(), of_issuer("leeway")),
            (None, leeway) => {
                let span = leeway.as_ref().map_or(0..0, Spanned::span);
                (span, of_issuer("danger_leeway"))
            }
        },
        _ => (0..0, String::new()),
    }
}

impl IssuerTable {
    fn names_an_audience(&self) -> bool {
        let audiences = self.audiences.get_ref();
        !audiences.is_empty() && !audiences.iter().any(String::is_empty)
    }
}
