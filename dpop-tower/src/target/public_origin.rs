use std::{borrow::Cow, fmt};

use super::{TargetRequest, TargetUri, forwarded};
use crate::{
    error::{ConfigError, ConfigErrorKind, shown},
    proof::{Htu, HtuError, Origin},
};

/// The origin by which clients call this service, such as `https://api.example.com`.
///
/// The expected `htu` is this origin followed by the request's path. If the service has several public
/// names, list all of them. The request's host then selects one of the listed origins, and never
/// another.
///
/// ```
/// use dpop_tower::PublicOrigin;
///
/// let one = PublicOrigin::new("https://api.example.com")?;
/// let two = PublicOrigin::new("https://api.example.com")?.with_alias("https://api.example.org:8443")?;
/// // Clients call https://api.example.com/v1/orders, a proxy forwards /orders.
/// let stripped = PublicOrigin::new("https://api.example.com")?.path_prefix("/v1")?;
///
/// assert!(PublicOrigin::new("api.example.com").is_err());
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
#[doc(alias = "htu")]
#[doc(alias = "base_url")]
pub struct PublicOrigin {
    first: Origin,
    others: Vec<Origin>,
    prefix: String,
}

impl PublicOrigin {
    /// Parses an origin: a scheme, a host and, unless it is the scheme's default, a port.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] for anything else, such as a URL with a path, and for a host that no
    /// client can call, such as `*.example.com`. Patterns are not supported.
    pub fn new(origin: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            first: parse(origin)?,
            others: Vec::new(),
            prefix: String::new(),
        })
    }

    /// Adds another origin by which clients call the same service.
    ///
    /// The request's host selects among the listed origins:
    ///
    /// ```
    /// use dpop_tower::{
    ///     PublicOrigin,
    ///     target::{TargetRequest, TargetUri},
    /// };
    /// use http::{HeaderMap, HeaderValue, header};
    ///
    /// let origin = PublicOrigin::new("https://api.example.com")?.with_alias("https://api.example.org")?;
    /// let uri = "/orders".parse()?;
    /// for (host, htu) in [
    ///     ("api.example.org", "https://api.example.org/orders"),
    ///     ("evil.example", "https://api.example.com/orders"),
    /// ] {
    ///     let mut headers = HeaderMap::new();
    ///     headers.insert(header::HOST, HeaderValue::from_static(host));
    ///     let expected = origin.expected(TargetRequest::new(&uri, &headers, None))?;
    ///     assert_eq!(expected.as_str(), htu);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`new`](Self::new).
    pub fn with_alias(mut self, origin: &str) -> Result<Self, ConfigError> {
        self.others.push(parse(origin)?);
        Ok(self)
    }

    /// Sets the path prefix that a proxy removes before it forwards a request, such as `/v1`.
    ///
    /// It is not needed for axum's `nest`.
    ///
    /// ```
    /// use dpop_tower::{
    ///     PublicOrigin,
    ///     target::{TargetRequest, TargetUri},
    /// };
    ///
    /// let origin = PublicOrigin::new("https://api.example.com")?.path_prefix("/v1")?;
    /// let (uri, headers) = ("/orders".parse()?, http::HeaderMap::new());
    /// let htu = origin.expected(TargetRequest::new(&uri, &headers, None))?;
    /// assert_eq!(htu.as_str(), "https://api.example.com/v1/orders");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the prefix does not begin with a slash, ends with one, or is not in
    /// normal form (RFC 3986 section 6.2.2), which has no dot segments, empty segments or needless
    /// percent-encodings.
    pub fn path_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.check_prefix(prefix)?;
        prefix.clone_into(&mut self.prefix);
        Ok(self)
    }

    pub(super) fn check_prefix(&self, prefix: &str) -> Result<(), ConfigError> {
        if !prefix.starts_with('/') || prefix.ends_with('/') {
            return Err(rejected(format!(
                "the path prefix is {prefix:?}: one begins with a slash and does not end with one, such \
                 as \"/v1\""
            )));
        }
        let path = self.first.with_path(prefix).map_err(|error| {
            rejected(format!("the path prefix {prefix:?} is not a path")).with_source(error)
        })?;
        if path.path() != prefix {
            let what = match path.path().trim_end_matches('/') {
                "" => "nothing is left of it, so leave it out".to_owned(),
                normal => format!("write {normal:?}"),
            };
            return Err(rejected(format!(
                "the path prefix {prefix:?} is not in its normal form: {what}"
            )));
        }
        if prefix.contains("//") {
            return Err(rejected(format!(
                "the path prefix {prefix:?} has an empty segment: write one slash between segments"
            )));
        }
        Ok(())
    }

    /// Returns the listed origin that the caller claims to have called, or the first one.
    pub(super) fn called(&self, request: TargetRequest<'_>) -> &Origin {
        if self.others.is_empty() {
            return &self.first;
        }
        request
            .claimed_authority()
            .and_then(|authority| {
                self.all()
                    .find(|origin| origin.authority_matches(authority))
            })
            .unwrap_or(&self.first)
    }

    /// Returns the listed origins in their order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Origin> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the URI of this path, with the prefix that a proxy has removed.
    pub(super) fn join(
        &self,
        origin: &Origin,
        prefix: Option<&str>,
        path: &str,
    ) -> Result<Htu, HtuError> {
        let prefix = prefix.unwrap_or(&self.prefix);
        if prefix.is_empty() {
            return origin.with_path(path);
        }
        // Without normalisation first, `/../` in the path could leave the prefix.
        let inner = origin.with_path(path)?;
        origin.with_path(&format!("{prefix}{}", inner.path()))
    }
}

fn parse(text: &str) -> Result<Origin, ConfigError> {
    let origin = Origin::parse(text).map_err(|error| {
        let message = format!(
            "{} is no public origin, which looks like https://api.example.com",
            shown(text)
        );
        rejected(message).with_source(error)
    })?;
    // RFC 3986 allows more in a host than any client could resolve.
    let host = origin.host();
    let is_of_hosts = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let name = host.strip_suffix('.').unwrap_or(host);
    let why = if host.starts_with('[') {
        None
    } else if let Some(c) = host.chars().find(|c| !is_of_hosts(*c)) {
        Some(format!("its host has a {c:?}, which no host has"))
    } else if name.split('.').any(str::is_empty) {
        Some("a part of its host is empty".to_owned())
    } else {
        None
    };
    if let Some(why) = why.or((origin.port() == 0).then(|| "its port is 0".to_owned())) {
        let message = format!(
            "{} is no public origin: {why}. Patterns are not matched: write what clients call, such as \
             https://api.example.com, and list each further origin",
            shown(text)
        );
        return Err(rejected(message));
    }
    Ok(origin)
}

pub(super) fn rejected(message: impl Into<Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Target, message)
}

impl TargetUri for PublicOrigin {
    fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError> {
        self.join(self.called(request), None, request.uri.path())
    }

    fn hint(&self, request: TargetRequest<'_>) -> Option<&'static str> {
        forwarded::has_forwarded_headers(request.headers).then_some(
            "the request has forwarded headers, which do not count: the configured origin has to be \
             what clients call (see also `ForwardedTarget`)",
        )
    }

    fn origins(&self) -> Vec<&Origin> {
        self.all().collect()
    }
}

impl fmt::Debug for PublicOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.all().map(Origin::as_str))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Uri, header};

    use super::*;

    fn expected(origin: &PublicOrigin, uri: &str, host: Option<&'static str>) -> String {
        let uri: Uri = uri.parse().unwrap();
        let mut headers = HeaderMap::new();
        if let Some(host) = host {
            headers.insert(header::HOST, HeaderValue::from_static(host));
        }
        origin
            .expected(TargetRequest::new(&uri, &headers, None))
            .map_or_else(|error| error.to_string(), |htu| htu.as_str().to_owned())
    }

    #[test]
    fn one_origin_is_expected_whatever_the_caller_calls_us() {
        let origin = PublicOrigin::new("https://api.example.com").unwrap();
        for (uri, host) in [
            ("/a?b", None),
            ("/a", Some("evil.example")),
            ("http://evil.example/a", Some("evil.example")),
            ("http://evil.example:81/a?b", None),
        ] {
            assert_eq!(expected(&origin, uri, host), "https://api.example.com/a");
        }
    }

    #[test]
    fn the_host_chooses_among_the_listed_origins_only() {
        let origin = PublicOrigin::new("https://a.example")
            .unwrap()
            .with_alias("https://b.example:8443")
            .unwrap();
        let on = |host| expected(&origin, "/x", host);
        assert_eq!(on(Some("B.example:8443")), "https://b.example:8443/x");
        for other in [
            "a.example",
            "b.example",
            "evil.example",
            "",
            "b.example:8443:1",
        ] {
            assert_eq!(on(Some(other)), "https://a.example/x", "{other}");
        }
        assert_eq!(on(None), "https://a.example/x");
        // HTTP/2 has the host in the URI, and there it counts before any header.
        assert_eq!(
            expected(&origin, "https://b.example:8443/x", Some("a.example")),
            "https://b.example:8443/x"
        );
    }

    #[test]
    fn a_stripped_prefix_is_put_back_and_cannot_be_climbed_out_of() {
        let origin = PublicOrigin::new("https://a.example")
            .unwrap()
            .path_prefix("/v1")
            .unwrap();
        assert_eq!(expected(&origin, "/x", None), "https://a.example/v1/x");
        assert_eq!(expected(&origin, "/", None), "https://a.example/v1/");
        assert_eq!(expected(&origin, "/../x", None), "https://a.example/v1/x");
        for wrong in ["", "/", "v1", "/v1/", "/v1?", "/%zz"] {
            assert!(origin.clone().path_prefix(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_is_written_as_it_is_compared() {
        let origin = PublicOrigin::new("https://a.example").unwrap();
        for (wrong, told) in [
            ("/a/../b", "write \"/b\""),
            ("/./a", "write \"/a\""),
            ("/a/..", "leave it out"),
            ("/a/%2e%2E/b", "write \"/b\""),
            ("/%61", "write \"/a\""),
            ("/a%2fb", "write \"/a%2Fb\""),
            ("//a", "empty segment"),
            ("/a//b", "empty segment"),
            ("v1", "begins with a slash"),
        ] {
            let error = origin.clone().path_prefix(wrong).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Target);
            let text = error.to_string();
            assert!(text.contains(&format!("{wrong:?}")), "{text}");
            assert!(text.contains(told), "{text:?} does not contain {told:?}");
        }
        for good in [
            "/v1", "/v1.0", "/a/b", "/a%2Fb", "/~user", "/a;b=c", "/..a", "/A-b_c", "/:x@y",
        ] {
            let origin = origin.clone().path_prefix(good).unwrap();
            assert_eq!(
                expected(&origin, "/x", None),
                format!("https://a.example{good}/x")
            );
        }
    }

    #[test]
    fn a_host_that_nobody_can_call_is_no_origin() {
        for (wrong, told) in [
            ("https://*.example.com", "'*'"),
            ("https://api-*.example.com", "'*'"),
            ("https://*", "'*'"),
            ("https://api.example.com,https", "','"),
            ("https://$HOST", "'$'"),
            ("https://(www|api).example.com", "looks like"),
            ("https://a%2Eb%2A.example", "'%'"),
            ("https://~api.example.com", "'~'"),
            ("https://a.example+b.example", "'+'"),
            ("https://.example.com", "empty"),
            ("https://api..example.com", "empty"),
            ("https://api.example.com..", "empty"),
            ("https://.", "empty"),
            ("https://api.example.com:0", "port"),
        ] {
            let error = PublicOrigin::new(wrong).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Target, "{wrong}");
            let text = error.to_string();
            assert!(text.contains(&format!("{wrong:?}")), "{text}");
            assert!(text.contains(told), "{text:?} does not contain {told:?}");
            assert!(text.contains("https://api.example.com"), "{text}");
            let first = PublicOrigin::new("https://api.example.com").unwrap();
            assert!(first.with_alias(wrong).is_err());
        }
        for good in [
            "https://api.example.com",
            "https://API.Example.com/",
            "https://api.example.com.",
            "https://xn--bcher-kva.example",
            "http://my_service:8080",
            "http://localhost",
            "http://1e100.example",
            "https://127.0.0.1:8443",
            "https://[2001:DB8::1]:8443",
            "https://a--b.example",
        ] {
            assert!(PublicOrigin::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn an_error_shows_no_credentials() {
        let error = PublicOrigin::new("https://user:secret@api.example.com").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(error.to_string().contains("@api.example.com"), "{error}");
    }

    #[test]
    fn only_an_origin_is_taken_as_one() {
        for wrong in [
            "",
            "api.example.com",
            "https://api.example.com/v1",
            "https://api.example.com?x",
            "https://user@api.example.com",
            "ftp://api.example.com",
            "https://bücher.example",
        ] {
            let error = PublicOrigin::new(wrong).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::Target, "{wrong}");
        }
        assert!(PublicOrigin::new("https://api.example.com/").is_ok());
    }

    #[test]
    fn a_target_without_a_path_is_an_error() {
        let uri = Uri::from_static("*");
        let origin = PublicOrigin::new("https://a.example").unwrap();
        let headers = HeaderMap::new();
        assert!(
            origin
                .expected(TargetRequest::new(&uri, &headers, None))
                .is_err()
        );
    }
}
