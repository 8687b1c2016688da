//! `[issuer.introspection]`: how the issuer is asked about opaque tokens.

use std::{fs, path::Path, time::Duration};

use dpop_tower::token::{ClientSecret, ClientSigningKey, Introspection};
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{self, IssuerTable},
    secret,
};

/// Returns the introspection of an issuer. The library checks the values that are not read here.
pub(super) fn introspection(
    table: &file::Introspection,
    issuer: &IssuerTable,
    prefix: &str,
    source: &Source,
    folder: &Path,
) -> Result<Introspection, SettingsError> {
    let field = |name: &str| format!("{prefix}.{name}");
    let url = issuer.url.get_ref().as_str();
    let mut introspection = match &table.url {
        None => Introspection::discover(url),
        Some(endpoint) => Introspection::new(url).endpoint(endpoint.get_ref().as_str()),
    };
    for audience in issuer.audiences.get_ref() {
        introspection = introspection.audience(audience.as_str());
    }
    let client_id = table.client_id.get_ref().as_str();
    let (file_field, env_field) = (field("client_secret_file"), field("client_secret_env"));
    let secret = secret::read(
        (&file_field, table.client_secret_file.as_ref()),
        (&env_field, table.client_secret_env.as_ref()),
        source,
        folder,
    )?;
    introspection = match (secret, &table.client_key_file) {
        (Some(secret), None) => {
            let rejected =
                |message: String| source.error(secret.span.clone(), secret.field, message);
            let text = String::from_utf8(secret.bytes.clone())
                .map_err(|_| rejected("the secret must be UTF-8 text".to_owned()))?;
            let secret = ClientSecret::new(text).map_err(|error| rejected(explain(&error)))?;
            introspection.client_secret_basic(client_id, secret)
        }
        (None, Some(file)) => {
            let key = signing_key(&folder.join(file.get_ref()))
                .map_err(|message| source.error(file.span(), field("client_key_file"), message))?;
            introspection.private_key_jwt(client_id, key)
        }
        (Some(_), Some(file)) => {
            let message = "a client secret is already set";
            return Err(source.error(file.span(), field("client_key_file"), message));
        }
        (None, None) => {
            let message = "set `client_secret_file`, `client_secret_env` or `client_key_file`, by which the gateway \
                 authenticates";
            return Err(source.error(table.client_id.span(), field("client_id"), message));
        }
    };
    if let Some(seconds) = &table.cache_for {
        introspection = introspection.cache_for(Duration::from_secs(*seconds.get_ref()));
    }
    if table.signed_responses {
        introspection = introspection.signed_responses();
    }
    if table.danger_accept_missing_audience {
        introspection = introspection.danger_accept_missing_audience();
    }
    if issuer.danger_allow_plain_http {
        introspection = introspection.danger_allow_plain_http();
    }
    Ok(introspection)
}

/// Reads a private key, as a JWK or as PKCS#8 in PEM. No error contains a part of the file.
fn signing_key(path: &Path) -> Result<ClientSigningKey, String> {
    let text =
        fs::read_to_string(path).map_err(|error| format!("the file cannot be read: {error}"))?;
    let key = if text.trim_start().starts_with('{') {
        ClientSigningKey::from_jwk(&text)
    } else {
        ClientSigningKey::from_pkcs8_pem(&text)
    };
    key.map_err(|error| explain(&error))
}

/// Rejects a second issuer with opaque tokens, which do not name their issuer.
pub(super) fn check_only_one(
    issuers: &[Spanned<IssuerTable>],
    source: &Source,
) -> Result<(), SettingsError> {
    let tables = issuers.iter().enumerate();
    let mut tables = tables.filter_map(|(index, issuer)| {
        let table = issuer.get_ref().introspection.as_ref()?;
        Some((index, table))
    });
    match (tables.next(), tables.next()) {
        (Some(_), Some((index, table))) => {
            let message =
                "only one issuer can have opaque tokens, since they do not name their issuer";
            Err(source.error(
                table.span(),
                format!("issuer[{index}].introspection"),
                message,
            ))
        }
        _ => Ok(()),
    }
}
