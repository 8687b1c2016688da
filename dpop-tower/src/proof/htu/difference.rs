//! The difference between two target URIs that should be equal, for the log.

use std::{fmt, iter};

use super::{Htu, Scheme};

/// The part in which two target URIs differ.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HtuPart {
    /// One is `http`, the other `https`.
    Scheme,
    /// The host names or addresses differ.
    Host,
    /// The ports differ.
    Port,
    /// One path is the other with a prefix of whole segments.
    PathPrefix,
    /// Only one of the paths ends with a slash.
    TrailingSlash,
    /// The paths differ only in upper and lower case.
    PathCase,
    /// The paths differ only in the percent-encoding of reserved characters.
    PathEncoding,
    /// The paths differ in any other way.
    Path,
}

impl HtuPart {
    /// Returns a short name for logs and metrics, such as `path prefix`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Host => "host",
            Self::Port => "port",
            Self::PathPrefix => "path prefix",
            Self::TrailingSlash => "trailing slash",
            Self::PathCase => "path case",
            Self::PathEncoding => "path encoding",
            Self::Path => "path",
        }
    }
}

impl fmt::Display for HtuPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The difference between the URI of a proof and the URI of the request, for the operator of the service.
///
/// `Display` writes one line with the first part that differs, the likely cause, and the remedy. It contains
/// only the scheme and the port of the received URI, so a client cannot write to the log through it.
///
/// ```
/// use dpop_tower::proof::{Htu, HtuPart};
///
/// let expected = Htu::parse("https://api.example.com/orders")?;
/// let received = Htu::parse("http://api.example.com/orders")?;
/// let difference = expected.difference(&received).ok_or("they are equal")?;
/// assert_eq!(difference.part(), HtuPart::Scheme);
/// println!("the proof was rejected: {difference}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtuDifference {
    /// The configured origin, which clients do not choose.
    origin: String,
    kind: Kind,
    pub(in crate::proof) hint: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Scheme { expected: Scheme, received: Scheme },
    Host,
    Port { expected: u16, received: u16 },
    PrefixMissing,
    PrefixAdded,
    SlashMissing,
    SlashAdded,
    PathCase,
    PathEncoding,
    Path,
}

impl HtuDifference {
    /// Returns the first part that differs.
    pub fn part(&self) -> HtuPart {
        match self.kind {
            Kind::Scheme { .. } => HtuPart::Scheme,
            Kind::Host => HtuPart::Host,
            Kind::Port { .. } => HtuPart::Port,
            Kind::PrefixMissing | Kind::PrefixAdded => HtuPart::PathPrefix,
            Kind::SlashMissing | Kind::SlashAdded => HtuPart::TrailingSlash,
            Kind::PathCase => HtuPart::PathCase,
            Kind::PathEncoding => HtuPart::PathEncoding,
            Kind::Path => HtuPart::Path,
        }
    }

    pub(super) fn between(expected: &Htu, received: &Htu) -> Option<Self> {
        if expected == received {
            return None;
        }
        let kind = if expected.base.scheme != received.base.scheme {
            Kind::Scheme {
                expected: expected.base.scheme,
                received: received.base.scheme,
            }
        } else if expected.host() != received.host() {
            Kind::Host
        } else if expected.port() != received.port() {
            Kind::Port {
                expected: expected.port(),
                received: received.port(),
            }
        } else {
            Kind::of_paths(expected.path(), received.path())
        };
        Some(Self {
            origin: expected.origin().to_owned(),
            kind,
            hint: None,
        })
    }
}

impl Kind {
    fn of_paths(expected: &str, received: &str) -> Self {
        if expected.strip_suffix('/') == Some(received) {
            Self::SlashMissing
        } else if received.strip_suffix('/') == Some(expected) {
            Self::SlashAdded
        } else if expected.eq_ignore_ascii_case(received) {
            Self::PathCase
        } else if expected.ends_with(received) {
            // A path starts with a slash, so the prefix consists of whole segments.
            Self::PrefixMissing
        } else if received.ends_with(expected) {
            Self::PrefixAdded
        } else if decoded(expected).eq(decoded(received)) {
            Self::PathEncoding
        } else {
            Self::Path
        }
    }
}

/// Returns the bytes of a normalised path with every percent-encoding decoded.
fn decoded(path: &str) -> impl Iterator<Item = u32> {
    let mut chars = path.chars();
    iter::from_fn(move || match chars.next()? {
        '%' => {
            let high = chars.next()?.to_digit(16)?;
            let low = chars.next()?.to_digit(16)?;
            Some(high * 16 + low)
        }
        plain => Some(u32::from(plain)),
    })
}

impl fmt::Display for HtuDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "htu differs in its {}: ", self.part())?;
        self.explain(f)?;
        match self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl HtuDifference {
    fn explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        match &self.kind {
            Kind::Scheme {
                expected: Scheme::Https,
                received,
            } => write!(
                f,
                "expected https, the proof says {}; the client called the plain-http address, or \
                 TLS ends at a proxy and the configured public origin {origin} is not the one \
                 that clients call",
                received.as_str()
            ),
            Kind::Scheme {
                expected: Scheme::Http,
                received,
            } => write!(
                f,
                "expected http, the proof says {}; TLS probably ends at a proxy, so configure the \
                 https public origin that clients call in place of {origin}",
                received.as_str()
            ),
            Kind::Host => write!(
                f,
                "clients probably reach the service under another name than the configured public \
                 origin {origin}; if that name is yours, add it as a further public origin"
            ),
            Kind::Port { expected, received } => write!(
                f,
                "expected {expected}, the proof says {received}; the configured public origin \
                 {origin} has to carry the port that clients call, which behind a proxy or a port \
                 mapping is not the one the service listens on"
            ),
            Kind::PrefixMissing => f.write_str(
                "the request path has a prefix that the proof lacks; a proxy probably adds it \
                 before forwarding, or `PublicOrigin::path_prefix` is set although clients do not \
                 call that prefix",
            ),
            Kind::PrefixAdded => f.write_str(
                "the proof has a prefix that the request path lacks; a proxy probably strips it \
                 before forwarding, or a router that nests the service does, so configure it with \
                 `PublicOrigin::path_prefix`",
            ),
            Kind::SlashMissing => f.write_str(
                "the request path ends with a slash, that of the proof does not; the client \
                 probably followed a redirect with a proof for the first address, or a proxy adds \
                 the slash, so let clients call and sign the same form",
            ),
            Kind::SlashAdded => f.write_str(
                "the path of the proof ends with a slash, that of the request does not; the \
                 client probably signs another form than it calls, or a proxy or path-trimming \
                 middleware removes the slash before the proof is checked",
            ),
            Kind::PathCase => f.write_str(
                "the paths are equal but for upper and lower case, which is significant; the \
                 client has to sign the path as it sends it, and a proxy must not change its case",
            ),
            Kind::PathEncoding => f.write_str(
                "the paths are equal but for the percent-encoding of reserved characters, which is \
                 significant; the client has to sign the path as it sends it, and a proxy must \
                 forward it undecoded",
            ),
            Kind::Path => f.write_str(
                "the paths name different resources; the client probably signs its base address \
                 or reuses a proof made for another request, or a proxy rewrites the path (also \
                 by merging repeated slashes)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn htu(uri: &str) -> Htu {
        Htu::parse(uri).unwrap_or_else(|error| panic!("{uri:?}: {error}"))
    }

    #[track_caller]
    fn difference(expected: &str, received: &str) -> HtuDifference {
        (htu(expected).difference(&htu(received))).unwrap_or_else(|| panic!("{expected} is equal"))
    }

    #[test]
    fn the_first_part_that_differs_is_named() {
        for (expected, received, part) in [
            ("https://a/b", "http://a/b", HtuPart::Scheme),
            ("https://a/b", "http://c:1/d", HtuPart::Scheme),
            ("https://a/b", "https://a./b", HtuPart::Host),
            ("https://a/b", "https://c:1/d", HtuPart::Host),
            ("https://a:8443/b", "https://a/b", HtuPart::Port),
            ("https://a/b", "https://a:8443/c", HtuPart::Port),
            ("https://a/b", "https://a/b/", HtuPart::TrailingSlash),
            ("https://a/b/", "https://a/b", HtuPart::TrailingSlash),
            ("https://a//", "https://a/", HtuPart::TrailingSlash),
            ("https://a/b/Cd", "https://a/B/cD", HtuPart::PathCase),
            ("https://a/v1/b", "https://a/b", HtuPart::PathPrefix),
            ("https://a/b", "https://a/x/v1/b", HtuPart::PathPrefix),
            ("https://a/", "https://a/v1/", HtuPart::PathPrefix),
            ("https://a/xb", "https://a/b", HtuPart::Path),
            ("https://a/b%2Fc", "https://a/b/c", HtuPart::PathEncoding),
            ("https://a/b:c", "https://a/b%3Ac", HtuPart::PathEncoding),
            ("https://a/%25", "https://a/%2525", HtuPart::Path),
            ("https://a/b", "https://a/c", HtuPart::Path),
            ("https://a/b", "https://a/b/c", HtuPart::Path),
            ("https://a/b", "https://a/", HtuPart::Path),
            ("https://a/b/c", "https://a/b//c", HtuPart::Path),
        ] {
            let difference = difference(expected, received);
            assert_eq!(difference.part(), part, "{expected} {received}");
            let text = difference.to_string();
            assert!(
                text.starts_with(&format!("htu differs in its {part}: ")),
                "{text}"
            );
        }
    }

    #[test]
    fn equal_uris_have_no_difference() {
        assert_eq!(
            htu("https://a/b").difference(&htu("HTTPS://A:443/%62?c")),
            None
        );
    }

    #[test]
    fn the_remedy_fits_the_cause() {
        for (expected, received, told) in [
            (
                "https://a/",
                "http://a/",
                "the client called the plain-http address",
            ),
            (
                "https://a/",
                "http://a/",
                "configured public origin https://a is not",
            ),
            ("http://a:8080/", "https://a/", "in place of http://a:8080"),
            (
                "https://a:8443/",
                "https://b/",
                "public origin https://a:8443; if",
            ),
            (
                "https://a:8443/",
                "https://a/",
                "expected 8443, the proof says 443",
            ),
            (
                "https://a/v1/x/b",
                "https://a/b",
                "has a prefix that the proof lacks",
            ),
            (
                "https://a/b",
                "https://a/v1/b",
                "`PublicOrigin::path_prefix`",
            ),
            (
                "https://a/b/",
                "https://a/b",
                "request path ends with a slash",
            ),
            (
                "https://a/b",
                "https://a/b/",
                "path of the proof ends with a slash",
            ),
            ("https://a/b", "https://a/B", "must not change its case"),
            ("https://a/b%2Fc", "https://a/b/c", "undecoded"),
            ("https://a/b", "https://a/c", "another request"),
        ] {
            let text = difference(expected, received).to_string();
            assert!(text.contains(told), "{text}");
        }
    }

    #[test]
    fn names_of_parts_can_be_padded() {
        assert_eq!(format!("{:>6}", HtuPart::Host), "  host");
    }

    fn close_uri() -> impl Strategy<Value = String> {
        "https?://[ab](:(80|443))?((/(a|A|b|%2F|:|%3A|\\.\\.)?){0,3})"
    }

    proptest! {
        #[test]
        fn there_is_a_difference_unless_equal(one in close_uri(), other in close_uri()) {
            let (one, other) = (htu(&one), htu(&other));
            let part = one.difference(&other).map(|difference| difference.part());
            prop_assert_eq!(part.is_none(), one == other);
            prop_assert_eq!(part.is_none(), one.as_str() == other.as_str());
            prop_assert_eq!(part, other.difference(&one).map(|difference| difference.part()));
            let parts = [
                (one.scheme() != other.scheme(), HtuPart::Scheme),
                (one.host() != other.host(), HtuPart::Host),
                (one.port() != other.port(), HtuPart::Port),
            ];
            if let Some((_, first)) = parts.into_iter().find(|(differs, _)| *differs) {
                prop_assert_eq!(part, Some(first));
            }
        }

        #[test]
        fn the_received_text_is_never_told(
            received in "https?://(api|QQQ[.]com)(:8443)?(/QQQ)?/(orders|ORDERS|QQQ|orders/QQQ)/?",
        ) {
            for expected in ["https://api/orders", "https://api/v1/QQ/orders"] {
                if let Some(difference) = htu(expected).difference(&htu(&received)) {
                    let told = format!("{difference} {difference:?}");
                    prop_assert!(!told.to_ascii_uppercase().contains("QQQ"), "{}", told);
                    prop_assert!(told.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                }
            }
        }
    }
}
