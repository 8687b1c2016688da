//! TLS: where the gateway listens, and to upstreams with settings of their own.
//!
//! rustls with AWS-LC, in every build that has the feature `tls`. A build without it has the same types,
//! of which no value can be made.

use std::{fmt, path::PathBuf, sync::Arc};

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod client;
#[cfg(feature = "tls")]
mod files;
#[cfg(feature = "tls")]
mod server;

#[cfg(not(feature = "tls"))]
pub(crate) use self::absent::{ServerTls, UpstreamTls};
#[cfg(feature = "tls")]
pub(crate) use self::{client::UpstreamTls, server::ServerTls};

/// The certificate with which the client of a connection has authenticated itself, in the extensions of
/// each of its requests.
///
/// The gateway has verified it against `client_ca_file`, and the client has proved that it has the key.
/// There is none if the client has sent no certificate. The hash of it is what `x5t#S256` of a
/// certificate-bound token has to be (RFC 8705 section 3.1).
#[derive(Clone, PartialEq, Eq)]
pub struct ClientCertificate(Arc<[u8]>);

impl ClientCertificate {
    /// Returns the certificate of the client itself, in DER. The rest of the chain is not kept.
    pub fn as_der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").finish_non_exhaustive()
    }
}

/// Where a server has its certificate, and whose clients it accepts.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "nothing is read without TLS")
)]
pub(crate) struct ServerFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) clients: Option<Clients>,
}

/// The certificate authorities of clients, and whether a client needs a certificate.
#[derive(Clone, Debug)]
#[cfg_attr(
    not(feature = "tls"),
    expect(dead_code, reason = "nothing is read without TLS")
)]
pub(crate) struct Clients {
    pub(crate) ca: PathBuf,
    pub(crate) is_required: bool,
}

/// What is special about TLS to one upstream. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    /// The certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// Why TLS cannot be set up.
#[derive(Debug)]
pub(crate) struct TlsError {
    /// The field of the table that is wrong.
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

impl TlsError {
    fn new(field: &'static str, message: impl Into<String>) -> Self {
        Self {
            field,
            message: message.into(),
        }
    }
}
