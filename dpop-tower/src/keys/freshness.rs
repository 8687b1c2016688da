//! How long a response says that it is fresh (RFC 9111 section 4.2).

use std::time::{Duration, SystemTime};

use headers::{Age, CacheControl, Date, Expires, Header};
use http::{HeaderValue, header};
use reqwest::Response;

/// Returns how long the response says that it is fresh, or `None` if it does not say.
///
/// The cache is a private one, so `s-maxage` does not count. A response with `no-store` or `no-cache` is not
/// fresh at all. Neither is one with a value that cannot be parsed, as RFC 9111 section 4.2.1 encourages.
pub(super) fn fresh_for(response: &Response, now: SystemTime) -> Option<Duration> {
    let lifetime = match cache_control(response) {
        Some(Err(_)) => Duration::ZERO,
        Some(Ok(says)) if says.no_store() || says.no_cache() => Duration::ZERO,
        // RFC 9111 section 5.3: `Expires` does not count beside `max-age`.
        Some(Ok(says)) => match says.max_age() {
            Some(max_age) => max_age,
            None => lifetime_by_expires(response, now)?,
        },
        None => lifetime_by_expires(response, now)?,
    };
    let age = one::<Age>(response).and_then(Result::ok);
    Some(lifetime.saturating_sub(age.map(Duration::from).unwrap_or_default()))
}

fn cache_control(response: &Response) -> Option<Result<CacheControl, headers::Error>> {
    let values: Vec<_> = response
        .headers()
        .get_all(header::CACHE_CONTROL)
        .iter()
        // The names of directives are case-insensitive (RFC 9111 section 5.2), but not to the parser.
        .filter_map(|value| HeaderValue::from_bytes(&value.as_bytes().to_ascii_lowercase()).ok())
        .collect();
    (!values.is_empty()).then(|| CacheControl::decode(&mut values.iter()))
}

fn lifetime_by_expires(response: &Response, now: SystemTime) -> Option<Duration> {
    let Ok(expires) = one::<Expires>(response)? else {
        // The value is often `0` or `-1`, which mean that the response is stale (RFC 9111 section 5.3).
        return Some(Duration::ZERO);
    };
    let date = one::<Date>(response).and_then(Result::ok);
    let date = date.map_or(now, SystemTime::from);
    let lifetime = SystemTime::from(expires).duration_since(date);
    Some(lifetime.unwrap_or_default())
}

fn one<H: Header>(response: &Response) -> Option<Result<H, headers::Error>> {
    let mut values = response.headers().get_all(H::name()).iter().peekable();
    values.peek()?;
    Some(H::decode(&mut values))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    const AN_HOUR_LATER: (&str, &str) = ("expires", "Sun, 06 Nov 1994 09:49:37 GMT");

    fn secs(headers: &[(&str, &str)]) -> Option<u64> {
        let mut response = http::Response::builder();
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body("").unwrap().into();
        // The time is half an hour after `DATE`.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 + 1_800);
        fresh_for(&response, now).map(|fresh_for| fresh_for.as_secs())
    }

    #[test]
    fn rfc_9111_section_4_2_1_the_lifetime_is_that_of_max_age_or_else_of_expires() {
        let cc = |value| secs(&[("cache-control", value)]);
        for (value, expected) in [
            ("max-age=120", Some(120)),
            ("public, max-age=120, must-revalidate", Some(120)),
            ("PUBLIC, Max-Age=120", Some(120)),
            ("max-age=\"120\"", Some(120)),
            ("max-age=0", Some(0)),
            ("no-store", Some(0)),
            ("No-Store", Some(0)),
            ("no-cache, max-age=120", Some(0)),
            ("max-age=120, no-store", Some(0)),
            // This cache is a private one.
            ("s-maxage=120", None),
            ("s-maxage=120, max-age=60", Some(60)),
            ("private", None),
            ("stale-if-error=120, x=\"no-store\"", None),
            ("", None),
            // These values cannot be parsed.
            ("max-age=-1", Some(0)),
            ("max-age=soon", Some(0)),
            ("max-age=99999999999999999999999999", Some(0)),
        ] {
            assert_eq!(cc(value), expected, "{value}");
        }
        assert_eq!(secs(&[]), None);
        let two = [("cache-control", "public"), ("cache-control", "max-age=9")];
        assert_eq!(secs(&two), Some(9));
        assert_eq!(secs(&[DATE, AN_HOUR_LATER]), Some(3_600));
        assert_eq!(secs(&[AN_HOUR_LATER]), Some(1_800), "by our clock");
        assert_eq!(secs(&[("date", "yesterday"), AN_HOUR_LATER]), Some(1_800));
        assert_eq!(secs(&[DATE]), None);
        for gone in ["0", "-1", "Sun, 06 Nov 1994 08:49:36 GMT"] {
            assert_eq!(secs(&[DATE, ("expires", gone)]), Some(0), "{gone}");
        }
        let both = [("cache-control", "max-age=60"), DATE, AN_HOUR_LATER];
        assert_eq!(secs(&both), Some(60));
        let private = [("cache-control", "private"), DATE, AN_HOUR_LATER];
        assert_eq!(secs(&private), Some(3_600));
    }

    #[test]
    fn rfc_9111_section_5_1_the_age_of_a_response_counts() {
        let aged = |age| secs(&[("cache-control", "max-age=120"), ("age", age)]);
        for (age, expected) in [
            ("0", 120),
            ("20", 100),
            ("120", 0),
            ("121", 0),
            ("18446744073709551615", 0),
            ("-1", 120),
            ("old", 120),
        ] {
            assert_eq!(aged(age), Some(expected), "{age}");
        }
        assert_eq!(secs(&[DATE, AN_HOUR_LATER, ("age", "600")]), Some(3_000));
        assert_eq!(secs(&[("age", "600")]), None);
    }
}
