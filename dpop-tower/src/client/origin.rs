use http::Uri;

use super::{ClientError, ClientErrorKind, htu::htu};
use crate::{error::shown, proof::Origin};

/// The origin of an API, which is where a [`DpopClientLayer`](super::DpopClientLayer) sends its token.
///
/// ```
/// use dpop_tower::client::ApiOrigin;
///
/// let origin = ApiOrigin::new("https://api.example.com")?;
/// let local = ApiOrigin::new("http://localhost:8080")?;
///
/// assert!(ApiOrigin::new("http://api.example.com").is_err());
/// assert!(ApiOrigin::new("https://api.example.com/v1").is_err());
/// # Ok::<(), dpop_tower::client::ClientError>(())
/// ```
#[derive(Clone, Debug)]
#[doc(alias = "base_url")]
pub struct ApiOrigin {
    first: Origin,
    others: Vec<Origin>,
}

impl ApiOrigin {
    /// Parses an origin: the scheme `https`, a host and, unless it is 443, a port.
    ///
    /// The scheme `http` is for a host of this machine only: `localhost`, a name below it, or a loopback
    /// address.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Origin`](ClientErrorKind::Origin) for anything else, such as a URL with
    /// a path.
    pub fn new(origin: &str) -> Result<Self, ClientError> {
        let this = Self::danger_without_tls(origin)?;
        if this.first.scheme() == "https" || this.first.is_loopback() {
            return Ok(this);
        }
        Err(wrong(format!(
            "{} is no origin with TLS: anyone who listens can read the access token. Use https, or \
             `ApiOrigin::danger_without_tls` if the connection is encrypted by something else",
            shown(origin)
        )))
    }

    /// Parses an origin like [`new`](Self::new), and allows `http` for every host.
    ///
    /// # Security
    ///
    /// Anyone who can read the traffic can read the token. Without the key it is of little use, but requests and
    /// responses can be read too, and anyone who can change the traffic can use a request in place of the client.
    /// This is for networks that encrypt by themselves, such as a service mesh.
    ///
    /// # Errors
    ///
    /// Returns an error of the kind [`Origin`](ClientErrorKind::Origin) if the text is no `http` or `https`
    /// origin.
    pub fn danger_without_tls(origin: &str) -> Result<Self, ClientError> {
        let first = Origin::parse(origin).map_err(|error| {
            wrong(format!(
                "{} is no origin, which looks like https://api.example.com",
                shown(origin)
            ))
            .with_source(error)
        })?;
        if first.port() == 0 {
            return Err(wrong(format!("the port of {} is 0", shown(origin))));
        }
        Ok(Self {
            first,
            others: Vec::new(),
        })
    }

    /// Adds another origin of the same API, which gets the same token.
    ///
    /// A request with a relative URI is for the first origin.
    ///
    /// ```
    /// use dpop_tower::client::ApiOrigin;
    ///
    /// let origin = ApiOrigin::new("https://api.example.com")?
    ///     .with_alias(ApiOrigin::new("https://api.example.org:8443")?);
    /// # Ok::<(), dpop_tower::client::ClientError>(())
    /// ```
    #[must_use]
    pub fn with_alias(mut self, other: Self) -> Self {
        self.others.push(other.first);
        self.others.extend(other.others);
        self
    }

    /// Returns the origins in their order.
    pub(super) fn into_origins(self) -> impl Iterator<Item = Origin> {
        std::iter::once(self.first).chain(self.others)
    }
}

/// Returns the origin that a request to `uri` is for, and its `htu`.
///
/// A relative URI, as in a gRPC call before the channel adds the server, is for the first origin.
pub(super) fn target<'a, T>(
    uri: &Uri,
    origins: &'a [T],
    origin_of: impl Fn(&T) -> &Origin,
) -> Result<(&'a T, String), ClientError> {
    let first = origins.first();
    if let (None, None, Some(first)) = (uri.scheme(), uri.authority(), first) {
        if !uri.path().starts_with('/') {
            return Err(ClientError::new(
                ClientErrorKind::Target,
                "the path of a request with a proof begins with a slash",
            ));
        }
        return Ok((first, [origin_of(first).as_str(), uri.path()].concat()));
    }
    let (scheme, authority) = (uri.scheme_str(), uri.authority());
    let own = origins.iter().find(|origin| {
        let origin = origin_of(origin);
        scheme == Some(origin.scheme())
            && authority.is_some_and(|authority| origin.authority_matches(authority.as_str()))
    });
    let Some(own) = own else {
        // A URI that no proof can be for has a better explanation.
        htu(uri)?;
        let known: Vec<_> = origins.iter().map(|own| origin_of(own).as_str()).collect();
        return Err(wrong(format!(
            "the request is for another origin than the token, which is for {}",
            known.join(" and ")
        )));
    };
    let path = match uri.path() {
        "" => "/",
        path => path,
    };
    Ok((own, [origin_of(own).as_str(), path].concat()))
}

fn wrong(message: String) -> ClientError {
    ClientError::new(ClientErrorKind::Origin, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(uri: &str) -> Result<(String, String), ClientErrorKind> {
        let origins = ApiOrigin::new("https://API.example.com:443")
            .unwrap()
            .with_alias(ApiOrigin::new("https://api.example.org:8443/").unwrap());
        let origins: Vec<_> = origins.into_origins().collect();
        match target(&uri.parse().unwrap(), &origins, |origin| origin) {
            Ok((origin, htu)) => Ok((origin.as_str().to_owned(), htu)),
            Err(error) => {
                assert!(!error.to_string().contains("evil"), "{error}");
                Err(error.kind())
            }
        }
    }

    #[test]
    fn a_request_is_for_the_origin_of_its_uri_or_for_the_first() {
        for (uri, origin, htu) in [
            ("/", "https://api.example.com", "https://api.example.com/"),
            (
                "/a?b",
                "https://api.example.com",
                "https://api.example.com/a",
            ),
            (
                "HTTPS://api.EXAMPLE.com:443",
                "https://api.example.com",
                "https://api.example.com/",
            ),
            (
                "https://api.example.org:8443/a",
                "https://api.example.org:8443",
                "https://api.example.org:8443/a",
            ),
        ] {
            let expected = Ok((origin.to_owned(), htu.to_owned()));
            assert_eq!(found(uri), expected, "{uri}");
        }
    }

    #[test]
    fn a_request_to_another_origin_has_none() {
        for uri in [
            "http://api.example.com/",
            "https://api.example.com:8443/",
            "https://api.example.com.evil.example/",
            "https://api.example.comevil/",
            "https://evil.example/https://api.example.com/",
            "https://api.example.org/",
        ] {
            assert_eq!(found(uri), Err(ClientErrorKind::Origin), "{uri}");
        }
        for uri in ["*", "api.example.com:443", "https://a@api.example.com/"] {
            assert_eq!(found(uri), Err(ClientErrorKind::Target), "{uri}");
        }
    }

    #[test]
    fn only_this_machine_is_called_without_tls() {
        for origin in [
            "https://api.example.com",
            "http://localhost",
            "http://api.localhost:8080",
            "http://127.0.0.1:1",
            "http://127.1.2.3",
            "http://[::1]:8080",
        ] {
            ApiOrigin::new(origin).unwrap();
        }
        for origin in [
            "http://api.example.com",
            "http://localhost.example.com",
            "http://notlocalhost",
            "http://10.0.0.1",
            "http://[::2]",
        ] {
            let error = ApiOrigin::new(origin).unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Origin, "{origin}");
            ApiOrigin::danger_without_tls(origin).unwrap();
        }
        for origin in [
            "",
            "api.example.com",
            "https://a/b",
            "ftp://a",
            "https://a:0",
        ] {
            ApiOrigin::danger_without_tls(origin).unwrap_err();
        }
    }
}
