use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::{
    Htu, HtuError,
    normalise::{Base, parse_base, push_authority, push_path},
};

/// The origin by which clients reach a service: scheme, host and port.
///
/// Parse it once from your configuration. Joined with the path of a request, it is the [`Htu`] that a proof
/// for this request must have.
///
/// ```
/// use dpop_tower::proof::{Htu, Origin};
///
/// let origin = Origin::parse("https://API.example.com:443/")?;
/// assert_eq!(origin.as_str(), "https://api.example.com");
/// assert_eq!(
///     origin.with_path("/orders/7")?,
///     Htu::parse("https://api.example.com/orders/7?dry-run")?
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    text: String,
    base: Base,
}

impl Origin {
    /// Parses `scheme://host`, `scheme://host:port`, or either of them followed by one `/`.
    ///
    /// # Errors
    ///
    /// Returns an [`HtuError`] for anything else. An origin has no user information, path, query or fragment.
    ///
    /// ```
    /// use dpop_tower::proof::{HtuError, Origin};
    ///
    /// assert_eq!(Origin::parse("https://api.example.com/v1"), Err(HtuError::NotAnOrigin));
    /// assert_eq!(Origin::parse("api.example.com"), Err(HtuError::NotAbsolute));
    /// ```
    pub fn parse(origin: &str) -> Result<Self, HtuError> {
        if origin.contains(['?', '#']) {
            return Err(HtuError::NotAnOrigin);
        }
        let (text, base, path) = parse_base(origin)?;
        match path {
            "" | "/" => Ok(Self { text, base }),
            _ => Err(HtuError::NotAnOrigin),
        }
    }

    /// Returns the target URI of a request for `path` at this origin.
    ///
    /// `path` is the path of the request target as it was received, not decoded and without the query.
    /// An empty path means `/`. Work and memory are linear in its length, which is below 64 KiB in an
    /// [`http::Uri`].
    ///
    /// # Errors
    ///
    /// Returns an [`HtuError`] if `path` does not start with `/` (such as the `*` of `OPTIONS *`), contains
    /// `?` or `#`, or is malformed.
    pub fn with_path(&self, path: &str) -> Result<Htu, HtuError> {
        if !path.is_ascii() {
            return Err(HtuError::NotAscii);
        }
        if !path.is_empty() && !path.starts_with('/') {
            return Err(HtuError::RelativePath);
        }
        // One more byte, for the `/` of an empty path.
        let capacity = self.text.len().saturating_add(path.len());
        let mut text = String::with_capacity(capacity.saturating_add(1));
        text.push_str(&self.text);
        push_path(&mut text, path)?;
        Ok(Htu {
            text,
            base: self.base,
        })
    }

    /// Returns whether `authority`, the value of a `Host` header field or of `:authority`, names this
    /// origin.
    ///
    /// Case is ignored, and a missing port is the default port of this origin's scheme. Anything
    /// malformed, including user information, names no origin.
    ///
    /// ```
    /// use dpop_tower::proof::Origin;
    ///
    /// let origin = Origin::parse("https://api.example.com")?;
    /// assert!(origin.authority_matches("API.example.com:443"));
    /// assert!(!origin.authority_matches("api.example.com:80"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn authority_matches(&self, authority: &str) -> bool {
        let scheme = self.base.scheme;
        // Almost every request takes the first branch, which allocates nothing.
        self.text
            .strip_prefix(scheme.prefix())
            .is_some_and(|own| own.eq_ignore_ascii_case(authority))
            || {
                let capacity = self.text.len().saturating_add(authority.len());
                let mut text = String::with_capacity(capacity);
                text.push_str(scheme.prefix());
                push_authority(&mut text, scheme, authority).is_ok() && text == self.text
            }
    }

    /// Returns the normalised origin, without a trailing slash and without a default port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.base.scheme.as_str()
    }

    /// Returns the host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.base.host(&self.text)
    }

    /// Returns the port, which is the default port of the scheme if none was given.
    pub fn port(&self) -> u16 {
        self.base.port
    }

    /// Returns whether the host can only be the machine of the caller.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        if let Some(address) = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
        {
            let address = address.parse::<Ipv6Addr>();
            return address.is_ok_and(|address| address.is_loopback());
        }
        host == "localhost"
            || host.ends_with(".localhost")
            || host
                .parse::<Ipv4Addr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.text).finish()
    }
}
