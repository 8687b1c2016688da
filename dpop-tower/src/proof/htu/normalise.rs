//! Rewriting a URI into its normal form, part by part.

use std::{fmt::Write as _, net::Ipv6Addr};

use super::HtuError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn parse(scheme: &str) -> Result<Self, HtuError> {
        [Self::Https, Self::Http]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(scheme))
            .ok_or_else(|| {
                let is_of_web_sockets = ["ws", "wss"]
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(scheme));
                match is_of_web_sockets {
                    true => HtuError::WebSocketScheme,
                    false => HtuError::UnsupportedScheme,
                }
            })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) const fn prefix(self) -> &'static str {
        match self {
            Self::Http => "http://",
            Self::Https => "https://",
        }
    }

    pub(super) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The parts of a normalised text before its path.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Base {
    pub(super) scheme: Scheme,
    pub(super) port: u16,
    host_end: usize,
    /// Where the path begins.
    pub(super) end: usize,
}

impl Base {
    pub(super) fn host(self, text: &str) -> &str {
        text.get(self.scheme.prefix().len()..self.host_end)
            .unwrap_or_default()
    }
}

/// Returns the normalised text before the path, and the path as it was written, without query and fragment.
pub(super) fn parse_base(uri: &str) -> Result<(String, Base, &str), HtuError> {
    if !uri.is_ascii() {
        return Err(HtuError::NotAscii);
    }
    let (scheme, rest) = uri.split_once(':').ok_or(HtuError::NotAbsolute)?;
    let scheme = Scheme::parse(scheme)?;
    let rest = rest.strip_prefix("//").ok_or(HtuError::NotAbsolute)?;
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let slash = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(slash).unwrap_or_default();

    // Normalisation only lengthens an empty path and some IPv6 literals.
    let capacity = scheme.prefix().len().saturating_add(rest.len());
    let mut text = String::with_capacity(capacity.saturating_add(1));
    text.push_str(scheme.prefix());
    let base = push_authority(&mut text, scheme, authority)?;
    Ok((text, base, path))
}

/// Appends the normalised `authority` to `text`, which holds `scheme://` so far.
pub(super) fn push_authority(
    text: &mut String,
    scheme: Scheme,
    authority: &str,
) -> Result<Base, HtuError> {
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
pub(super) fn push_path(text: &mut String, path: &str) -> Result<(), HtuError> {
    let root = text.len();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = text.len();
        text.push('/');
        push_component(text, segment, Component::Path)?;
        // After decoding, because `%2e` is a dot as well.
        match text.get(start..) {
            Some("/.") => text.truncate(start),
            Some("/..") => {
                text.truncate(start);
                // Searches only the path, because otherwise every segment would search a long host again.
                let parent = text.get(root..).and_then(|path| path.rfind('/'));
                text.truncate(root.saturating_add(parent.unwrap_or_default()));
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
    const fn allows(self, byte: u8) -> bool {
        match self {
            Self::Host => is_unreserved(byte) || is_sub_delim(byte),
            Self::Path => {
                byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'?' | b'#')
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
        if plain.bytes().all(|byte| component.allows(byte)) {
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
    let byte = u8::from_str_radix(hex, 16).map_err(|_| HtuError::InvalidPercentEncoding)?;
    if is_unreserved(byte) {
        component.push(text, char::from(byte).encode_utf8(&mut [0; 4]));
    } else {
        text.push('%');
        text.extend(hex.chars().map(|digit| digit.to_ascii_uppercase()));
    }
    Ok(())
}

/// Returns whether `byte` is unreserved (RFC 3986 section 2.3).
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Returns whether `byte` is a sub-delimiter (RFC 3986 section 2.2).
const fn is_sub_delim(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'='
    )
}
