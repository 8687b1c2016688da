//! Media types in JOSE headers.

/// Compares two media types, in which `application/` can be omitted and case is ignored (RFC 7515 sections 4.1.9
/// and 4.1.10).
pub(crate) fn are_equal(one: &str, other: &str) -> bool {
    subtype(one).eq_ignore_ascii_case(subtype(other))
}

/// Returns the media type without the optional `application/`.
pub(crate) fn subtype(media_type: &str) -> &str {
    match media_type.split_once('/') {
        Some((application, subtype)) if application.eq_ignore_ascii_case("application") => subtype,
        _ => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_optional_and_case_is_ignored() {
        for same in [
            "at+jwt",
            "AT+JWT",
            "application/at+jwt",
            "Application/At+Jwt",
        ] {
            assert!(are_equal(same, "at+jwt"), "{same}");
            assert!(are_equal("application/at+jwt", same), "{same}");
        }
        for other in [
            "",
            "jwt",
            "text/at+jwt",
            "application/",
            "application/application/at+jwt",
            " at+jwt",
            "at+jwt;v=1",
        ] {
            assert!(!are_equal(other, "at+jwt"), "{other}");
        }
    }
}
