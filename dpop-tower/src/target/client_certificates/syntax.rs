//! The ways in which proxies write a certificate into a header.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;

use crate::{certificate::CertificateThumbprint, crypto::CryptoProvider};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    ByteSequence,
    Xfcc,
    EscapedPem,
    Base64Der,
    Sha256Hex,
}

impl Syntax {
    /// Returns the thumbprint of the certificate in a header that is not empty and not too long, and `None` if
    /// it is malformed.
    pub(super) fn thumbprint(
        self,
        value: &HeaderValue,
        crypto: &dyn CryptoProvider,
    ) -> Option<CertificateThumbprint> {
        let text = value.to_str().ok()?;
        match self {
            // RFC 9440 section 2.2: an item with a byte sequence. No parameter is defined.
            Self::ByteSequence => {
                let inner = text.trim_matches(' ').strip_prefix(':')?;
                base64_der(inner.strip_suffix(':')?, crypto)
            }
            Self::Xfcc => xfcc(text, crypto),
            Self::EscapedPem => escaped_pem(text, crypto),
            Self::Base64Der => base64_der(text, crypto),
            Self::Sha256Hex => sha256_hex(text),
        }
    }
}

fn base64_der(text: &str, crypto: &dyn CryptoProvider) -> Option<CertificateThumbprint> {
    let der = STANDARD.decode(text).ok()?;
    is_one_sequence(&der).then(|| CertificateThumbprint::of_der(&der, crypto))
}

/// Returns whether the bytes have the outer form of a certificate in DER: one SEQUENCE and nothing after it.
///
/// It finds a header that a proxy encodes twice, or that contains a chain. A hash would not.
fn is_one_sequence(der: &[u8]) -> bool {
    let (length, contents) = match der {
        [0x30, length @ 0..=0x7f, contents @ ..] | [0x30, 0x81, length, contents @ ..] => {
            (usize::from(*length), contents)
        }
        [0x30, 0x82, high, low, contents @ ..] => {
            (usize::from(u16::from_be_bytes([*high, *low])), contents)
        }
        _ => return false,
    };
    contents.len() == length
}

/// Reads one certificate in PEM (RFC 7468 section 5). Text before and after it is rejected.
fn escaped_pem(text: &str, crypto: &dyn CryptoProvider) -> Option<CertificateThumbprint> {
    let pem = percent_decoded(text)?;
    let body = pem
        .trim_ascii()
        .strip_prefix(b"-----BEGIN CERTIFICATE-----")?
        .strip_suffix(b"-----END CERTIFICATE-----")?;
    let body = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace());
    let body = String::from_utf8(body.collect()).ok()?;
    base64_der(&body, crypto)
}

/// Replaces escapes. `+` stays, since it is a character of base64 that some proxies do not escape.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_byte(bytes.next()?, bytes.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

fn sha256_hex(text: &str) -> Option<CertificateThumbprint> {
    let (digits, rest) = text.as_bytes().as_chunks::<2>();
    let mut hash = [0; 32];
    if digits.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(digits) {
        *byte = hex_byte(*high, *low)?;
    }
    Some(CertificateThumbprint::from_bytes(hash))
}

fn hex_byte(high: u8, low: u8) -> Option<u8> {
    let digit = |digit| char::from(digit).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

/// Reads the last element: `By=…;Hash=…;Cert="…",By=…;Hash=…`.
///
/// A client may have written the elements before it. So that no open quote of theirs can change how the last
/// one is read, a quote opens a value or ends one, and is malformed anywhere else.
fn xfcc(text: &str, crypto: &dyn CryptoProvider) -> Option<CertificateThumbprint> {
    let mut rest = text;
    let (mut hash, mut certificate) = (None, None);
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, delimiter, after) = xfcc_value(after)?;
        let name = name.trim_matches(' ');
        if name.is_empty() || name.contains(['"', ';', ',']) {
            return None;
        }
        let known = if name.eq_ignore_ascii_case("Hash") {
            Some(&mut hash)
        } else if name.eq_ignore_ascii_case("Cert") {
            Some(&mut certificate)
        } else {
            None
        };
        if known.is_some_and(|known| known.replace(value).is_some()) {
            return None;
        }
        match delimiter {
            Some(',') => (hash, certificate) = (None, None),
            Some(_) => {}
            None => break,
        }
        rest = after;
    }
    let hash = hash.map(|hash| sha256_hex(hash).ok_or(()));
    let certificate = certificate.map(|pem| escaped_pem(pem, crypto).ok_or(()));
    match (hash, certificate) {
        (Some(Ok(hash)), None) => Some(hash),
        (None, Some(Ok(certificate))) => Some(certificate),
        (Some(Ok(hash)), Some(Ok(certificate))) => (hash == certificate).then_some(hash),
        _ => None,
    }
}

/// Splits a value, which may be quoted, from the delimiter that follows it and from the rest.
///
/// Escaped quotes stay escaped. No value that matters has one.
fn xfcc_value(text: &str) -> Option<(&str, Option<char>, &str)> {
    let (value, after) = match text.strip_prefix('"') {
        Some(quoted) => {
            let mut is_escaped = false;
            let end = quoted.find(|c| {
                let is_end = c == '"' && !is_escaped;
                is_escaped = c == '\\' && !is_escaped;
                is_end
            });
            let (value, after) = quoted.split_at_checked(end?)?;
            (value, after.strip_prefix('"')?)
        }
        None => {
            let end = text.find([';', ',']).unwrap_or(text.len());
            let (value, after) = text.split_at_checked(end)?;
            if value.contains('"') {
                return None;
            }
            (value, after)
        }
    };
    let mut rest = after.chars();
    match rest.next() {
        delimiter @ (None | Some(';' | ',')) => Some((value, delimiter, rest.as_str())),
        Some(_) => None,
    }
}
