//! The ways in which servers read a path.
//!
//! The layer and the service behind it may read a path differently. One decodes it once, another twice
//! or not at all. Some remove parameters, merge doubled slashes or ignore case. A request has to satisfy
//! the policy of every such reading, so no spelling of a path requires less.

mod steps;

use std::{error::Error, fmt};

use self::steps::{STEPS, is_blank, trimmed};

/// A proxy may decode a path, and then the service once more.
const MOST_DECODINGS: u8 = 2;

/// Paths of honest clients have one reading or a few. These two limit the work for any other path.
const MOST_READINGS: usize = 128;
const MOST_BYTES: usize = 256 * 1024;

/// A path that a [`PolicyTable`](super::PolicyTable) rejects whatever its rows say.
///
/// No honest client sends such a path, and services differ in how they read it. It contains one of these:
///
/// - a dot segment, a backslash or a control character, plain or percent-encoded once or twice
/// - an invalid percent-encoding
/// - overlong UTF-8
///
/// A path with too many readings is rejected as well.
///
/// ```
/// use dpop_tower::{Policy, PolicyTable, policy::MalformedPath};
/// use http::Method;
///
/// let table = PolicyTable::builder().route("/files/{*path}", Policy::strict()).build()?;
/// for path in ["/files/../admin", "/files/%2e%2e/admin", "/files/a%5Cb", "/files/%zz"] {
///     assert!(matches!(table.policy_for(&Method::GET, path), Err(MalformedPath)), "{path}");
/// }
/// assert!(table.policy_for(&Method::GET, "/files/a..b").is_ok());
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MalformedPath;

impl fmt::Display for MalformedPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the path has a dot segment, a backslash, a control character or an invalid escape",
        )
    }
}

impl Error for MalformedPath {}

/// Returns whether all servers read this path in the same way, except for its case.
pub(super) fn is_plain(path: &str) -> bool {
    let Some((b'/', rest)) = path.as_bytes().split_first() else {
        return false;
    };
    let mut before = b'/';
    for byte in rest {
        let is_plain = match byte {
            b'/' => !matches!(before, b'/' | b'.'),
            b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            | b',' | b'=' | b':' | b'@' => true,
            _ => byte.is_ascii_alphanumeric(),
        };
        if !is_plain {
            return false;
        }
        before = *byte;
    }
    rest.is_empty() || !matches!(before, b'/' | b'.')
}

/// Returns whether all readings of this path have the same segments, except for case and escapes: it
/// contains nothing that divides a path, ends it, or is removed.
pub(super) fn keeps_its_segments(path: &str) -> bool {
    if !path.contains('%') {
        return is_plain(path);
    }
    let Some(read) = decode(path.as_bytes()) else {
        return false;
    };
    let Ok(read) = std::str::from_utf8(&read) else {
        return false;
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    let mut before = '\0';
    let is_kept = read.chars().all(|c| {
        let is_kept = match c {
            '/' => !matches!(before, '/' | '.' | ' '),
            '%' | ';' | '?' | '#' | '\\' => false,
            ' ' => true,
            c => !c.is_control() && !is_blank(c),
        };
        before = c;
        is_kept
    });
    is_kept && !matches!(before, '/' | '.' | ' ') && slashes(read) == slashes(path)
}

/// Returns all readings of a path, the path itself first.
pub(super) fn readings(path: &str) -> Result<Vec<String>, MalformedPath> {
    check_escapes(path)?;
    let mut found = Readings::default();
    found.add(path.as_bytes().to_vec(), 0)?;
    let mut next = 0;
    while let Some((text, decodings)) = found.all.get(next).cloned() {
        for step in STEPS {
            if let Some(read) = step(&text) {
                found.add(read, decodings)?;
            }
        }
        if decodings < MOST_DECODINGS
            && let Some(read) = decode(&text)
        {
            found.add(read, decodings.saturating_add(1))?;
        }
        next = next.saturating_add(1);
    }
    let texts = found.all.into_iter();
    Ok(texts.map(|(text, _)| lossy(text)).collect())
}

/// Resolves the escapes of a path, or of a part of one, once.
pub(super) fn decoded(text: &str) -> String {
    decode(text.as_bytes()).map_or_else(|| text.to_owned(), lossy)
}

/// Returns the text for a comparison without case, equal for all that any server takes for equal.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let fold = |c: char| match c {
        // Its lower case is an `i` with another dot, but in the Turkish alphabet.
        '\u{130}' => 'i'.to_uppercase(),
        _ => c.to_uppercase(),
    };
    // Upper case first: the long s and the dotless i have none of their own.
    (text.chars().flat_map(fold).flat_map(char::to_lowercase)).collect()
}

/// Returns whether an escape stands for a character that needs none, or for one that divides paths.
pub(super) fn is_needless(escape: &str) -> bool {
    match decode(escape.as_bytes()).as_deref() {
        Some([byte]) => byte.is_ascii_alphanumeric() || b"-._~/\\".contains(byte),
        _ => true,
    }
}

#[derive(Default)]
struct Readings {
    /// With how often each was decoded.
    all: Vec<(Vec<u8>, u8)>,
    bytes: usize,
}

impl Readings {
    fn add(&mut self, text: Vec<u8>, decodings: u8) -> Result<(), MalformedPath> {
        let is_known = |(known, before): &(Vec<u8>, u8)| *known == text && *before <= decodings;
        if self.all.iter().any(is_known) {
            return Ok(());
        }
        check(&text)?;
        self.bytes = self.bytes.saturating_add(text.len());
        if self.all.len() >= MOST_READINGS || self.bytes > MOST_BYTES {
            return Err(MalformedPath);
        }
        self.all.push((text, decodings));
        Ok(())
    }
}

/// Resolves each escape once, and keeps what is not a valid one.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'%') {
        return None;
    }
    let mut read = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match escaped(rest) {
            Some(byte) => {
                read.push(byte);
                rest = rest.get(3..).unwrap_or_default();
            }
            None => {
                read.push(*first);
                rest = after;
            }
        }
    }
    Some(read)
}

/// Returns the byte that an escape at the beginning of `text` stands for.
fn escaped(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    match text {
        [b'%', high, low, ..] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    }
}

/// Rejects an invalid escape, which each decoder reads in its own way: `%u0061`, `%+a`, `%`.
fn check_escapes(path: &str) -> Result<(), MalformedPath> {
    let is_wrong = |(at, _)| escaped(path.as_bytes().get(at..).unwrap_or_default()).is_none();
    let has_wrong = path.match_indices('%').any(is_wrong);
    if has_wrong {
        Err(MalformedPath)
    } else {
        Ok(())
    }
}

fn check(text: &[u8]) -> Result<(), MalformedPath> {
    let is_wrong = text.contains(&b'\\')
        || text.split(|byte| *byte == b'/').any(is_dot_segment)
        || has_controls(text)
        || has_overlong_utf8(text);
    if is_wrong { Err(MalformedPath) } else { Ok(()) }
}

/// Returns whether a segment is `.` or `..`, or becomes one when blanks are removed.
fn is_dot_segment(segment: &[u8]) -> bool {
    let name = trimmed(segment, is_blank);
    let has_blanks = name.len() < segment.len();
    let is_made_of_dots = !name.is_empty() && trimmed(name, |c| is_blank(c) || c == '.').is_empty();
    is_made_of_dots && (has_blanks || name.len() <= 2 || name.iter().any(|byte| *byte != b'.'))
}

fn has_controls(text: &[u8]) -> bool {
    match std::str::from_utf8(text) {
        Ok(text) => text.chars().any(char::is_control),
        Err(_) => text.iter().any(u8::is_ascii_control),
    }
}

/// Returns whether a character has more bytes than it needs (RFC 3629 section 3). Some decoders accept
/// those: `%c0%af` for a slash.
fn has_overlong_utf8(text: &[u8]) -> bool {
    let mut pairs = text.iter().zip(text.iter().skip(1));
    text.iter().any(|byte| matches!(byte, 0xc0 | 0xc1))
        || pairs.any(|pair| matches!(pair, (0xe0, 0x80..=0x9f) | (0xf0, 0x80..=0x8f)))
}

/// Replaces bytes that are not UTF-8. They cannot be in a pattern, but match a parameter.
fn lossy(text: Vec<u8>) -> String {
    String::from_utf8(text)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Vec<String> {
        let mut readings = readings(path).unwrap_or_else(|_| panic!("{path} is rejected"));
        assert_eq!(readings.remove(0), path);
        readings.sort();
        readings.dedup();
        readings
    }

    #[test]
    fn a_plain_path_has_one_reading() {
        for path in [
            "/",
            "/a",
            "/orders/7",
            "/.well-known/x",
            "/a.b/c-d_e~f",
            "/pkg.Service/Method",
            "/v1/books:get",
            "/a/@b+c,d=e!$&'()*",
        ] {
            assert!(is_plain(path) && keeps_its_segments(path), "{path}");
            assert_eq!(readings(path).unwrap(), [path]);
        }
        for path in [
            "", "a", "*", "//", "/a/", "/a//b", "/a.", "/./a", "/a/..", "/a;b", "/%61", "/a b",
            "/\\", "/\u{e4}", "/a?", "/a\"",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }

    #[test]
    fn a_path_keeps_its_segments_unless_something_divides_or_shortens_it() {
        for path in [
            "/a%20b",
            "/%C3%A4",
            "/a%3Ab/c%22",
            "/%61/b",
            "/a%2Eb",
            "/%2Ewell-known/x",
        ] {
            assert!(keeps_its_segments(path), "{path}");
            let segments = |path: &str| path.split('/').count();
            for reading in readings(path).unwrap() {
                assert_eq!(segments(&reading), segments(path), "{path}");
            }
        }
        for path in [
            "/a%2Fb",
            "/a%20/b",
            "/a%20",
            "/a%3Bb",
            "/a%3Fb",
            "/a%23b",
            "/a%2525",
            "/a%2E",
            "/%2E",
            "/a%00",
            "/%5C",
            "/%E9",
            "/a%C2%A0",
            "/a%20b/",
            "/a%20b//c",
            "/%zz",
            "/%C0%AF",
            "/a;b%20c",
            "//%61",
        ] {
            assert!(!keeps_its_segments(path), "{path}");
        }
    }

    #[test]
    fn what_servers_make_of_a_path_is_found() {
        for (path, expected) in [
            ("/%61dmin", &["/admin"][..]),
            ("/%2561dmin", &["/%61dmin", "/admin"]),
            ("/admin/", &["/admin"]),
            ("/admin//", &["/admin", "/admin/"]),
            ("/admin;x=1", &["/admin"]),
            ("/a;x/admin;y", &["/a/admin", "/a;x/admin"]),
            ("/admin%20", &["/admin", "/admin "]),
            ("/a./admin.", &["/a./admin", "/a/admin"]),
            ("/admin%C2%A0", &["/admin", "/admin\u{a0}"]),
            ("/admin%EF%BB%BF", &["/admin", "/admin\u{feff}"]),
            ("/admin%3Fx", &["/admin", "/admin?x"]),
            ("/admin%23x%3Fy", &["/admin", "/admin#x?y"]),
            ("/a%2Fb", &["/a/b"]),
            ("//host/admin", &["/admin", "/host/admin"]),
            ("//admin", &["/", "/admin"]),
            ("/%3Bx", &["/", "/;x"]),
            ("/caf%E9", &["/caf\u{fffd}"]),
        ] {
            assert_eq!(read(path), expected, "{path}");
        }
        assert!(read("/public//..x/%61dmin%3Bv%2520/").contains(&"/public/..x/admin".to_owned()));
    }

    #[test]
    fn what_no_honest_client_sends_is_rejected() {
        for path in [
            "/.",
            "/..",
            "/a/./b",
            "/a/../b",
            "/a/..",
            "/..;/b",
            "/.;x/b",
            "/%2e/b",
            "/%2E%2e/b",
            "/%252e%252e/b",
            "/..%3Bx/b",
            "/..%20/b",
            "/a/.%20.",
            "/a%2F..%2Fb",
            "/a\\b",
            "/a%5Cb",
            "/a%255cb",
            "/a%00",
            "/a%0A",
            "/a%250d",
            "/a%7F",
            "/a%C2%85",
            "/%",
            "/%4",
            "/%zz",
            "/%u0061",
            "/%+a",
            "/a%2",
            "/%C0%AF",
            "/%c1%a1",
            "/%E0%80%AF",
            "/%F0%80%80%AF",
            "/%25C0%25AF",
        ] {
            assert_eq!(readings(path), Err(MalformedPath), "{path}");
        }
        for path in [
            "/...",
            "/a/...",
            "/a%25",
            "/100%25",
            "/a%20b",
            "/%E4%BD%A0",
            "/%E0%A0%80",
            "/a..b",
        ] {
            assert!(readings(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn the_work_for_one_path_is_bounded() {
        for part in ["/;", "//", "%252F;", "%20/", ";%2F%3F"] {
            let path = format!("/{}", part.repeat(60_000 / part.len()));
            if let Ok(readings) = readings(&path) {
                assert!(
                    readings.iter().map(String::len).sum::<usize>() <= MOST_BYTES,
                    "{part}"
                );
                assert!(readings.len() <= MOST_READINGS, "{part}");
            }
        }
    }

    #[test]
    fn case_is_folded_as_the_most_generous_server_does() {
        for (text, expected) in [
            ("/AdMin", "/admin"),
            ("/\u{130}D", "/id"),
            ("/\u{131}d", "/id"),
            ("/\u{212a}ey", "/key"),
            ("/u\u{17f}er", "/user"),
            ("/\u{c4}", "/\u{e4}"),
        ] {
            assert_eq!(folded(text), expected);
        }
    }
}
