//! Replaces TLS in a build without the feature `tls`.

use std::{convert::Infallible, io};

use dpop_tower::certificate::ClientCertificate;
use tokio::net::TcpStream;

use super::{ServerFiles, TlsError, UpstreamFiles};

const ABSENT: &str =
    "this program was built without TLS of its own; build it with the feature `tls`";

#[derive(Clone, Debug)]
pub(crate) struct ServerTls(Infallible);

impl ServerTls {
    pub(crate) fn read(_files: &ServerFiles) -> Result<Self, TlsError> {
        Err(TlsError::new("certificate_file", ABSENT))
    }

    pub(crate) fn warnings(&self) -> &[(&'static str, String)] {
        match self.0 {}
    }

    pub(crate) async fn accept(
        &self,
        _stream: TcpStream,
    ) -> io::Result<(TcpStream, Option<ClientCertificate>)> {
        match self.0 {}
    }
}

#[derive(Clone, Debug)]
pub(crate) struct UpstreamTls(Infallible);

impl UpstreamTls {
    pub(crate) fn read(_files: &UpstreamFiles) -> Result<Self, TlsError> {
        Err(TlsError::new("", ABSENT))
    }

    pub(crate) fn warnings(&self) -> &[(&'static str, String)] {
        match self.0 {}
    }

    pub(crate) fn connector<T>(&self) -> T {
        match self.0 {}
    }
}
