//! The checks of a JOSE header that proofs and access tokens have in common.

use super::{
    algorithm::Algorithm,
    json::{Object, Value},
};

/// What is wrong with a header.
pub(crate) enum HeaderError {
    /// Its `typ` is not accepted.
    Typ,
    /// It has a `crit` or a `b64`.
    Crit,
    /// Its `alg` is not one that is allowed.
    Alg,
}

/// Checks the header, and returns the algorithm that it names.
pub(crate) fn check(
    header: &Object<'_>,
    typ_is_accepted: impl FnOnce(Option<&Value<'_>>) -> bool,
    allowed: &[Algorithm],
) -> Result<Algorithm, HeaderError> {
    // RFC 9449 section 4.3 item 4
    if !typ_is_accepted(header.get("typ")) {
        return Err(HeaderError::Typ);
    }
    // RFC 7515 section 4.1.11: an extension that is not understood must not be ignored, and
    // RFC 7797 section 6 has `b64` come with `crit`.
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
