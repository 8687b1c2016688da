//! The checks of a JOSE header that proofs and access tokens share.

use super::{
    algorithm::Algorithm,
    json::{Object, Value},
};

/// The reason why a header is rejected.
pub(crate) enum HeaderError {
    /// The `typ` is not accepted.
    Typ,
    /// There is a `crit` or a `b64`.
    Crit,
    /// The `alg` is not allowed.
    Alg,
}

/// Checks the header and returns its algorithm.
pub(crate) fn check(
    header: &Object<'_>,
    typ_is_accepted: impl FnOnce(Option<&Value<'_>>) -> bool,
    allowed: &[Algorithm],
) -> Result<Algorithm, HeaderError> {
    // RFC 9449 section 4.3 item 4
    if !typ_is_accepted(header.get("typ")) {
        return Err(HeaderError::Typ);
    }
    // RFC 7515 section 4.1.11: an extension that is not understood must not be ignored.
    // RFC 7797 section 6: `b64` requires `crit`.
    if header.contains("crit") || header.contains("b64") {
        return Err(HeaderError::Crit);
    }
    header
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::from_name)
        // RFC 9449 section 4.3 item 5
        .filter(|algorithm| allowed.contains(algorithm))
        .ok_or(HeaderError::Alg)
}
