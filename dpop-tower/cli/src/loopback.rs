//! Plain HTTP, which is only for this machine.

use std::net::IpAddr;

use http::Uri;

use crate::failure::Failure;

/// Rejects a URL over which a secret would travel unencrypted.
///
/// # Errors
///
/// Returns a failure for plain `http` to another machine, unless it is allowed.
pub(crate) fn check(url: &Uri, plain_http_is_allowed: bool, what: &str) -> Result<(), Failure> {
    if url.scheme_str() == Some("https") || plain_http_is_allowed || is_this_machine(url) {
        return Ok(());
    }
    Err(Failure::wrong_use(format!(
        "{what} would travel unencrypted, since the URL is plain http and the host is not this machine"
    ))
    .next_step("Use https, or --danger-allow-plain-http on a network that you trust."))
}

/// Returns whether the host is a loopback address or `localhost` (RFC 6761 section 6.3).
pub(crate) fn is_this_machine(url: &Uri) -> bool {
    let host = url.host().unwrap_or_default().to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}
