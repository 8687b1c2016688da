//! What all HTTP clients of this crate have in common.

use reqwest::ClientBuilder;

/// Selects the TLS of the default crypto backend, whatever other crates of the build turn on in reqwest, so
/// that a process uses one crypto library. Without a backend there is no TLS.
pub(crate) fn tls_of_the_crypto_backend(builder: ClientBuilder) -> ClientBuilder {
    #[cfg(feature = "josekit")]
    let builder = builder.tls_backend_native();
    #[cfg(all(feature = "aws-lc-rs", not(feature = "josekit")))]
    let builder = builder.tls_backend_rustls();
    builder
}
