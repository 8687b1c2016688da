//! TLS to upstreams that have TLS settings of their own.

use std::{fmt, sync::Arc};

use hyper_rustls::{ConfigBuilderExt as _, FixedServerNameResolver, HttpsConnector};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig,
    pki_types::ServerName,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};

use super::{
    TlsError, UpstreamFiles,
    files::{certified_key, provider, roots, warnings},
};

/// The authorities and the name that an upstream's certificate needs, and the certificate that the gateway
/// presents to the upstream. Clones are cheap.
#[derive(Clone)]
pub(crate) struct UpstreamTls {
    config: Arc<ClientConfig>,
    server_name: Option<ServerName<'static>>,
    warnings: Arc<[(&'static str, String)]>,
}

impl UpstreamTls {
    pub(crate) fn read(files: &UpstreamFiles) -> Result<Self, TlsError> {
        let provider = provider();
        let server_name = files.server_name.as_ref().map(|name| {
            ServerName::try_from(name.clone()).map_err(|_| {
                TlsError::new("server_name", "it is neither a host name nor an address")
            })
        });
        let server_name = server_name.transpose()?;
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|error| TlsError::new("", error.to_string()))?;
        let builder = match &files.ca {
            // The system's authorities are not added, or a certificate from any of them would be accepted.
            Some(path) => builder.with_root_certificates(roots("ca_file", path)?),
            None => builder.try_with_platform_verifier().map_err(|error| {
                let message = format!("the system's authorities cannot be used: {error}");
                TlsError::new("", message)
            })?,
        };
        let (config, warnings) = match &files.client {
            None => (builder.with_no_client_auth(), Vec::new()),
            Some((certificate, key)) => {
                let field = "client_certificate_file";
                let certified =
                    certified_key((field, certificate), ("client_key_file", key), &provider)?;
                let warnings = warnings(field, &certified.cert, &provider);
                let resolver = Arc::new(SingleCertAndKey::from(certified));
                (builder.with_client_cert_resolver(resolver), warnings)
            }
        };
        Ok(Self {
            config: Arc::new(config),
            server_name,
            warnings: warnings.into(),
        })
    }

    /// Returns the names of fields that work but need attention, each with the reason.
    pub(crate) fn warnings(&self) -> &[(&'static str, String)] {
        &self.warnings
    }

    /// Returns a connector for `https` URLs only.
    pub(crate) fn connector(&self, http: HttpConnector) -> HttpsConnector<HttpConnector> {
        let config = Arc::clone(&self.config);
        match &self.server_name {
            None => {
                let mut connector = HttpsConnector::from((http, config));
                connector.enforce_https();
                connector
            }
            Some(name) => {
                let names = Arc::new(FixedServerNameResolver::new(name.clone()));
                HttpsConnector::new(http, config, true, names)
            }
        }
    }
}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}
