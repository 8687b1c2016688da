//! Checks that the head of a request is valid HTTP, before all other checks.

use axum::body::Body;
use dpop_tower::proof::Origin;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use tracing::debug;

use crate::gateway::proxy::problem;

/// The extension of a request whose connection leaves open where requests end, according to
/// [`Framing`](super::framing::Framing).
#[derive(Clone, Copy)]
pub(super) struct Ambiguous;

/// Why a request is malformed, and the status of the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    status: StatusCode,
    what: &'static str,
}

impl Malformed {
    const fn bad(what: &'static str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            what,
        }
    }

    pub(crate) const fn status(self) -> StatusCode {
        self.status
    }

    pub(crate) const fn what(self) -> &'static str {
        self.what
    }

    /// Returns the response. Over HTTP/1.1, it closes the connection, so nothing more is read from the client.
    pub(super) fn answer(self) -> Response<Body> {
        debug!(target: "gateway", "a request is malformed: {}", self.what);
        let mut response = problem(self.status);
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
        response
    }
}

/// Checks the host and the framing of a request.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Malformed> {
    let headers = request.headers();
    host(request.version(), request.uri(), headers)?;
    framing(headers)?;
    if request.extensions().get::<Ambiguous>().is_some() {
        return Err(AMBIGUOUS);
    }
    Ok(())
}

const AMBIGUOUS: Malformed =
    Malformed::bad("it has both Transfer-Encoding and Content-Length, or no end that can be known");

/// Checks that a request has exactly one host, and that it is valid (RFC 9112 section 3.2).
///
/// An HTTP/2 request may have both `:authority` and `Host`, which then have to be the same (RFC 9113 section
/// 8.3.1). In HTTP/1.1, the host in a request-target overrides the header (RFC 9112 section 3.2.2).
fn host(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Malformed> {
    let scheme = uri.scheme_str().unwrap_or("http");
    let origin = |authority: &str| Origin::parse(&format!("{scheme}://{authority}")).ok();
    const INVALID: Malformed = Malformed::bad("its Host is not a host");
    let header = match only_host(headers)? {
        None => None,
        Some(host) => Some(host.to_str().ok().and_then(origin).ok_or(INVALID)?),
    };
    match (uri.authority(), header) {
        (None, Some(_)) => Ok(()),
        (None, None) if version == Version::HTTP_10 => Ok(()),
        (None, None) => Err(Malformed::bad("it has no Host")),
        (Some(authority), header) => {
            let authority = origin(authority.as_str()).ok_or(INVALID)?;
            if version == Version::HTTP_2 && header.is_some_and(|header| header != authority) {
                return Err(Malformed::bad("its Host is not its :authority"));
            }
            Ok(())
        }
    }
}

/// Returns the `Host` header if there is one, and an error if there are several.
pub(crate) fn only_host(headers: &HeaderMap) -> Result<Option<&HeaderValue>, Malformed> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (host, None) => Ok(host),
        (_, Some(_)) => Err(Malformed::bad("it has more than one Host")),
    }
}

/// Returns whether a value is valid in a `Host` header: a host with an optional port.
pub(crate) fn is_host(value: &HeaderValue) -> bool {
    let authority = value.to_str().unwrap_or_default();
    Origin::parse(&format!("https://{authority}")).is_ok() && !authority.contains('/')
}

/// Checks the headers that say where the body ends (RFC 9112 sections 6.1 and 7).
///
/// The gateway rejects a transfer coding that it does not know. Only the upstream could read what such a
/// coding hides.
pub(crate) fn framing(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let Some(encoding) = encodings.next() else {
        return Ok(());
    };
    if headers.contains_key(header::CONTENT_LENGTH) {
        return Err(AMBIGUOUS);
    }
    let all = std::iter::once(encoding).chain(encodings);
    let all: Vec<&[u8]> = all.map(HeaderValue::as_bytes).collect();
    if let [only] = all[..]
        && only.eq_ignore_ascii_case(b"chunked")
    {
        return Ok(());
    }
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut codings = all
        .iter()
        .flat_map(|value| value.split(|byte| *byte == b','));
    if codings.all(|coding| coding.trim_ascii().is_empty() || is_chunked(coding)) {
        return Err(Malformed::bad(
            "its Transfer-Encoding is chunked in a way that is not one",
        ));
    }
    Err(Malformed {
        status: StatusCode::NOT_IMPLEMENTED,
        what: "its Transfer-Encoding is not known",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<u16> {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let checked = check(&request.body(()).unwrap());
        checked.err().map(|malformed| malformed.status.as_u16())
    }

    #[test]
    fn a_request_has_one_host_that_is_one() {
        for (host, expected) in [
            ("api.test", None),
            ("API.test:443", None),
            ("api_1.test:", None),
            ("127.0.0.1:8080", None),
            ("[::1]:8080", None),
            ("", Some(400)),
            (":80", Some(400)),
            ("a b", Some(400)),
            ("a.test, b.test", Some(400)),
            ("a.test/x", Some(400)),
            ("a.test?x", Some(400)),
            ("user@a.test", Some(400)),
            ("a.test:x", Some(400)),
            ("a.test:99999", Some(400)),
            ("[::1", Some(400)),
            ("\u{e4}.test", Some(400)),
        ] {
            let got = status(Version::HTTP_11, "/", &[("host", host)]);
            assert_eq!(got, expected, "{host:?}");
            assert_eq!(
                is_host(&host.parse().unwrap()),
                expected.is_none(),
                "{host:?}"
            );
        }
        let twice = [("host", "a.test"), ("host", "a.test")];
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            assert_eq!(status(version, "/", &twice), Some(400), "{version:?}");
        }
        assert_eq!(status(Version::HTTP_11, "/", &[]), Some(400));
        assert_eq!(status(Version::HTTP_2, "/", &[]), Some(400));
        assert_eq!(status(Version::HTTP_10, "/", &[]), None);
    }

    #[test]
    fn two_places_for_the_host_say_the_same_in_http_2() {
        let at = |version, uri: &str, host: &str| status(version, uri, &[("host", host)]);
        for host in ["api.test", "API.test", "api.test:443"] {
            assert_eq!(
                at(Version::HTTP_2, "https://api.test/", host),
                None,
                "{host}"
            );
        }
        for host in ["evil.test", "api.test:80", "api.test."] {
            let got = at(Version::HTTP_2, "https://api.test/", host);
            assert_eq!(got, Some(400), "{host}");
            // The host of the target counts, and the header does not.
            assert_eq!(
                at(Version::HTTP_11, "http://api.test/", host),
                None,
                "{host}"
            );
        }
        assert_eq!(status(Version::HTTP_2, "https://api.test/", &[]), None);
        assert_eq!(
            at(Version::HTTP_11, "ftp://api.test/", "api.test"),
            Some(400)
        );
        assert_eq!(
            at(Version::HTTP_11, "http://u@api.test/", "api.test"),
            Some(400)
        );
    }

    #[test]
    fn a_body_is_chunked_once_and_nothing_else() {
        let framed = |headers: &[(&str, &str)]| {
            let headers = [&[("host", "a.test")], headers].concat();
            status(Version::HTTP_11, "/", &headers)
        };
        let encoded = |encoding| framed(&[("transfer-encoding", encoding)]);
        for good in ["chunked", "Chunked"] {
            assert_eq!(encoded(good), None, "{good}");
        }
        for unknown in [
            "gzip, chunked",
            "identity,chunked",
            "chunked, gzip",
            "xchunked",
            "\"chunked\"",
        ] {
            assert_eq!(encoded(unknown), Some(501), "{unknown}");
        }
        for bad in ["chunked, chunked", ", chunked", "chunked,", ""] {
            assert_eq!(encoded(bad), Some(400), "{bad}");
        }
        let twice = [
            ("transfer-encoding", "chunked"),
            ("transfer-encoding", "chunked"),
        ];
        assert_eq!(framed(&twice), Some(400));
        let both = [("transfer-encoding", "chunked"), ("content-length", "3")];
        assert_eq!(framed(&both), Some(400));
        assert_eq!(framed(&[("content-length", "3")]), None);
    }
}
