//! Reads the settings of issuers, proofs, nonces and the headers that tell the upstream who called.

use std::{
    collections::HashSet,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dpop_tower::{
    ConfigError, ConfigErrorKind, DpopConfig, Issuer,
    crypto::Algorithm,
    nonce::{NonceSecret, StatelessNonces},
    target::TargetUri,
};
use toml::Spanned;

use super::{
    certificates,
    decryption::with_decryption,
    error::{SettingsError, Source, explain},
    file::{File, IssuerTable, NonceMode},
    introspection, keys,
    policies::policy,
    proof::with_window,
    revocation, secret, types,
};
use crate::gateway::{
    identity::{Identity, IdentityError},
    reload_state::ReloadState,
};

/// Returns the headers that tell the upstream who called.
pub(super) fn identity(file: &File, source: &Source) -> Result<Identity, SettingsError> {
    let usual = Spanned::new(0..0, Identity::usual_thumbprint().to_owned());
    let thumbprint = file.identity.thumbprint.as_ref().unwrap_or(&usual);
    let rejected = |header: &Spanned<String>, field: &str, error: IdentityError| {
        source.error(header.span(), field, error.to_string())
    };
    let mut identity = Identity::thumbprint_in(thumbprint.get_ref())
        .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?;
    let is_usual = file.identity.claims.is_none();
    match &file.identity.principal {
        Some(principal) => identity
            .principal_in(principal.get_ref())
            .map_err(|error| rejected(principal, "identity.principal", error))?,
        None if is_usual => identity
            .principal_in(Identity::usual_principal())
            .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?,
        None => {}
    }
    let is_ambiguous = file.issuer.get_ref().len() > 1;
    match &file.identity.claims {
        Some(claims) => {
            // Sorted as in the file, so that an error is about the second of two claims that conflict.
            let mut claims: Vec<_> = claims.iter().collect();
            claims.sort_by_key(|(_, header)| header.span().start);
            let names_issuer = file.identity.principal.is_some()
                || claims.iter().any(|(claim, _)| *claim == "iss");
            for (claim, header) in claims {
                let field = format!("identity.claims.{claim}");
                if is_ambiguous && !names_issuer && Identity::is_unique_per_issuer(claim) {
                    let message = format!(
                        "with several issuers, `{claim}` alone does not tell who called: set \
                         `identity.principal`, or add the claim `iss`"
                    );
                    return Err(source.error(header.span(), field, message));
                }
                identity
                    .claim_in(claim, header.get_ref())
                    .map_err(|error| rejected(header, &field, error))?;
            }
        }
        None => {
            for (claim, header) in Identity::usual_claims() {
                // An upstream that was written for one issuer must not mistake a subject of another issuer for
                // one of its own.
                if is_ambiguous && Identity::is_unique_per_issuer(claim) {
                    continue;
                }
                identity
                    .claim_in(claim, header)
                    .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?;
            }
        }
    }
    Ok(identity)
}

/// Returns the configuration, in which every issuer has its own keys, audiences and algorithms.
pub(super) fn config(
    file: &File,
    source: &Source,
    folder: &Path,
    memory: &ReloadState,
    target: &Arc<dyn TargetUri>,
) -> Result<DpopConfig, SettingsError> {
    let issuers = file.issuer.get_ref();
    if issuers.is_empty() {
        let message = "name an issuer of access tokens";
        return Err(source.error(file.issuer.span(), "issuer", message));
    }
    introspection::check_only_one(issuers, source)?;
    let parts = Parts {
        file,
        source,
        folder,
        memory,
        target,
    };
    parts.build(true, true)?.map_err(|error| {
        // Errors about JWTs, introspection and status lists look alike. An error that is gone without introspection
        // is about introspection.
        let is_about_introspection = matches!(parts.build(false, true), Ok(Ok(_)));
        let is_about_status_lists = matches!(parts.build(true, false), Ok(Ok(_)));
        let (span, field) = match (error.kind(), &file.nonces.accept_for_iat) {
            (ConfigErrorKind::Nonces, Some(accept)) => {
                (accept.span(), "nonces.accept_for_iat".to_owned())
            }
            _ if is_about_introspection => introspected(issuers),
            _ if is_about_status_lists => revocation::status_list_culprit(&error, issuers),
            _ => culprit(&error, issuers),
        };
        source.error(span, field, explain(&error))
    })
}

struct Parts<'f> {
    file: &'f File,
    source: &'f Source,
    folder: &'f Path,
    memory: &'f ReloadState,
    target: &'f Arc<dyn TargetUri>,
}

impl Parts<'_> {
    fn build(
        &self,
        with_introspection: bool,
        with_status_lists: bool,
    ) -> Result<Result<DpopConfig, ConfigError>, SettingsError> {
        let Parts {
            file,
            source,
            folder,
            memory,
            target,
        } = self;
        let algorithms = algorithms(file.proof.algorithms.as_ref(), "proof.algorithms", source)?;
        let nonces = nonces(file, source, folder, memory)?;
        let mut urls = HashSet::new();
        let mut issuers = Vec::new();
        for (index, issuer) in file.issuer.get_ref().iter().enumerate() {
            let issuer = issuer.get_ref();
            if !urls.insert(issuer.url.get_ref()) {
                let message = "this issuer is listed twice; give all of its audiences in one place";
                let field = format!("issuer[{index}].url");
                return Err(source.error(issuer.url.span(), field, message));
            }
            let mut tokens = tokens(index, issuer, source, folder, memory)?;
            if let (Some(table), true) = (&issuer.introspection, with_introspection) {
                let prefix = format!("issuer[{index}].introspection");
                let table = table.get_ref();
                tokens = tokens.opaque_tokens(introspection::introspection(
                    table, issuer, &prefix, source, folder,
                )?);
            }
            if with_status_lists {
                tokens = revocation::with_status_lists(tokens, issuer);
            }
            issuers.push(tokens);
        }
        let config = DpopConfig::builder(Arc::clone(target), issuers)
            .policy(policy(file.mode))
            .replay_store(memory.proofs())
            .revocation_list(memory.revocations());
        let mut config = with_window(config, file, source)?;
        if let Some(certificates) = certificates::of_trusted_proxies(file, source)? {
            config = config.client_certificates(certificates);
        }
        if let Some(algorithms) = &algorithms {
            config = config.algorithms(algorithms.iter().copied());
        }
        config = match file.nonces.mode {
            NonceMode::Off => config.nonce_source(nonces),
            NonceMode::Required => config.nonce_source(nonces).require_nonces(),
        };
        let for_iat = file.nonces.accept_for_iat.as_ref();
        if for_iat.is_some_and(|accept| *accept.get_ref()) {
            config = config.accept_nonce_for_iat();
        }
        Ok(config.build())
    }
}

/// Returns the place of the only `introspection` table.
fn introspected(issuers: &[Spanned<IssuerTable>]) -> (Range<usize>, String) {
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
fn culprit(error: &ConfigError, issuers: &[Spanned<IssuerTable>]) -> (Range<usize>, String) {
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

fn tokens(
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
            return Err(source.error(file.span(), field, "there is a `jwks_url` already"));
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
            let message = "there is a `leeway` already";
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

/// Returns the source of the nonces of all issuers. Nodes whose files name the same secret share their nonces.
fn nonces(
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
            let message = "it is from 1 to 86400 seconds";
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
