//! Builds the configuration: the profile, and what the file says about issuers, proofs and nonces.

use std::{collections::HashSet, path::Path, sync::Arc};

use dpop_tower::{ConfigErrorKind, DpopConfig, DpopConfigBuilder, Issuer, target::TargetUri};

use super::{
    certificates,
    error::{SettingsError, Source, explain},
    file::{File, NonceMode, ProfileName},
    introspection, issuer, metadata,
    nonces::nonces,
    policies::policy,
    proof::with_window,
    revocation,
};
use crate::gateway::reload_state::ReloadState;

/// Returns the configuration, in which every issuer has its own keys, audiences and algorithms.
pub(super) fn config(
    file: &File,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
    target: &Arc<dyn TargetUri>,
) -> Result<DpopConfig, SettingsError> {
    let tables = file.issuer.get_ref();
    if tables.is_empty() {
        let message = "name an issuer of access tokens";
        return Err(source.error(file.issuer.span(), "issuer", message));
    }
    introspection::check_only_one(tables, source)?;
    let algorithms =
        issuer::algorithms(file.proof.algorithms.as_ref(), "proof.algorithms", source)?;
    let nonces = nonces(file, source, folder, memory)?;
    let issuers = issuers(file, source, folder, memory)?;
    let config = preset(file.profile, Arc::clone(target), issuers)
        .policy(policy(file.mode))
        .replay_store(memory.proofs().store());
    let mut config = with_window(config, file, source)?;
    if let Some(certificates) = certificates::of_trusted_proxies(file, source)? {
        config = config.client_certificates(certificates);
    }
    let revocations = memory.revocations();
    // A list to which nothing is ever added is no source of revocation, so a profile must not see it.
    if revocation::has_transmitters(file) || !revocations.is_empty() {
        config = config.revocation_list(revocations);
    }
    if let Some(algorithms) = algorithms {
        config = config.algorithms(algorithms);
    }
    config = match file.nonces.mode {
        NonceMode::Off => config.nonce_source(nonces),
        NonceMode::Required => config.nonce_source(nonces).require_nonces(),
    };
    let for_iat = file.nonces.accept_for_iat.as_ref();
    if for_iat.is_some_and(|accept| *accept.get_ref()) {
        config = config.accept_nonce_for_iat();
    }
    let config = metadata::with_metadata(config, file);
    config.build().map_err(|error| {
        let (span, field) = match (error.kind(), for_iat) {
            (ConfigErrorKind::Nonces, Some(accept)) => {
                (accept.span(), "nonces.accept_for_iat".to_owned())
            }
            (ConfigErrorKind::ResourceMetadata, _) => metadata::culprit(&error, file),
            _ if error.is_about_introspection() => issuer::introspected(tables),
            _ if error.is_about_status_lists() => revocation::status_list_culprit(&error, tables),
            _ => issuer::culprit(&error, tables),
        };
        source.error(span, field, explain(&error))
    })
}

/// Returns a builder with the settings of the profile.
fn preset(
    profile: Option<ProfileName>,
    target: Arc<dyn TargetUri>,
    issuers: Vec<Issuer>,
) -> DpopConfigBuilder {
    match profile {
        None => DpopConfig::builder(target, issuers),
        Some(ProfileName::Atproto) => DpopConfig::atproto(target, issuers),
        Some(ProfileName::Fapi2) => DpopConfig::fapi2(target, issuers),
        Some(ProfileName::Mcp) => DpopConfig::mcp(target, issuers),
    }
}

fn issuers(
    file: &File,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
) -> Result<Vec<Issuer>, SettingsError> {
    let mut urls = HashSet::new();
    let mut issuers = Vec::new();
    for (index, table) in file.issuer.get_ref().iter().enumerate() {
        let table = table.get_ref();
        if !urls.insert(table.url.get_ref()) {
            let message = "this issuer is listed twice; give all of its audiences in one place";
            let field = format!("issuer[{index}].url");
            return Err(source.error(table.url.span(), field, message));
        }
        let mut tokens = issuer::tokens(index, table, source, folder, memory)?;
        if let Some(introspection) = &table.introspection {
            let prefix = format!("issuer[{index}].introspection");
            let introspection = introspection.get_ref();
            tokens = tokens.opaque_tokens(introspection::introspection(
                introspection,
                table,
                &prefix,
                source,
                folder,
            )?);
        }
        issuers.push(revocation::with_status_lists(tokens, table));
    }
    Ok(issuers)
}
