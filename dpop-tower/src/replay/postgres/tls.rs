//! TLS to the server, which is always verified.

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use tokio_postgres::{Config, NoTls, config::SslMode};

use super::PostgresTls;
use crate::error::{ConfigError, ConfigErrorKind};

/// Makes the connections of a pool.
#[derive(Clone)]
pub(super) enum Tls {
    None,
    #[cfg(feature = "postgres-native-tls")]
    Native(postgres_native_tls::MakeTlsConnector),
    #[cfg(feature = "postgres-rustls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl Tls {
    /// Sets up what `config` needs. `roots` are PEM certificates in place of the system's.
    pub(super) fn new(
        config: &Config,
        chosen: Option<PostgresTls>,
        roots: Option<&[u8]>,
    ) -> Result<Self, ConfigError> {
        if config.get_ssl_mode() == SslMode::Disable {
            return match roots {
                Some(_) => Err(error(
                    "root certificates are given, but the connection is without TLS: set `sslmode=verify-full` in the \
                     URL",
                )),
                None => Ok(Self::None),
            };
        }
        match chosen.or_else(PostgresTls::default_of_the_build) {
            #[cfg(feature = "postgres-native-tls")]
            Some(PostgresTls::Native) => native(roots).map(Self::Native),
            #[cfg(feature = "postgres-rustls")]
            Some(PostgresTls::Rustls) => rustls(roots).map(Self::Rustls),
            None => Err(error(
                "the URL asks for TLS, which needs the feature `postgres-native-tls` or `postgres-rustls`; a \
                 connection without TLS has to be asked for with `sslmode=disable`",
            )),
        }
    }

    pub(super) fn manager(&self, config: Config) -> Manager {
        // A connection that hangs is found by the time-out of the call, and dropped.
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        match self {
            Self::None => Manager::from_config(config, NoTls, how),
            #[cfg(feature = "postgres-native-tls")]
            Self::Native(tls) => Manager::from_config(config, tls.clone(), how),
            #[cfg(feature = "postgres-rustls")]
            Self::Rustls(tls) => Manager::from_config(config, tls.clone(), how),
        }
    }
}

fn error(message: &'static str) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Replay, message)
}

#[cfg(any(feature = "postgres-native-tls", feature = "postgres-rustls"))]
const NOT_CERTIFICATES: &str = "the root certificates for PostgreSQL are not certificates in PEM";

#[cfg(feature = "postgres-native-tls")]
fn native(roots: Option<&[u8]>) -> Result<postgres_native_tls::MakeTlsConnector, ConfigError> {
    let mut builder = native_tls::TlsConnector::builder();
    builder.min_protocol_version(Some(native_tls::Protocol::Tlsv12));
    if let Some(pem) = roots {
        let roots = native_tls::Certificate::stack_from_pem(pem)
            .map_err(|invalid| error(NOT_CERTIFICATES).with_source(invalid))?;
        if roots.is_empty() {
            return Err(error(NOT_CERTIFICATES));
        }
        builder.disable_built_in_roots(true);
        for root in roots {
            builder.add_root_certificate(root);
        }
    }
    let connector = builder
        .build()
        .map_err(|failed| error("TLS to PostgreSQL cannot be set up").with_source(failed))?;
    Ok(postgres_native_tls::MakeTlsConnector::new(connector))
}

#[cfg(feature = "postgres-rustls")]
fn rustls(roots: Option<&[u8]>) -> Result<tokio_postgres_rustls::MakeRustlsConnect, ConfigError> {
    use ::rustls::{
        ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, pem::PemObject as _},
    };

    let mut store = RootCertStore::empty();
    if let Some(pem) = roots {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            certificate
                .map_err(|invalid| error(NOT_CERTIFICATES).with_source(invalid))
                .and_then(|certificate| {
                    store
                        .add(certificate)
                        .map_err(|invalid| error(NOT_CERTIFICATES).with_source(invalid))
                })?;
        }
        if store.is_empty() {
            return Err(error(NOT_CERTIFICATES));
        }
    } else {
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    // The provider of the process may be missing, or not be the one of this crate.
    let config = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(|failed| error("TLS to PostgreSQL cannot be set up").with_source(failed))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(tokio_postgres_rustls::MakeRustlsConnect::new(config))
}
