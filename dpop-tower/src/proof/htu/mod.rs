//! The `htu` claim: normalising HTTP target URIs, and comparing them (RFC 9449 section 4.3 item 9).
//!
//! Equality is that of the normalised text, so everything rests on one rule: a spelling is only
//! rewritten where RFC 3986 sections 6.2.2 and 6.2.3 and RFC 9110 section 4.2.3 call the two
//! spellings equivalent. What they do not call equivalent stays distinct, even if many servers
//! would serve the same resource.

use std::{
    error::Error,
    fmt::{self, Write as _},
    net::Ipv6Addr,
};

mod difference;

pub use difference::{HtuDifference, HtuPart};

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
    /// Parses an absolute `http` or `https` URI as a client wrote it in the claim. A query and a
    /// fragment are cut off unread.
    ///
    /// The work is linear in the length of `uri`; limiting that length is the caller's business.
    ///
    /// # Errors
    ///
    /// If `uri` is not such a URI. Some characters that RFC 3986 does not allow in a path but that
    /// clients send regardless (``[]^`{|}``) are accepted, and differ from their encoded form.
    pub fn parse(uri: &str) -> Result<Self, HtuError> {
        let (mut text, base, path) = parse_base(uri)?;
        push_path(&mut text, path)?;
        Ok(Self { text, base })
    }

    /// The whole normalised URI, which parses to the same value again.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.base.scheme.as_str()
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.base.host(&self.text)
    }

    /// The port, which is that of the scheme if the URI names none.
    pub fn port(&self) -> u16 {
        self.base.port
    }

    /// The path, which starts with `/`.
    pub fn path(&self) -> &str {
        self.text.get(self.base.end..).unwrap_or_default()
    }

    /// Why a proof for `received` does not fit a request for `self`, or `None` if it fits.
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

/// The origin under which clients reach a service: scheme, host and port.
///
/// It is parsed once from configuration, and joined with the path of each request to give the
/// [`Htu`] that a proof for this request has to name.
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
    /// If `origin` is anything else: an origin has no user information, path, query or fragment.
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

    /// The target URI of a request for `path` at this origin.
    ///
    /// `path` is that of the request target as it was received, not decoded and without the query.
    /// An empty path means `/`.
    ///
    /// # Errors
    ///
    /// If `path` does not start with `/` (such as the `*` of `OPTIONS *`), contains `?` or `#`, or
    /// is malformed.
    pub fn with_path(&self, path: &str) -> Result<Htu, HtuError> {
        if !path.is_ascii() {
            return Err(HtuError::NotAscii);
        }
        if !path.is_empty() && !path.starts_with('/') {
            return Err(HtuError::RelativePath);
        }
        // One more than both together, for the `/` of an empty path.
        let capacity = self.text.len().saturating_add(path.len());
        let mut text = String::with_capacity(capacity.saturating_add(1));
        text.push_str(&self.text);
        push_path(&mut text, path)?;
        Ok(Htu {
            text,
            base: self.base,
        })
    }

    /// Whether `authority`, the value of a `Host` header field or of `:authority`, names this
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

    /// The normalised origin, without a trailing slash and without a default port.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.base.scheme.as_str()
    }

    /// The host: a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        self.base.host(&self.text)
    }

    /// The port, which is that of the scheme if none was given.
    pub fn port(&self) -> u16 {
        self.base.port
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Origin").field(&self.text).finish()
    }
}

/// Why a text is not an [`Htu`] or an [`Origin`].
///
/// It never holds any of the text, which is likely an attacker's.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HtuError {
    /// A character outside ASCII: paths have to be percent-encoded, host names IDNA-encoded.
    NotAscii,
    /// Not of the form `scheme://`, such as a bare path.
    NotAbsolute,
    /// A scheme other than `http` and `https`.
    UnsupportedScheme,
    /// A user name or password before the host (RFC 9110 section 4.2.4).
    UserInfo,
    /// No host.
    EmptyHost,
    /// A host that is neither a name nor an IP address, or an IPv6 address with a zone.
    InvalidHost,
    /// A port that is not a number up to 65535.
    InvalidPort,
    /// A `%` without two hexadecimal digits after it.
    InvalidPercentEncoding,
    /// A character in the path that no HTTP client may send there.
    InvalidPathCharacter,
    /// The path of a request target that does not start with `/`.
    RelativePath,
    /// An origin that goes on after host and port.
    NotAnOrigin,
}

impl fmt::Display for HtuError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAscii => "uri contains a character outside ascii",
            Self::NotAbsolute => "uri is not absolute",
            Self::UnsupportedScheme => "uri scheme is neither http nor https",
            Self::UserInfo => "uri contains user information",
            Self::EmptyHost => "uri has an empty host",
            Self::InvalidHost => "uri has a malformed host",
            Self::InvalidPort => "uri has a malformed port",
            Self::InvalidPercentEncoding => "uri has a malformed percent-encoding",
            Self::InvalidPathCharacter => "uri path contains a forbidden character",
            Self::RelativePath => "request path does not start with a slash",
            Self::NotAnOrigin => "origin has more than a scheme, a host and a port",
        })
    }
}

impl Error for HtuError {}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, HtuError> {
        [Self::Https, Self::Http]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or(HtuError::UnsupportedScheme)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What is known of a normalised text up to its path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Base {
    scheme: Scheme,
    port: u16,
    host_end: usize,
    end: usize,
}

impl Base {
    fn host(self, text: &str) -> &str {
        text.get(self.scheme.prefix().len()..self.host_end)
            .unwrap_or_default()
    }
}

/// The normalised text up to the path, and the path as it was written, without query and fragment.
fn parse_base(uri: &str) -> Result<(String, Base, &str), HtuError> {
    if !uri.is_ascii() {
        return Err(HtuError::NotAscii);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(HtuError::NotAbsolute)?;
    let scheme = Scheme::parse(scheme)?;
    let rest = rest.strip_prefix("//").ok_or(HtuError::NotAbsolute)?;
    let rest = rest
        .find(['?', '#'])
        .map_or(rest, |cut| cut_at(rest, cut).0);
    let (authority, path) = rest
        .find('/')
        .map_or((rest, ""), |slash| cut_at(rest, slash));

    // Normalisation shortens, but for the `/` of an empty path and some IPv6 literals.
    let capacity = scheme.prefix().len().saturating_add(rest.len());
    let mut text = String::with_capacity(capacity.saturating_add(1));
    text.push_str(scheme.prefix());
    let base = push_authority(&mut text, scheme, authority)?;
    Ok((text, base, path))
}

fn cut_at(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// Appends the normalised `authority` to `text`, which holds `scheme://` so far.
fn push_authority(text: &mut String, scheme: Scheme, authority: &str) -> Result<Base, HtuError> {
    if authority.contains('@') {
        return Err(HtuError::UserInfo);
    }
    let port = if let Some(literal) = authority.strip_prefix('[') {
        let (address, port) = literal.split_once(']').ok_or(HtuError::InvalidHost)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HtuError::InvalidHost)?;
        write!(text, "[{address}]").map_err(|_| HtuError::InvalidHost)?;
        match port.strip_prefix(':') {
            Some(port) => port,
            None if port.is_empty() => port,
            None => return Err(HtuError::InvalidHost),
        }
    } else {
        let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
        if host.is_empty() {
            return Err(HtuError::EmptyHost);
        }
        push_component(text, host, Component::Host)?;
        port
    };
    let host_end = text.len();

    let port = if port.is_empty() {
        scheme.default_port()
    } else if port.bytes().all(|digit| digit.is_ascii_digit()) {
        port.parse().map_err(|_| HtuError::InvalidPort)?
    } else {
        return Err(HtuError::InvalidPort);
    };
    if port != scheme.default_port() {
        write!(text, ":{port}").map_err(|_| HtuError::InvalidPort)?;
    }
    Ok(Base {
        scheme,
        port,
        host_end,
        end: text.len(),
    })
}

/// Appends the normalised `path`, which is empty or starts with `/`, to `text`, which holds the
/// origin so far.
fn push_path(text: &mut String, path: &str) -> Result<(), HtuError> {
    let root = text.len();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = text.len();
        text.push('/');
        push_component(text, segment, Component::Path)?;
        // Only now, because `%2e` is a dot as well.
        match text.get(start..) {
            Some("/.") => text.truncate(start),
            Some("/..") => {
                text.truncate(start);
                if let Some(parent) = text.rfind('/').filter(|slash| *slash >= root) {
                    text.truncate(parent);
                }
            }
            _ => continue,
        }
        // A dot segment names a directory: `/a/.` is `/a/`, and `/a/..` is `/`.
        if segments.peek().is_none() {
            text.push('/');
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Component {
    Host,
    /// One segment of the path.
    Path,
}

impl Component {
    const fn allows(self, octet: u8) -> bool {
        match self {
            Self::Host => is_unreserved(octet) || is_sub_delim(octet),
            Self::Path => {
                octet.is_ascii_graphic()
                    && !matches!(octet, b'"' | b'<' | b'>' | b'\\' | b'?' | b'#')
            }
        }
    }

    const fn error(self) -> HtuError {
        match self {
            Self::Host => HtuError::InvalidHost,
            Self::Path => HtuError::InvalidPathCharacter,
        }
    }

    fn push(self, text: &mut String, plain: &str) {
        match self {
            Self::Host => text.extend(plain.chars().map(|c| c.to_ascii_lowercase())),
            Self::Path => text.push_str(plain),
        }
    }
}

/// Appends `raw` to `text` with its percent-encodings normalised.
fn push_component(text: &mut String, raw: &str, component: Component) -> Result<(), HtuError> {
    let push_plain = |text: &mut String, plain: &str| {
        if plain.bytes().all(|octet| component.allows(octet)) {
            component.push(text, plain);
            Ok(())
        } else {
            Err(component.error())
        }
    };
    let mut pieces = raw.split('%');
    push_plain(text, pieces.next().unwrap_or_default())?;
    for piece in pieces {
        let (hex, plain) = (piece.split_at_checked(2)).ok_or(HtuError::InvalidPercentEncoding)?;
        push_encoded(text, hex, component)?;
        push_plain(text, plain)?;
    }
    Ok(())
}

fn push_encoded(text: &mut String, hex: &str, component: Component) -> Result<(), HtuError> {
    // `from_str_radix` alone would take `+f`.
    if !hex.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(HtuError::InvalidPercentEncoding);
    }
    let octet = u8::from_str_radix(hex, 16).map_err(|_| HtuError::InvalidPercentEncoding)?;
    if is_unreserved(octet) {
        component.push(text, char::from(octet).encode_utf8(&mut [0; 4]));
    } else {
        text.push('%');
        text.extend(hex.chars().map(|digit| digit.to_ascii_uppercase()));
    }
    Ok(())
}

/// RFC 3986 section 2.3.
const fn is_unreserved(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b'~')
}

/// RFC 3986 section 2.2.
const fn is_sub_delim(octet: u8) -> bool {
    matches!(
        octet,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}

#[cfg(test)]
mod tests {
    use std::iter;

    use proptest::{prelude::*, sample::select};

    use super::*;

    fn htu(uri: &str) -> Htu {
        Htu::parse(uri).unwrap_or_else(|error| panic!("{uri:?}: {error}"))
    }

    fn origin(origin: &str) -> Origin {
        Origin::parse(origin).unwrap_or_else(|error| panic!("{origin:?}: {error}"))
    }

    #[track_caller]
    fn assert_normalises(cases: &[(&str, &str)]) {
        for (written, normal) in cases {
            assert_eq!(htu(written).as_str(), *normal, "{written:?}");
            assert_eq!(htu(normal).as_str(), *normal, "again, {written:?}");
        }
    }

    #[track_caller]
    fn assert_refuses(cases: &[(&str, HtuError)]) {
        for (written, error) in cases {
            assert_eq!(Htu::parse(written), Err(*error), "{written:?}");
        }
    }

    #[test]
    fn scheme_and_host_are_case_insensitive() {
        assert_normalises(&[
            (
                "HTTPS://API.Example.COM/Path",
                "https://api.example.com/Path",
            ),
            ("hTTp://a/", "http://a/"),
            ("https://%41pi.example/", "https://api.example/"),
            ("https://a%2eb/", "https://a.b/"),
            ("https://a%c3%a9%2f/", "https://a%C3%A9%2F/"),
            ("https://a!$&'()*+,;=_~-/", "https://a!$&'()*+,;=_~-/"),
            ("https://192.0.2.1/", "https://192.0.2.1/"),
            ("https://192.000.02.1/", "https://192.000.02.1/"),
        ]);
    }

    #[test]
    fn a_default_or_empty_port_is_dropped() {
        assert_normalises(&[
            ("https://a:443/", "https://a/"),
            ("https://a:0443/", "https://a/"),
            ("https://a:/", "https://a/"),
            ("https://a:", "https://a/"),
            ("http://a:80/", "http://a/"),
            ("http://a:443/", "http://a:443/"),
            ("https://a:80/", "https://a:80/"),
            ("https://a:008443/", "https://a:8443/"),
            ("https://a:65535/", "https://a:65535/"),
            ("https://a:0/", "https://a:0/"),
            ("https://[::1]:443/", "https://[::1]/"),
            ("https://[::1]:/", "https://[::1]/"),
            ("https://[::1]:8443/", "https://[::1]:8443/"),
        ]);
        assert_refuses(&[
            ("https://a:65536/", HtuError::InvalidPort),
            ("https://a:99999999999999999999/", HtuError::InvalidPort),
            ("https://a:+443/", HtuError::InvalidPort),
            ("https://a:-1/", HtuError::InvalidPort),
            ("https://a: 443/", HtuError::InvalidPort),
            ("https://a:44%33/", HtuError::InvalidPort),
            ("https://a:443:443/", HtuError::InvalidPort),
        ]);
    }

    #[test]
    fn ipv6_literals_are_written_canonically() {
        assert_normalises(&[
            ("https://[2001:DB8:0:0:0:0:0:1]/", "https://[2001:db8::1]/"),
            ("https://[2001:0db8::0001]/", "https://[2001:db8::1]/"),
            ("https://[::FFFF:C000:0201]/", "https://[::ffff:192.0.2.1]/"),
            ("https://[1::2:3:4:5:6:7]/", "https://[1:0:2:3:4:5:6:7]/"),
        ]);
        assert_refuses(&[
            ("https://[::1/", HtuError::InvalidHost),
            ("https://[]/", HtuError::InvalidHost),
            ("https://[::1]x/", HtuError::InvalidHost),
            ("https://[::1]443/", HtuError::InvalidHost),
            ("https://[192.0.2.1]/", HtuError::InvalidHost),
            ("https://[::%31]/", HtuError::InvalidHost),
            ("https://[fe80::1%25eth0]/", HtuError::InvalidHost),
            ("https://[fe80::1%eth0]/", HtuError::InvalidHost),
            ("https://[v1.a]/", HtuError::InvalidHost),
            ("https://[[::1]]/", HtuError::InvalidHost),
            ("https://::1/", HtuError::EmptyHost),
        ]);
    }

    #[test]
    fn hosts_that_are_no_names_are_refused() {
        assert_refuses(&[
            ("https://", HtuError::EmptyHost),
            ("https:///a", HtuError::EmptyHost),
            ("https://?a", HtuError::EmptyHost),
            ("https://:443/", HtuError::EmptyHost),
            ("https://user@a/", HtuError::UserInfo),
            ("https://user:password@a:443/", HtuError::UserInfo),
            ("https://@a/", HtuError::UserInfo),
            ("https://a]/", HtuError::InvalidHost),
            ("https://a b/", HtuError::InvalidHost),
            ("https://a\\b/", HtuError::InvalidHost),
            ("https://a|b/", HtuError::InvalidHost),
            ("https://a\t/", HtuError::InvalidHost),
            ("https://a%/", HtuError::InvalidPercentEncoding),
            ("https://a%4/", HtuError::InvalidPercentEncoding),
            ("https://a%g0/", HtuError::InvalidPercentEncoding),
        ]);
    }

    #[test]
    fn internationalised_names_have_to_be_a_labels() {
        assert_normalises(&[(
            "https://XN--BCHER-KVA.example/",
            "https://xn--bcher-kva.example/",
        )]);
        assert_refuses(&[
            ("https://b\u{fc}cher.example/", HtuError::NotAscii),
            // The Kelvin sign and the long s lower-case to ASCII letters.
            ("https://\u{212a}.example/", HtuError::NotAscii),
            ("http\u{17f}://a/", HtuError::NotAscii),
            ("https://a/caf\u{e9}", HtuError::NotAscii),
            ("https://a/?caf\u{e9}", HtuError::NotAscii),
        ]);
    }

    #[test]
    fn only_absolute_http_uris_are_accepted() {
        assert_refuses(&[
            ("", HtuError::NotAbsolute),
            ("/orders", HtuError::NotAbsolute),
            ("//a/orders", HtuError::NotAbsolute),
            ("https", HtuError::NotAbsolute),
            ("https:", HtuError::NotAbsolute),
            ("https:a", HtuError::NotAbsolute),
            ("https:/a", HtuError::NotAbsolute),
            ("https:\\\\a", HtuError::NotAbsolute),
            ("ftp://a/", HtuError::UnsupportedScheme),
            ("httpss://a/", HtuError::UnsupportedScheme),
            ("http%73://a/", HtuError::UnsupportedScheme),
            (" https://a/", HtuError::UnsupportedScheme),
            ("://a/", HtuError::UnsupportedScheme),
            ("a:443/", HtuError::UnsupportedScheme),
        ]);
    }

    #[test]
    fn query_and_fragment_are_ignored() {
        assert_normalises(&[
            ("https://a/b?c=d", "https://a/b"),
            ("https://a/b?c=/../d#e", "https://a/b"),
            ("https://a/b#c?d", "https://a/b"),
            ("https://a/b/?%zz \\", "https://a/b/"),
            ("https://a?b", "https://a/"),
            ("https://a#@b/c", "https://a/"),
            ("https://a?//b/c:d@e", "https://a/"),
        ]);
    }

    #[test]
    fn only_unreserved_characters_are_decoded() {
        assert_normalises(&[
            ("https://a/%61%7E%7e%2D%5f%30", "https://a/a~~-_0"),
            ("https://a/%2f%2F%3a%5c", "https://a/%2F%2F%3A%5C"),
            ("https://a/%2561", "https://a/%2561"),
            ("https://a/%25%36%31", "https://a/%2561"),
            ("https://a/%00%0a%20%c3%a9", "https://a/%00%0A%20%C3%A9"),
            ("https://a/:@!$&'()*+,;=", "https://a/:@!$&'()*+,;="),
            ("https://a/|[]^`{}", "https://a/|[]^`{}"),
        ]);
        assert_ne!(htu("https://a/|"), htu("https://a/%7C"));
        assert_ne!(htu("https://a/:"), htu("https://a/%3A"));
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [
            "%", "%4", "%zz", "%4g", "%+1", "%%41", "a%4/1", "%2", "%4%41",
        ] {
            let uri = format!("https://a/{path}");
            assert_eq!(
                Htu::parse(&uri),
                Err(HtuError::InvalidPercentEncoding),
                "{path:?}"
            );
        }
        for forbidden in ('\0'..=' ').chain(['"', '<', '>', '\\', '\u{7f}']) {
            let uri = format!("https://a/b{forbidden}c");
            assert_eq!(
                Htu::parse(&uri),
                Err(HtuError::InvalidPathCharacter),
                "{forbidden:?}"
            );
        }
    }

    #[test]
    fn dot_segments_are_removed_and_nothing_else() {
        assert_normalises(&[
            // RFC 3986 section 5.2.4.
            ("https://a/a/b/c/./../../g", "https://a/a/g"),
            ("https://a/mid/content=5/../6", "https://a/mid/6"),
            ("https://a/.", "https://a/"),
            ("https://a/..", "https://a/"),
            ("https://a/./", "https://a/"),
            ("https://a/../../../b", "https://a/b"),
            ("https://a/b/..", "https://a/"),
            ("https://a/b/../", "https://a/"),
            ("https://a/b/.", "https://a/b/"),
            ("https://a/b/c/..", "https://a/b/"),
            ("https://a/%2e%2E/b", "https://a/b"),
            ("https://a/b/.%2e/c", "https://a/c"),
            ("https://a/b/%2e", "https://a/b/"),
            ("https://a/.../..b/.c/d./e..", "https://a/.../..b/.c/d./e.."),
            ("https://a/b%2F../c", "https://a/b%2F../c"),
            ("https://a/b%2F..", "https://a/b%2F.."),
            ("https://a/b/%2F/../c", "https://a/b/c"),
            ("https://a/%252e%252e/b", "https://a/%252e%252e/b"),
        ]);
    }

    #[test]
    fn empty_segments_are_segments() {
        assert_normalises(&[
            ("https://a", "https://a/"),
            ("https://a//", "https://a//"),
            ("https://a//b", "https://a//b"),
            ("https://a/b//c///", "https://a/b//c///"),
            ("https://a/a/..//b", "https://a//b"),
            ("https://a/..//b", "https://a//b"),
            ("https://a//..", "https://a/"),
            ("https://a//../b", "https://a/b"),
            ("https://a/b//../c", "https://a/b/c"),
            ("https://a/.//b.example/", "https://a//b.example/"),
        ]);
    }

    #[test]
    fn a_trailing_dot_of_the_host_is_significant() {
        assert_eq!(htu("https://a./b").as_str(), "https://a./b");
        assert_ne!(htu("https://a./b"), htu("https://a/b"));
        assert!(!origin("https://a").authority_matches("a."));
    }

    #[test]
    fn parts_can_be_read() {
        let uri = htu("https://API.example.com/a/b?c");
        assert_eq!(
            (uri.scheme(), uri.host(), uri.port(), uri.path()),
            ("https", "api.example.com", 443, "/a/b")
        );
        let uri = htu("http://[::1]:8080");
        assert_eq!(
            (uri.scheme(), uri.host(), uri.port(), uri.path()),
            ("http", "[::1]", 8080, "/")
        );
        let own = origin("http://LOCALHOST:3000/");
        assert_eq!(
            (own.as_str(), own.scheme(), own.host(), own.port()),
            ("http://localhost:3000", "http", "localhost", 3000)
        );
        assert_eq!(format!("{uri:?}"), "Htu(\"http://[::1]:8080/\")");
        assert_eq!(format!("{own:?}"), "Origin(\"http://localhost:3000\")");
    }

    #[test]
    fn an_origin_is_scheme_host_and_port_only() {
        for accepted in ["https://a", "https://a/", "HTTPS://A:443", "https://a:/"] {
            assert_eq!(origin(accepted).as_str(), "https://a", "{accepted:?}");
        }
        for (refused, error) in [
            ("https://a/b", HtuError::NotAnOrigin),
            ("https://a//", HtuError::NotAnOrigin),
            ("https://a/.", HtuError::NotAnOrigin),
            ("https://a?", HtuError::NotAnOrigin),
            ("https://a/#", HtuError::NotAnOrigin),
            ("https://user@a", HtuError::UserInfo),
            ("https://", HtuError::EmptyHost),
            ("a.example", HtuError::NotAbsolute),
            ("ws://a", HtuError::UnsupportedScheme),
            ("https://\u{e9}", HtuError::NotAscii),
        ] {
            assert_eq!(Origin::parse(refused), Err(error), "{refused:?}");
        }
    }

    #[test]
    fn an_origin_is_joined_with_paths_only() {
        let own = origin("https://a:8443");
        assert_eq!(own.with_path("/b/../%63"), Ok(htu("https://a:8443/c")));
        assert_eq!(own.with_path(""), Ok(htu("https://a:8443")));
        assert_eq!(
            own.with_path("//evil.example/"),
            Ok(htu("https://a:8443//evil.example/"))
        );
        for (path, error) in [
            ("*", HtuError::RelativePath),
            ("b", HtuError::RelativePath),
            (".evil.example/", HtuError::RelativePath),
            ("@evil.example/", HtuError::RelativePath),
            ("https://a:8443/b", HtuError::RelativePath),
            ("/b?c", HtuError::InvalidPathCharacter),
            ("/b#c", HtuError::InvalidPathCharacter),
            ("?", HtuError::RelativePath),
            ("/ b", HtuError::InvalidPathCharacter),
            ("/%b", HtuError::InvalidPercentEncoding),
            ("/\u{e9}", HtuError::NotAscii),
        ] {
            assert_eq!(own.with_path(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn authorities_are_matched_by_meaning() {
        let own = origin("https://api.example.com");
        for same in [
            "api.example.com",
            "API.Example.Com",
            "api.example.com:443",
            "api.example.com:",
            "api.example.com:00443",
            "%61pi.example.com",
        ] {
            assert!(own.authority_matches(same), "{same:?}");
        }
        for other in [
            "",
            ":",
            ":443",
            "api.example.com:80",
            "api.example.com:8443",
            "api.example.com.",
            "example.com",
            "xapi.example.com",
            "api.example.com/",
            "api.example.com?",
            "api.example.com#",
            "api.example.com ",
            " api.example.com",
            "user@api.example.com",
            "@api.example.com",
            "api.example.com:443:443",
            "api.example.com,evil.example",
            "https://api.example.com",
            "\u{212a}pi.example.com",
        ] {
            assert!(!own.authority_matches(other), "{other:?}");
        }
        assert!(origin("http://a").authority_matches("a:80"));
        assert!(!origin("http://a").authority_matches("a:443"));
        assert!(origin("https://a:8443").authority_matches("A:8443"));
        assert!(!origin("https://a:8443").authority_matches("a"));
        assert!(origin("https://[::1]").authority_matches("[0:0:0:0:0:0:0:1]:443"));
        assert!(!origin("https://[::1]").authority_matches("::1"));
    }

    #[test]
    fn errors_read_as_the_end_of_a_sentence() {
        for error in [
            HtuError::NotAscii,
            HtuError::NotAbsolute,
            HtuError::UnsupportedScheme,
            HtuError::UserInfo,
            HtuError::EmptyHost,
            HtuError::InvalidHost,
            HtuError::InvalidPort,
            HtuError::InvalidPercentEncoding,
            HtuError::InvalidPathCharacter,
            HtuError::RelativePath,
            HtuError::NotAnOrigin,
        ] {
            let text = error.to_string();
            assert_eq!(text, text.to_lowercase());
            assert!(!text.ends_with('.') && !text.contains('\n'), "{text:?}");
        }
    }

    /// A resource, each part in its only normal form. `spell` writes it in any equivalent form.
    #[derive(Clone, Debug)]
    struct Resource {
        scheme: Scheme,
        host: String,
        /// `None` is the default port.
        port: Option<u16>,
        segments: Vec<String>,
    }

    impl Resource {
        fn normal(&self) -> String {
            let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
            let path = self.segments.join("/");
            format!("{}{}{port}/{path}", self.scheme.prefix(), self.host)
        }

        fn spell(&self, dice: &[u8]) -> String {
            let dice = &mut dice.iter().copied().cycle();
            let mut uri = any_case(self.scheme.as_str(), dice) + "://";
            if self.host.starts_with('[') {
                uri += &any_case(&self.host, dice);
            } else {
                uri += &any_encoding(&self.host, true, dice);
            }
            let (port, width) = (
                self.port.unwrap_or(self.scheme.default_port()),
                roll(dice, 9),
            );
            uri += &match (self.port, width) {
                (None, 0..3) => String::new(),
                (None, 3) => ":".to_owned(),
                _ => [":", &format!("{port:0width$}")].concat(),
            };
            let [parents @ .., last] = self.segments.as_slice() else {
                panic!("a path has a segment");
            };
            let root = uri.len();
            for _ in 0..roll(dice, 3) {
                uri += pick(dice, ["/..", "/%2e.", "/.", "/%2E"]);
            }
            for parent in parents {
                uri += pick(dice, NOWHERE);
                uri += "/";
                uri += &any_encoding(parent, false, dice);
            }
            uri += pick(dice, NOWHERE);
            if last.is_empty() {
                uri += pick(dice, ["/", "/.", "/x/..", "//%2e%2E", "/%2e"]);
            } else {
                uri += "/";
                uri += &any_encoding(last, false, dice);
            }
            if uri.get(root..) == Some("/") && roll(dice, 2) == 0 {
                uri.truncate(root);
            }
            uri + pick(dice, ["", "", "?", "#", "?a=/../b", "#%zz/?", "?://@"])
        }
    }

    /// Paths that lead back to where they start, if a segment follows.
    const NOWHERE: [&str; 8] = [
        "",
        "",
        "",
        "/.",
        "/%2E/.",
        "/x/..",
        "//%2e.",
        "/%2f/y/../%2E%2e/.",
    ];

    fn roll(dice: &mut impl Iterator<Item = u8>, sides: u8) -> usize {
        usize::from(dice.next().unwrap() % sides)
    }

    fn pick<'a, const N: usize>(
        dice: &mut impl Iterator<Item = u8>,
        from: [&'a str; N],
    ) -> &'a str {
        from[roll(dice, u8::try_from(N).unwrap())]
    }

    fn any_case(text: &str, dice: &mut impl Iterator<Item = u8>) -> String {
        text.chars()
            .map(|c| match roll(dice, 2) {
                0 => c.to_ascii_uppercase(),
                _ => c.to_ascii_lowercase(),
            })
            .collect()
    }

    fn any_encoding(text: &str, host: bool, dice: &mut impl Iterator<Item = u8>) -> String {
        let mut spelled = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let unit = if c == '%' { 3 } else { 1 };
            let (unit, tail) = rest.split_at(unit);
            rest = tail;
            let unit = if host || c == '%' {
                any_case(unit, dice)
            } else {
                unit.to_owned()
            };
            spelled += &match unit.as_bytes() {
                [octet] if is_unreserved(*octet) && roll(dice, 3) == 0 => {
                    any_case(&format!("%{octet:02x}"), dice)
                }
                _ => unit,
            };
        }
        spelled
    }

    fn dice() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(any::<u8>(), 1..64)
    }

    fn segment() -> impl Strategy<Value = String> {
        let atom = prop_oneof![
            4 => "[a-zA-Z0-9._~-]",
            1 => "[!$&'()*+,;=:@|^`{}\\[\\]]",
            1 => select(vec!["%2F", "%25", "%3F", "%23", "%20", "%00", "%C3%A9", "%5C", "%2525"])
                .prop_map(str::to_owned),
        ];
        prop::collection::vec(atom, 0..5)
            .prop_map(|atoms| atoms.concat())
            .prop_filter("no dot segment", |text| text != "." && text != "..")
    }

    fn scheme() -> impl Strategy<Value = Scheme> {
        select(vec![Scheme::Http, Scheme::Https])
    }

    fn resource() -> impl Strategy<Value = Resource> {
        let host = prop_oneof![
            6 => "[a-z0-9_~-]{1,4}(\\.[a-z0-9]{1,3}){0,2}\\.?",
            1 => "[a-z](%C3%A9|%2F|!|=|%25){1,2}",
            1 => any::<[u16; 8]>().prop_map(|groups| format!("[{}]", Ipv6Addr::from(groups))),
            1 => select(vec!["[::1]", "[::]", "[2001:db8::1]", "[::ffff:192.0.2.1]"])
                .prop_map(str::to_owned),
        ];
        let port =
            prop::option::of(any::<u16>().prop_filter("default", |p| ![80, 443].contains(p)));
        let segments = prop::collection::vec(segment(), 1..6);
        (scheme(), host, port, segments).prop_map(|(scheme, host, port, segments)| Resource {
            scheme,
            host,
            port,
            segments,
        })
    }

    /// Texts that are URIs or almost URIs, with everything in them that is special anywhere.
    fn near_uri() -> impl Strategy<Value = String> {
        const PIECES: &str = "/ / / // . .. %2e %2E %2f %41 % %4 %zz %C3 a A b ~ : :443 :80 \
            :65536 @ ? # [ ] [::1] [1::] :: | \\ \0 \" < \u{e9} \u{212a} +1 * 0";
        const STARTS: &str = "x http http: https:// https://a HTTP://a/ https://[::1]";
        let pieces = [" ", "\t", "\n"].into_iter().chain(PIECES.split(' '));
        let piece = select(pieces.collect::<Vec<_>>());
        let start = select(iter::once("").chain(STARTS.split(' ')).collect::<Vec<_>>());
        (start, prop::collection::vec(piece, 0..12))
            .prop_map(|(start, pieces)| start.to_owned() + &pieces.concat())
    }

    fn assert_normal(uri: &Htu) {
        let (text, host) = (uri.as_str(), uri.host());
        assert_eq!(htu(text).text, text);
        assert_eq!(htu(text), *uri);
        let explicit_port = format!("{}://{host}:{}{}", uri.scheme(), uri.port(), uri.path());
        assert_eq!(htu(&explicit_port), *uri);

        let graphic = text.bytes().all(|octet| octet.is_ascii_graphic());
        assert!(graphic && !text.contains(['?', '#', '\\', '"']), "{text:?}");
        assert!(["http", "https"].contains(&uri.scheme()), "{text:?}");
        assert!(!host.is_empty() && !host.contains(['@', '/']), "{text:?}");
        assert!(
            host.contains('%') || host == host.to_lowercase(),
            "{text:?}"
        );
        assert!(uri.path().starts_with('/'), "{text:?}");
        assert!(
            uri.path()
                .split('/')
                .all(|segment| segment != "." && segment != ".."),
            "{text:?}"
        );
        for piece in text.split('%').skip(1) {
            let octet = u8::from_str_radix(&piece[..2], 16).unwrap();
            assert!(!is_unreserved(octet), "{text:?}");
            assert_eq!(piece[..2], piece[..2].to_uppercase());
        }
    }

    /// RFC 3986 section 5.2.4 to the letter.
    fn remove_dot_segments(path: &str) -> String {
        let mut input = path.to_owned();
        let mut output = String::new();
        while !input.is_empty() {
            if let Some(rest) = input.strip_prefix("../").or(input.strip_prefix("./")) {
                input = rest.to_owned();
            } else if input.starts_with("/./") || input == "/." {
                input = "/".to_owned() + input.get(3..).unwrap_or_default();
            } else if input.starts_with("/../") || input == "/.." {
                input = "/".to_owned() + input.get(4..).unwrap_or_default();
                output.truncate(output.rfind('/').unwrap_or(0));
            } else if input == "." || input == ".." {
                input.clear();
            } else {
                let end = input[1..].find('/').map_or(input.len(), |slash| slash + 1);
                output += &input[..end];
                input = input[end..].to_owned();
            }
        }
        output
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_accepted_is_normal(text in prop_oneof![
            near_uri(), any::<String>(), any::<String>().prop_map(|text| "https://".to_owned() + &text),
        ]) {
            if let Ok(uri) = Htu::parse(&text) {
                assert_normal(&uri);
            }
            let own = origin("https://a:8443");
            if let Ok(uri) = own.with_path(&text) {
                assert_normal(&uri);
            }
            if let Ok(origin) = Origin::parse(&text) {
                prop_assert_eq!(Origin::parse(origin.as_str()), Ok(origin));
            }
            let _ = own.authority_matches(&text);
        }

        #[test]
        fn every_spelling_of_a_resource_is_the_same(
            resource in resource(), one in dice(), other in dice(),
        ) {
            let (one, other) = (resource.spell(&one), resource.spell(&other));
            prop_assert_eq!(htu(&one).text, resource.normal(), "{}", one);
            prop_assert_eq!(htu(&one), htu(&other));
            assert_normal(&htu(&one));
        }

        #[test]
        fn different_resources_are_never_the_same(
            one in resource(), other in resource(), dice_one in dice(), dice_other in dice(),
        ) {
            if one.normal() == other.normal() {
                return Ok(());
            }
            let (one, other) = (one.spell(&dice_one), other.spell(&dice_other));
            prop_assert_ne!(htu(&one), htu(&other));
        }

        #[test]
        fn neighbours_of_a_resource_are_never_the_same(
            resource in resource(), change in 0_u8..10, at in any::<prop::sample::Index>(),
            one in dice(), other in dice(),
        ) {
            let mut neighbour = resource.clone();
            let at = at.index(resource.segments.len());
            let segment = &mut neighbour.segments[at];
            match change {
                0 => *segment = segment.chars().map(|c| match c {
                    'a'..='z' => c.to_ascii_uppercase(),
                    _ => c.to_ascii_lowercase(),
                }).collect(),
                1 => *segment += "%2F",
                2 => *segment += "%00",
                3 => neighbour.segments.insert(at, String::new()),
                4 => neighbour.segments.push(String::new()),
                5 => *segment = segment.replace(':', "%3A").replace('|', "%7C").replace('[', "%5B"),
                6 => *segment = segment.replace("%2525", "%25").replace("%25", "%2525"),
                7 => neighbour.port = Some(neighbour.port.map_or(1, |port| port ^ 1)),
                8 => if !neighbour.host.starts_with('[') { neighbour.host += "."; },
                _ => neighbour.scheme = match neighbour.scheme {
                    Scheme::Http => Scheme::Https,
                    Scheme::Https => Scheme::Http,
                },
            }
            // Hex digits have no lower case in a normal form, and default ports none at all.
            if change == 0 && resource.normal().contains('%')
                || [Some(80), Some(443)].contains(&neighbour.port)
                || resource.normal() == neighbour.normal()
            {
                return Ok(());
            }
            let (one, other) = (resource.spell(&one), neighbour.spell(&other));
            prop_assert_ne!(htu(&one), htu(&other), "{} {}", one, other);
        }

        #[test]
        fn a_segment_is_never_split_at_an_encoded_slash(
            resource in resource(), one in dice(), other in dice(),
        ) {
            let mut resource = resource;
            resource.segments.push(String::new());
            let mut neighbour = resource.clone();
            neighbour.segments = vec![resource.segments.join("%2F")];
            prop_assert_ne!(htu(&resource.spell(&one)), htu(&neighbour.spell(&other)));
        }

        #[test]
        fn dot_segments_are_removed_as_the_rfc_writes_it(path in "(/(\\.|\\.\\.|[ab.]{0,3}))+") {
            let uri = htu(&format!("https://a{path}"));
            prop_assert_eq!(uri.path(), remove_dot_segments(&path));
            let encoded = htu(&format!("https://a{}", path.replace('.', "%2e")));
            prop_assert_eq!(uri, encoded);
        }

        #[test]
        fn joining_is_parsing_the_concatenation(
            resource in resource(), path in near_uri(), slash in "/?",
        ) {
            let own = Resource { segments: vec![String::new()], ..resource }.normal();
            let own = origin(&own);
            let path = slash + &path;
            let joined = own.with_path(&path);
            if path.contains(['?', '#']) || !(path.is_empty() || path.starts_with('/')) {
                prop_assert!(joined.is_err());
            } else {
                prop_assert_eq!(joined, Htu::parse(&format!("{}{path}", own.as_str())));
            }
        }

        #[test]
        fn an_authority_matches_if_it_makes_the_same_origin(
            scheme in scheme(),
            own in "(a|b|\\[::1\\])(:(80|443|1)?)?",
            authority in "([aAbB]|%61|\\[::0?1\\]|\\[0::1\\])(:0{0,2}(80|443|1)?)?[/@.?#x ]?",
        ) {
            let own = origin(&format!("{}{own}", scheme.prefix()));
            let same = Origin::parse(&format!("{}{authority}", scheme.prefix())) == Ok(own.clone());
            prop_assert_eq!(own.authority_matches(&authority), same && !authority.contains('/'));
        }
    }

    #[test]
    fn the_usual_input_is_written_without_growing() {
        for uri in [
            "https://api.example.com/v1/orders/7",
            "https://api.example.com",
        ] {
            let text = htu(uri).text;
            assert!(text.capacity() <= uri.len() + 1, "{}", text.capacity());
        }
        let joined = origin("https://api.example.com:8443").with_path("/v1/orders/7");
        let text = joined.map(|uri| uri.text).unwrap();
        assert!(text.capacity() <= text.len() + 1, "{}", text.capacity());
    }

    #[test]
    fn long_paths_of_dot_segments_end() {
        let up = iter::repeat_n("/a/..", 20_000).collect::<String>();
        assert_eq!(htu(&format!("https://a{up}")).as_str(), "https://a/");
    }
}
