//! Detects requests that leave open where they end.
//!
//! RFC 9112 section 6.1 lets a server reject a request with both `Transfer-Encoding` and
//! `Content-Length`. If the gateway goes by one of them and a proxy in front by the other, a part of one
//! client's request is taken for another client's request. So the gateway rejects such requests.
//!
//! hyper goes by `Transfer-Encoding` and drops the length before the gateway can see it. So this module
//! follows the incoming bytes by the same rules as hyper. Bytes that it cannot follow count as ambiguous.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::gateway::observed::Observer;

/// Follows the requests of one connection.
///
/// After an ambiguous request, the whole connection counts as ambiguous. hyper closes it after such a request
/// anyway.
pub(super) struct Framing {
    part: Part,
    /// The beginning of a line whose end has not been read yet.
    line: Vec<u8>,
    longest_line: usize,
    length: Option<u64>,
    is_encoded: bool,
    is_ambiguous: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    RequestLine,
    Header,
    /// The number of bytes of the body that are left.
    Body(u64),
    ChunkSize,
    /// The number of bytes that are left of a chunk and of the line break behind it.
    Chunk(u64),
    Trailer,
    /// No more bytes are followed. The connection is ambiguous already, or it uses HTTP/2, whose frames have
    /// one length each.
    NotMine,
}

impl Framing {
    pub(super) fn new(longest_line: usize) -> Self {
        Self {
            part: Part::RequestLine,
            line: Vec::new(),
            longest_line,
            length: None,
            is_encoded: false,
            is_ambiguous: Arc::default(),
        }
    }

    /// Returns a flag that is set when a request is ambiguous.
    pub(super) fn is_ambiguous(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ambiguous)
    }

    fn give_up(&mut self) {
        self.is_ambiguous.store(true, Ordering::Relaxed);
        self.part = Part::NotMine;
        self.line = Vec::new();
    }

    /// Handles a line, which is given without its line feed.
    fn end_of_line(&mut self, line: &[u8]) {
        let (line, has_return) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        match self.part {
            Part::RequestLine if line.is_empty() => {}
            Part::RequestLine if line == b"PRI * HTTP/2.0" => self.part = Part::NotMine,
            Part::RequestLine => {
                self.part = Part::Header;
                self.length = None;
                self.is_encoded = false;
            }
            Part::Header if line.is_empty() => self.end_of_head(),
            Part::Header => self.header(line),
            // Only in a head may a line end without a carriage return (RFC 9112 section 2.2).
            Part::ChunkSize | Part::Trailer if !has_return => self.give_up(),
            Part::ChunkSize => match chunk_size(line) {
                Some(0) => self.part = Part::Trailer,
                Some(size) => match size.checked_add(2) {
                    Some(size) => self.part = Part::Chunk(size),
                    None => self.give_up(),
                },
                None => self.give_up(),
            },
            Part::Trailer if line.is_empty() => self.part = Part::RequestLine,
            Part::Trailer | Part::Body(_) | Part::Chunk(_) | Part::NotMine => {}
        }
    }

    fn header(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            return;
        };
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_encoded = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            let value = str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse().ok());
            // hyper either rejects or ignores a length that is not a number.
            self.length = Some(value.unwrap_or_default());
        }
    }

    fn end_of_head(&mut self) {
        self.part = match (self.is_encoded, self.length) {
            (true, Some(_)) => return self.give_up(),
            (true, None) => Part::ChunkSize,
            (false, None | Some(0)) => Part::RequestLine,
            (false, Some(length)) => Part::Body(length),
        };
    }
}

/// Parses the size of a chunk, and ignores the extensions behind it.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    let size = str::from_utf8(size).ok()?.trim_end_matches([' ', '\t']);
    u64::from_str_radix(size, 16).ok()
}

impl Observer for Framing {
    fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.part {
                Part::NotMine => return,
                Part::Body(left) | Part::Chunk(left) => {
                    let here =
                        usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                    bytes = bytes.split_at(here).1;
                    let left = left - here as u64;
                    self.part = match self.part {
                        Part::Body(_) if left == 0 => Part::RequestLine,
                        Part::Body(_) => Part::Body(left),
                        _ if left == 0 => Part::ChunkSize,
                        _ => Part::Chunk(left),
                    };
                }
                Part::RequestLine | Part::Header | Part::ChunkSize | Part::Trailer => {
                    let end = bytes.iter().position(|byte| *byte == b'\n');
                    let (new, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
                    if self.line.len() + new.len() > self.longest_line {
                        return self.give_up();
                    }
                    self.line.extend_from_slice(new);
                    bytes = rest.get(1..).unwrap_or_default();
                    if end.is_some() {
                        let mut line = std::mem::take(&mut self.line);
                        self.end_of_line(&line);
                        // The next line reuses the memory of this one.
                        line.clear();
                        self.line = line;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether requests are ambiguous. The result must not depend on the pieces that they arrive in.
    fn is_ambiguous(text: &str) -> bool {
        let by_pieces_of = |size: usize| {
            let mut framing = Framing::new(8192);
            for piece in text.as_bytes().chunks(size) {
                framing.read(piece);
            }
            framing.is_ambiguous.load(Ordering::Relaxed)
        };
        let whole = by_pieces_of(text.len());
        for size in [1, 2, 3, 7] {
            assert_eq!(by_pieces_of(size), whole, "{text:?} by {size}");
        }
        whole
    }

    const BOTH: &str =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn a_length_beside_an_encoding_is_ambiguous_in_any_order_and_case() {
        assert!(is_ambiguous(BOTH));
        for headers in [
            "transfer-encoding: chunked\r\ncontent-length: 0",
            "TRANSFER-ENCODING: gzip\r\nX: y\r\nCONTENT-LENGTH:   5  ",
            "Transfer-Encoding:chunked\r\nContent-Length: nonsense",
            "Content-Length: 1\nTransfer-Encoding: chunked\n",
        ] {
            let text = format!("GET / HTTP/1.1\r\n{headers}\r\n\r\n");
            assert!(is_ambiguous(&text), "{headers}");
        }
    }

    /// The content of an earlier request must not be taken for a head, and a head must not be taken for content.
    #[test]
    fn it_is_found_behind_requests_of_every_kind() {
        for before in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
            "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 00005\r\n\r\nGET /",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n00A;x=y\r\n0123456789\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\n\r\n\r\nf\r\n0123456789abcde\r\n0\r\nX: y\r\n\r\n",
        ] {
            assert!(!is_ambiguous(before), "{before:?}");
            assert!(is_ambiguous(&format!("{before}{BOTH}")), "{before:?}");
        }
    }

    #[test]
    fn a_body_that_looks_like_a_head_is_none() {
        let length = BOTH.len();
        for good in [
            format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{BOTH}"),
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{length:x}\r\n{BOTH}\r\n0\r\n\
                 Content-Length: 3\r\n\r\nGET / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"
            ),
            format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{BOTH}"),
            "GET / HTTP/1.1\r\nX: Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"
                .to_owned(),
            "GET / HTTP/1.1\r\nTransfer_Encoding: chunked\r\nContent-Length: 0\r\n\r\n".to_owned(),
        ] {
            assert!(!is_ambiguous(&good), "{good:?}");
        }
    }

    #[test]
    fn what_cannot_be_followed_is_ambiguous() {
        let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "x\r\n",
            "\r\n",
            "5\n",
            "0\r\nA: b\n\r\n",
            "ffffffffffffffff\r\n",
            "0x5\r\n",
        ] {
            assert!(is_ambiguous(&format!("{chunked}{body}")), "{body:?}");
        }
        assert!(is_ambiguous(&format!("{chunked}{}\r\n", "0".repeat(9000))));
        assert!(is_ambiguous(&format!(
            "GET /{} HTTP/1.1\r\n",
            "a".repeat(9000)
        )));
    }
}
