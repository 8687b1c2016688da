//! The changes that a server may make to a path besides decoding it.

/// A change that a server may make to a path besides decoding it; `None` if the path stays the same.
pub(super) type Step = fn(&[u8]) -> Option<Vec<u8>>;

pub(super) const STEPS: [Step; 9] = [
    without_parameters,
    without_last_parameters,
    with_single_slashes,
    with_one_leading_slash,
    without_authority,
    without_last_slash,
    without_blanks,
    without_last_blanks,
    cut_at_query,
];

/// Removes path parameters (RFC 3986 section 3.3) from each segment, as servlet containers do.
fn without_parameters(text: &[u8]) -> Option<Vec<u8>> {
    each_segment(text, |segment| before(segment, b";"))
}

/// Removes them from the last segment, as Python's `urlparse` does.
fn without_last_parameters(text: &[u8]) -> Option<Vec<u8>> {
    last_segment(text, |segment| before(segment, b";"))
}

fn with_single_slashes(text: &[u8]) -> Option<Vec<u8>> {
    if !text.windows(2).any(|pair| pair == b"//") {
        return None;
    }
    let mut read = text.to_vec();
    read.dedup_by(|next, before| *next == b'/' && *before == b'/');
    Some(read)
}

fn with_one_leading_slash(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(b"//")?;
    let start = rest.iter().position(|byte| *byte != b'/');
    Some([b"/", rest.get(start?..).unwrap_or_default()].concat())
}

/// Removes what follows two slashes: `new URL(path, base)` reads it as a host (RFC 3986 section 4.2).
fn without_authority(text: &[u8]) -> Option<Vec<u8>> {
    let rest = text.strip_prefix(b"//")?;
    let end = rest.iter().position(|byte| *byte == b'/');
    Some(end.map_or(b"/".to_vec(), |end| {
        rest.get(end..).unwrap_or_default().to_vec()
    }))
}

fn without_last_slash(text: &[u8]) -> Option<Vec<u8>> {
    let mut read = text;
    while let [rest @ .., b'/'] = read
        && !rest.is_empty()
    {
        read = rest;
    }
    (read.len() < text.len()).then(|| read.to_vec())
}

/// Removes blanks and dots at the end of each segment, as Windows does with names.
fn without_blanks(text: &[u8]) -> Option<Vec<u8>> {
    each_segment(text, without_end)
}

/// Removes blanks at the end of the path, as `trim()` does.
fn without_last_blanks(text: &[u8]) -> Option<Vec<u8>> {
    last_segment(text, without_end)
}

/// Cuts the path at its first `?` or `#`: it ends there if it is decoded and then put into a URL.
fn cut_at_query(text: &[u8]) -> Option<Vec<u8>> {
    let read = before(text, b"?#");
    (read.len() < text.len()).then(|| read.to_vec())
}

fn each_segment(text: &[u8], read: impl Fn(&[u8]) -> &[u8]) -> Option<Vec<u8>> {
    let segments = || text.split(|byte| *byte == b'/');
    if segments().all(|segment| read(segment).len() == segment.len()) {
        return None;
    }
    Some(segments().map(read).collect::<Vec<_>>().join(&b'/'))
}

fn last_segment(text: &[u8], read: impl Fn(&[u8]) -> &[u8]) -> Option<Vec<u8>> {
    let start = text.iter().rposition(|byte| *byte == b'/')?;
    let (path, segment) = text.split_at_checked(start.saturating_add(1))?;
    let read = read(segment);
    (read.len() < segment.len()).then(|| [path, read].concat())
}

fn before<'t>(text: &'t [u8], marks: &[u8]) -> &'t [u8] {
    let end = text.iter().position(|byte| marks.contains(byte));
    end.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Keeps a segment of nothing but dots, which is a name unless it is one that is rejected.
fn without_end(segment: &[u8]) -> &[u8] {
    if segment.iter().all(|byte| *byte == b'.') {
        return segment;
    }
    trimmed(segment, |c| is_blank(c) || c == '.')
}

pub(super) fn trimmed(segment: &[u8], what: impl Fn(char) -> bool) -> &[u8] {
    // Most segments end with a letter or a digit.
    if segment.last().is_none_or(u8::is_ascii_alphanumeric) {
        return segment;
    }
    match std::str::from_utf8(segment) {
        Ok(text) => text.trim_end_matches(what).as_bytes(),
        Err(_) => {
            let end = segment.iter().rposition(|byte| !what(char::from(*byte)));
            let end = end.map_or(0, |end| end.saturating_add(1));
            segment.get(..end).unwrap_or(segment)
        }
    }
}

/// Returns whether `trim` removes the character in one language or another.
pub(super) fn is_blank(c: char) -> bool {
    c.is_whitespace() || c == '\u{feff}'
}
