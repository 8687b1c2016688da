//! TLS for the connections of clients, and for upstreams that have TLS settings of their own.
//!
//! A build with the feature `tls` uses rustls with AWS-LC. A build without it has the same types, but no
//! values of them can be made.

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

/// The files of a server's certificate and key, and the clients that it accepts.
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

/// The TLS settings of one upstream. Paths are absolute or relative to the working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct UpstreamFiles {
    pub(crate) ca: Option<PathBuf>,
    pub(crate) server_name: Option<String>,
    /// The client certificate of the gateway, and its key.
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
