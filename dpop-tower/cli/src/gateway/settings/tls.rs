//! Reads the TLS settings of the listener, and lists the files of all TLS settings.

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    ops::Range,
    path::{Path, PathBuf},
};

use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file::{ClientCertificates, File, Tls, UpstreamTls},
};
use crate::gateway::tls::{Clients, ServerFiles, ServerTls, TlsError};

pub(super) fn server(
    file: &File,
    source: &Source,
    folder: &Path,
    warnings: &mut Vec<String>,
) -> Result<Option<ServerTls>, SettingsError> {
    let Some(table) = &file.tls else {
        return Ok(None);
    };
    let tls = table.get_ref();
    if file.listen.is_none() {
        let message = "there is no `listen` to use it: it is not for proxies that ask";
        return Err(source.error(table.span(), "tls", message));
    }
    let clients = match (&tls.client_ca_file, &tls.client_certificates) {
        (None, None) => None,
        (None, Some(field)) => {
            let message = "`client_ca_file` has to say whose certificates are accepted";
            return Err(source.error(field.span(), "tls.client_certificates", message));
        }
        (Some(ca), field) => Some(Clients {
            ca: folder.join(ca.get_ref()),
            is_required: field
                .as_ref()
                .is_none_or(|field| *field.get_ref() == ClientCertificates::Required),
        }),
    };
    let files = ServerFiles {
        certificate: folder.join(tls.certificate_file.get_ref()),
        key: folder.join(tls.key_file.get_ref()),
        clients,
    };
    let place = |field: &str, message: &str| {
        source.error(tls.span_of(field), format!("tls.{field}"), message)
    };
    let read =
        ServerTls::read(&files).map_err(|TlsError { field, message }| place(field, &message))?;
    let told = read.warnings().iter();
    warnings.extend(told.map(|(field, message)| place(field, message).to_string()));
    Ok(Some(read))
}

impl Tls {
    fn span_of(&self, field: &str) -> Range<usize> {
        let optional = match field {
            "key_file" => Some(&self.key_file),
            "client_ca_file" => self.client_ca_file.as_ref(),
            _ => None,
        };
        optional.unwrap_or(&self.certificate_file).span()
    }
}

/// Returns the files with certificates and private keys that a configuration names, those for encrypted tokens
/// included. Their changes apply at once.
///
/// Returns no files if the configuration cannot be read.
pub(crate) fn files_of(text: &str, path: &Path) -> Vec<PathBuf> {
    let source = Source {
        name: String::new(),
        text: text.to_owned(),
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    super::deserialize(&source).map_or_else(|_| Vec::new(), |file| files(&file, folder))
}

pub(super) fn files(file: &File, folder: &Path) -> Vec<PathBuf> {
    let server = file.tls.iter().map(Spanned::get_ref).flat_map(|tls| {
        let both = [Some(&tls.certificate_file), Some(&tls.key_file)];
        both.into_iter().chain([tls.client_ca_file.as_ref()])
    });
    let of_routes = file
        .route
        .iter()
        .filter_map(|route| route.get_ref().upstream_tls.as_ref());
    let upstreams = file.upstream_tls.iter().chain(of_routes);
    let upstreams = upstreams.map(Spanned::get_ref).flat_map(UpstreamTls::files);
    let issuers = file.issuer.get_ref().iter().map(Spanned::get_ref);
    let decryption = issuers.filter_map(|issuer| issuer.jwe_keys_file.as_ref());
    let all = (server.chain(upstreams).flatten())
        .chain(decryption)
        .chain(&file.nonces.secrets_file);
    all.map(|path| folder.join(path.get_ref())).collect()
}

impl UpstreamTls {
    fn files(&self) -> [Option<&Spanned<PathBuf>>; 3] {
        [
            self.ca_file.as_ref(),
            self.client_certificate_file.as_ref(),
            self.client_key_file.as_ref(),
        ]
    }
}

/// A hash of the content of files, which shows whether it has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint(u64);

impl Fingerprint {
    pub(crate) fn of(files: &[PathBuf]) -> Self {
        let mut hasher = DefaultHasher::new();
        for path in files {
            (path, fs::read(path).ok()).hash(&mut hasher);
        }
        Self(hasher.finish())
    }
}
