//! Connections to one server. A connection that is lost is lost for good: a silent reconnect could reach another
//! server.

use std::{fmt, time::Duration};

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo,
    RedisError, aio::MultiplexedConnection,
};

use super::{
    errors::failure,
    location::{Credentials, Host, Location},
};
use crate::{
    error::{ConfigError, ConfigErrorKind},
    replay::shared::Failure,
};

/// How to connect.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<Tls>,
    credentials: Credentials,
    database: i64,
    time_out: Duration,
}

impl Connector {
    pub(super) fn new(
        location: &Location,
        root_certificates: Option<&str>,
        time_out: Duration,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            tls: location
                .tls
                .then(|| Tls::new(root_certificates))
                .transpose()?,
            credentials: location.credentials.clone(),
            database: location.database,
            time_out,
        })
    }

    /// Returns how to connect to sentinels, which have no databases and passwords of their own.
    pub(super) fn for_sentinels(&self, credentials: Credentials) -> Self {
        Self {
            credentials,
            database: 0,
            ..self.clone()
        }
    }

    pub(super) async fn connect(&self, host: &Host) -> Result<MultiplexedConnection, Failure> {
        self.client(host)
            .map_err(|error| failure(&error))?
            .get_multiplexed_async_connection_with_config(
                &AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.time_out))
                    .set_response_timeout(Some(self.time_out)),
            )
            .await
            .map_err(|error| Failure::session(failure(&error).to_string()))
    }

    fn client(&self, host: &Host) -> Result<Client, RedisError> {
        // Names of the library would need a right of their own.
        let mut settings = RedisConnectionInfo::default()
            .set_db(self.database)
            .set_skip_set_lib_name();
        if let Some(user) = &self.credentials.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &self.credentials.password {
            settings = settings.set_password(password);
        }
        let Some(tls) = &self.tls else {
            let address = ConnectionAddr::Tcp(host.name.clone(), host.port);
            return Client::open(address.into_connection_info()?.set_redis_settings(settings));
        };
        let address = ConnectionAddr::TcpTls {
            host: host.name.clone(),
            port: host.port,
            insecure: false,
            tls_params: None,
        };
        tls.client(address.into_connection_info()?.set_redis_settings(settings))
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("tls", &self.tls.is_some())
            .field("time_out", &self.time_out)
            .finish_non_exhaustive()
    }
}

/// The certificates that connections trust.
#[derive(Clone)]
struct Tls {
    #[cfg_attr(
        not(any(feature = "aws-lc-rs", feature = "josekit")),
        expect(dead_code, reason = "there is no TLS")
    )]
    roots: Option<Vec<u8>>,
}

impl Tls {
    fn new(roots: Option<&str>) -> Result<Self, ConfigError> {
        let wrong = |what: &'static str| {
            ConfigError::new(
                ConfigErrorKind::Replay,
                format!("the root certificates of the replay store {what}"),
            )
        };
        if roots.is_some_and(|roots| !roots.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(wrong("contain no certificate in PEM"));
        }
        prepare();
        let tls = Self {
            roots: match roots {
                Some(roots) => Some(roots.as_bytes().to_vec()),
                None => system_roots(),
            },
        };
        // Reads the certificates now rather than with each connection.
        let address = ConnectionAddr::TcpTls {
            host: "localhost".to_owned(),
            port: 0,
            insecure: false,
            tls_params: None,
        };
        address
            .into_connection_info()
            .and_then(|info| tls.client(info))
            .map_err(|error| wrong("cannot be read").with_source(error.to_string()))?;
        Ok(tls)
    }

    #[cfg(any(feature = "aws-lc-rs", feature = "josekit"))]
    fn client(&self, info: redis::ConnectionInfo) -> Result<Client, RedisError> {
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: self.roots.clone(),
        };
        Client::build_with_tls(info, certificates)
    }

    /// Is not reached, because a URL with TLS is an error in this build.
    #[cfg(not(any(feature = "aws-lc-rs", feature = "josekit")))]
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    fn client(&self, info: redis::ConnectionInfo) -> Result<Client, RedisError> {
        Client::open(info)
    }
}

/// rustls takes its backend from the process, and panics if several are compiled in and none was chosen.
#[cfg(feature = "aws-lc-rs")]
fn prepare() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Another thread may have been faster, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

#[cfg(not(feature = "aws-lc-rs"))]
const fn prepare() {}

/// With rustls, the connection trusts only what it is given if OpenSSL is compiled in as well.
#[cfg(feature = "aws-lc-rs")]
fn system_roots() -> Option<Vec<u8>> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};

    let mut pem = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        pem.push_str(&STANDARD.encode(&certificate));
        pem.push_str("\n-----END CERTIFICATE-----\n");
    }
    Some(pem.into_bytes())
}

/// OpenSSL knows the system's certificates.
#[cfg(not(feature = "aws-lc-rs"))]
const fn system_roots() -> Option<Vec<u8>> {
    None
}
