//! TLS: where the gateway listens, and to upstreams with settings of their own.
//!
//! rustls with AWS-LC, in every build that has the feature `tls`. A build without it has the same types,
//! of which no value can be made.

use std::path::PathBuf;

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
