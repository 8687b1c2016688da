//! The `htu` claim: normalising HTTP target URIs and comparing them (RFC 9449 section 4.3 item 9).
//!
//! Two URIs are equal if their normalised texts are. Normalisation follows one rule: it only rewrites what
//! RFC 3986 sections 6.2.2 and 6.2.3 and RFC 9110 section 4.2.3 call equivalent. Other URIs stay distinct,
//! even if many servers would serve the same resource.

mod difference;
mod normalise;
mod origin;

pub use self::{
    difference::{HtuDifference, HtuPart},
    origin::Origin,
};

use std::fmt;

use self::normalise::{Base, Scheme, parse_base, push_path};
use crate::error::errors;

/// An HTTP target URI without query and fragment, normalised.
///
/// RFC 9449 section 4.3 item 9 compares the `htu` claim of a proof with the URI of the request
/// "ignoring any query and fragment parts", after the syntax-based and scheme-based normalisation
/// of RFC 3986. Two values are equal exactly if the URIs are equivalent under these rules:
///
/// | Rule | Clause |
/// |---|---|
/// | scheme and host in lower case, hex digits of percent-encodings in upper case | RFC 3986 6.2.2.1 |
/// | percent-encoded unreserved characters decoded (`%7e` is `~`), no others (`%2F` is not `/`) | RFC 3986 6.2.2.2 |
/// | dot segments removed, never above the root | RFC 3986 6.2.2.3, 5.2.4 |
/// | empty and default port dropped, empty path written `/` | RFC 3986 6.2.3, RFC 9110 4.2.3 |
///
/// IPv6 literals are written in their canonical form. The case of the path, a trailing slash,
/// repeated slashes and a trailing dot of the host are significant.
///
/// # Security
///
/// If two different resources had equal values, a proof for one would be accepted for the other. If
/// equivalent URIs had different values, a good proof would be rejected.
///
/// # Example
///
/// ```
/// use dpop_tower::proof::Htu;
///
/// let claim = Htu::parse("HTTPS://API.example.com:443/a/./%62/../%7Eme?page=2#top")?;
/// assert_eq!(claim.as_str(), "https://api.example.com/a/~me");
/// assert_eq!(claim, Htu::parse("https://api.example.com/a/~me")?);
/// assert_ne!(claim, Htu::parse("https://api.example.com/a/~me/")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Htu {
    text: String,
    base: Base,
}

impl Htu {
    /// Parses an absolute `http` or `https` URI as a client wrote it in the claim.
    ///
    /// A query and a fragment are removed and not checked. Work and memory are linear in the length of
    /// `uri`, which has no limit here. The `htu` of a proof is shorter than the proof, which is limited to
    /// 16 KiB.
    ///
    /// # Errors
    ///
    /// Returns an [`HtuError`] if `uri` is not such a URI. Some characters that RFC 3986 does not allow in a
    /// path but that clients send (``[]^`{|}``) are accepted, and differ from their encoded form.
    ///
    /// ```
    /// use dpop_tower::proof::{Htu, HtuError};
    ///
    /// assert_eq!(Htu::parse("/orders"), Err(HtuError::NotAbsolute));
    /// assert_eq!(Htu::parse("https://user@api.example.com/"), Err(HtuError::UserInfo));
    /// assert_eq!(Htu::parse("wss://api.example.com/feed"), Err(HtuError::WebSocketScheme));
    /// ```
    pub fn parse(uri: &str) -> Result<Self, HtuError> {
        let (mut text, base, path) = parse_base(uri)?;
        push_path(&mut text, path)?;
        Ok(Self { text, base })
    }

    /// Returns the normalised URI, which parses to the same value again.
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

    /// Returns the port, which is the default port of the scheme if the URI has none.
    pub fn port(&self) -> u16 {
        self.base.port
    }

    /// Returns the path, which starts with `/`.
    pub fn path(&self) -> &str {
        self.text.get(self.base.end..).unwrap_or_default()
    }

    /// Returns how `received`, the `htu` of a proof, differs from `self`, the URI of the request, or `None`
    /// if they are equal.
    ///
    /// ```
    /// use dpop_tower::proof::{Htu, Origin};
    ///
    /// let expected = Origin::parse("https://api.example.com")?.with_path("/orders")?;
    /// let received = Htu::parse("https://api.example.com/v1/orders")?;
    /// let difference = expected.difference(&received).ok_or("they are equal")?;
    /// assert_eq!(difference.part().to_string(), "path prefix");
    /// assert_eq!(expected.difference(&expected), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn difference(&self, received: &Self) -> Option<HtuDifference> {
        HtuDifference::between(self, received)
    }

    fn origin(&self) -> &str {
        self.text.get(..self.base.end).unwrap_or_default()
    }
}

impl fmt::Debug for Htu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Htu").field(&self.text).finish()
    }
}

errors! {
    /// The error of parsing an [`Htu`] or an [`Origin`].
    ///
    /// It does not contain any of the text, which may come from an attacker.
    #[non_exhaustive]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum HtuError {
        /// There is a character outside ASCII. Paths must be percent-encoded, and host names IDNA-encoded.
        NotAscii = "uri contains a character outside ascii",
        /// The text does not start with `scheme://`, for example because it is only a path.
        NotAbsolute = "uri is not absolute",
        /// The scheme is neither `http` nor `https`.
        UnsupportedScheme = "uri scheme is neither http nor https",
        /// There is a user name or password before the host (RFC 9110 section 4.2.4).
        UserInfo = "uri contains user information",
        /// The host is empty.
        EmptyHost = "uri has an empty host",
        /// The host is neither a name nor an IP address, or it is an IPv6 address with a zone.
        InvalidHost = "uri has a malformed host",
        /// The port is not a number up to 65535.
        InvalidPort = "uri has a malformed port",
        /// A `%` is not followed by two hexadecimal digits.
        InvalidPercentEncoding = "uri has a malformed percent-encoding",
        /// The path has a character that no HTTP client may send there.
        InvalidPathCharacter = "uri path contains a forbidden character",
        /// The path of a request target does not start with `/`.
        RelativePath = "request path does not start with a slash",
        /// The origin has a path, a query or a fragment.
        NotAnOrigin = "origin has more than a scheme, a host and a port",
        /// The scheme is `ws` or `wss`. A WebSocket begins with an HTTP request (RFC 6455 section 1.3), so the
        /// `htu` of its proof is an `http` or `https` URI.
        WebSocketScheme = "uri scheme is ws or wss, but the htu of a websocket is the https uri of its handshake",
    }
}

#[cfg(test)]
mod tests;
