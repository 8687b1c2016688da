use std::net::IpAddr;

use reqwest::Url;

use crate::error::{ConfigError, ConfigErrorKind};

/// A longer `jwks_uri` is neither fetched nor logged.
const MAX_URL_LEN: usize = 2048;

/// The place that a JWK Set is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Endpoint {
    pub(super) place: Place,
    plain_http: PlainHttp,
}

/// Which hosts may be asked over plain `http`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum PlainHttp {
    Never,
    /// This machine, by a loopback address or the name `localhost` (RFC 6761 section 6.3).
    Loopback,
    AnyHost,
}

impl PlainHttp {
    /// Allows plain `http` to this machine, or not at all.
    #[cfg(any(feature = "client-tokens", feature = "introspection"))]
    pub(crate) const fn to_loopback(is_allowed: bool) -> Self {
        if is_allowed {
            Self::Loopback
        } else {
            Self::Never
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Jwks(Url),
    Metadata {
        /// The exact `issuer` that the document must have (RFC 8414 section 3.3).
        issuer: String,
        /// The well-known URLs, in the order in which they are tried.
        urls: Vec<Url>,
    },
}

impl Endpoint {
    pub(crate) fn jwks(url: &str, plain_http: PlainHttp) -> Result<Self, ConfigError> {
        Ok(Self {
            place: Place::Jwks(configured(url, "the URL of the JWK Set", plain_http)?),
            plain_http,
        })
    }

    pub(crate) fn discover(issuer: &str, plain_http: PlainHttp) -> Result<Self, ConfigError> {
        Self::in_metadata(issuer, plain_http, |path, at| {
            vec![
                // RFC 8414 section 3.1 puts the well-known part before the issuer's path,
                // OpenID Connect Discovery 1.0 section 4 puts it after the path.
                at(&format!("/.well-known/oauth-authorization-server{path}")),
                at(&format!("{path}/.well-known/openid-configuration")),
            ]
        })
    }

    /// Finds the keys of a transmitter of security events (OpenID Shared Signals Framework 1.0 section 7.2).
    #[cfg(feature = "ssf")]
    pub(crate) fn transmitter(issuer: &str, plain_http: PlainHttp) -> Result<Self, ConfigError> {
        Self::in_metadata(issuer, plain_http, |path, at| {
            vec![at(&format!("/.well-known/ssf-configuration{path}"))]
        })
    }

    /// `urls` gets the path of the issuer, and a function that makes a URL of a path.
    fn in_metadata(
        issuer: &str,
        plain_http: PlainHttp,
        urls: impl Fn(&str, &dyn Fn(&str) -> Url) -> Vec<Url>,
    ) -> Result<Self, ConfigError> {
        let url = configured(issuer, "the issuer", plain_http)?;
        if url.query().is_some() || url.fragment().is_some() {
            // RFC 8414 section 2.
            return Err(rejected("the issuer must not have a query or fragment"));
        }
        let path = url.path().trim_end_matches('/');
        let at = |path: &str| {
            let mut at = url.clone();
            at.set_path(path);
            at
        };
        Ok(Self {
            place: Place::Metadata {
                issuer: issuer.to_owned(),
                urls: urls(path, &at),
            },
            plain_http,
        })
    }

    /// Parses the `jwks_uri` of the issuer's metadata and returns it if it may be fetched.
    pub(super) fn accept(&self, jwks_uri: &str) -> Option<Url> {
        may_be_fetched(jwks_uri, self.plain_http)
    }
}

/// Parses a URL that is configured, as the origin of an issuer's other documents is.
#[cfg(feature = "status-list")]
pub(crate) fn configured_url(
    url: &str,
    what: &'static str,
    plain_http: PlainHttp,
) -> Result<Url, ConfigError> {
    configured(url, what, plain_http)
}

/// Parses a URL that a document of the issuer names, and returns it if it may be fetched.
pub(crate) fn may_be_fetched(url: &str, plain_http: PlainHttp) -> Option<Url> {
    if url.len() > MAX_URL_LEN {
        return None;
    }
    Url::parse(url)
        .ok()
        .filter(|url| scheme_is_accepted(url, plain_http) && !has_credentials(url))
}

fn scheme_is_accepted(url: &Url, plain_http: PlainHttp) -> bool {
    match (url.scheme(), plain_http) {
        ("https", _) | ("http", PlainHttp::AnyHost) => true,
        ("http", PlainHttp::Loopback) => is_loopback(url),
        _ => false,
    }
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn configured(url: &str, what: &'static str, plain_http: PlainHttp) -> Result<Url, ConfigError> {
    let parsed = Url::parse(url)
        .map_err(|error| rejected(format!("{what} is not a URL")).with_source(error))?;
    if !scheme_is_accepted(&parsed, plain_http) {
        let hint = match (parsed.scheme(), plain_http) {
            ("http", PlainHttp::Loopback) => {
                "its host is not this machine, and `Issuer::danger_allow_plain_http` is for this machine alone; \
                 see `Issuer::danger_allow_plain_http_to_any_host`"
            }
            _ => "for tests, see `Issuer::danger_allow_plain_http`",
        };
        return Err(rejected(format!("{what} must be an https URL; {hint}")));
    }
    if has_credentials(&parsed) {
        return Err(rejected(format!("{what} must not contain credentials")));
    }
    Ok(parsed)
}

fn rejected(message: impl Into<std::borrow::Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::AccessTokens, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn urls(issuer: &str) -> Vec<String> {
        match Endpoint::discover(issuer, PlainHttp::Never).unwrap().place {
            Place::Metadata { urls, .. } => urls.into_iter().map(String::from).collect(),
            Place::Jwks(url) => panic!("not metadata: {url}"),
        }
    }

    #[test]
    fn rfc_8414_puts_the_well_known_part_first_and_openid_puts_it_last() {
        assert_eq!(
            urls("https://idp.example.com"),
            [
                "https://idp.example.com/.well-known/oauth-authorization-server",
                "https://idp.example.com/.well-known/openid-configuration",
            ]
        );
        for issuer in [
            "https://idp.example.com:8443/tenant/1",
            "https://idp.example.com:8443/tenant/1/",
        ] {
            assert_eq!(
                urls(issuer),
                [
                    "https://idp.example.com:8443/.well-known/oauth-authorization-server/tenant/1",
                    "https://idp.example.com:8443/tenant/1/.well-known/openid-configuration",
                ]
            );
        }
    }

    #[test]
    fn plain_http_and_odd_issuers_are_rejected() {
        for wrong in [
            "http://idp.example.com",
            "http://127.0.0.1:8080",
            "ftp://idp.example.com",
            "idp.example.com",
            "",
            "https://idp.example.com?tenant=1",
            "https://idp.example.com#1",
            "https://user:secret@idp.example.com",
        ] {
            let error = Endpoint::discover(wrong, PlainHttp::Never).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::AccessTokens, "{wrong}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_any_host_is_allowed() {
        let discover = Endpoint::discover;
        for (host, is_this_machine) in [
            ("127.0.0.1:8080", true),
            ("127.9.9.9", true),
            ("[::1]:8080", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost", true),
            ("LOCALHOST:80", true),
            ("idp.localhost", true),
            // Written in other ways, it is the same address.
            ("2130706433", true),
            ("0x7f.1", true),
            ("0.0.0.0", false),
            ("[::]", false),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("idp.example.com", false),
            ("localhost.example.com", false),
            ("127.0.0.1.example.com", false),
            ("notlocalhost", false),
            ("localhost@idp.example.com", false),
        ] {
            let url = format!("http://{host}");
            let on_loopback = discover(&url, PlainHttp::Loopback);
            assert_eq!(on_loopback.is_ok(), is_this_machine, "{host}");
            let has_credentials = host.contains('@');
            let anywhere = discover(&url, PlainHttp::AnyHost);
            assert_eq!(anywhere.is_ok(), !has_credentials, "{host}");
            assert!(discover(&url, PlainHttp::Never).is_err(), "{host}");
            // And what the metadata says is held to the same.
            let idp = discover("http://127.0.0.1", PlainHttp::Loopback).unwrap();
            assert_eq!(idp.accept(&url).is_some(), is_this_machine, "{host}");
        }
        let error = discover("http://idp.example.com", PlainHttp::Loopback).unwrap_err();
        let hint = "`Issuer::danger_allow_plain_http_to_any_host`";
        assert!(error.to_string().contains(hint), "{error}");
    }

    /// What is fetched from one is not for the other.
    #[test]
    fn endpoints_that_differ_in_anything_are_different_places() {
        use PlainHttp::{AnyHost, Loopback, Never};
        let issuer = |issuer: &str, plain_http| Endpoint::discover(issuer, plain_http).unwrap();
        let jwks = |url: &str, plain_http| Endpoint::jwks(url, plain_http).unwrap();
        let places = [
            issuer("https://a.test", Never),
            issuer("https://a.test", Loopback),
            issuer("https://a.test", AnyHost),
            issuer("https://a.test/", Never),
            issuer("https://A.test", Never),
            issuer("https://b.test", Never),
            jwks("https://a.test", Never),
            jwks("https://a.test", AnyHost),
            jwks("https://a.test/?x", Never),
        ];
        for (i, one) in places.iter().enumerate() {
            for (j, other) in places.iter().enumerate() {
                assert_eq!(one == other, i == j, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn a_jwks_uri_may_not_fall_back_to_plain_http() {
        let endpoint = Endpoint::discover("https://idp.example.com", PlainHttp::Never).unwrap();
        assert!(endpoint.accept("https://keys.example.com/jwks").is_some());
        let longest = format!("https://a.test/{}", "x".repeat(MAX_URL_LEN - 15));
        assert!(endpoint.accept(&longest).is_some());
        for wrong in [
            "http://idp.example.com/jwks",
            "file:///etc/passwd",
            "/jwks",
            "https://user@keys.example.com/jwks",
            "https://:secret@keys.example.com/jwks",
            &format!("{longest}x"),
        ] {
            assert!(endpoint.accept(wrong).is_none(), "{wrong}");
        }
    }
}
