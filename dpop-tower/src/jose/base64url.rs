//! base64url as RFC 7515 section 2 defines it: no padding, no white space, one encoding per value.

use base64::{
    Engine as _, alphabet,
    engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, URL_SAFE_NO_PAD},
};

const LOOSE_TAILS: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// Decodes canonical, unpadded base64url.
///
/// Rejects non-zero trailing bits, which would give one signature, token or thumbprint several encodings.
/// A lenient decoder reads both `QQ` and `QR` as the byte `A`.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes without allocating.
pub(crate) fn decode_array<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // The decoder only estimates the length, so the count is compared as well.
    let len = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    (len == N).then_some(bytes)
}

/// Decodes and appends to `bytes`.
pub(crate) fn decode_onto(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_vec(text, bytes).ok()
}

/// Decodes base64 in either alphabet, with or without padding, and with non-zero trailing bits.
///
/// Use it only for values that are encoded again before they are compared.
pub(crate) fn decode_any_spelling(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    let text = text.replace('+', "-").replace('/', "_");
    LOOSE_TAILS.decode(text).ok()
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Encodes and appends to `text`.
pub(crate) fn encode_onto(bytes: &[u8], text: &mut String) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_padding_white_space_other_alphabets_and_loose_tails() {
        assert_eq!(decode("QQ").as_deref(), Some(&b"A"[..]));
        for wrong in ["QQ==", "QR", "Q", "Q Q", "QQ\n", "+/+/", "Qä", "QQ.QQ"] {
            assert_eq!(decode(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_spelling_of_the_same_bytes_is_decoded_where_that_is_asked_for() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("QQ", b"A"),
            ("QQ==", b"A"),
            ("QQ=", b"A"),
            ("QR", b"A"),
            ("-_-_", b"\xfb\xff\xbf"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("+_-/", b"\xfb\xff\xbf"),
        ] {
            assert_eq!(
                decode_any_spelling(text).as_deref(),
                Some(bytes),
                "{text:?}"
            );
        }
        for wrong in ["Q", "Q Q", "QQ\n", "=QQ", "Q=Q", "Qä", "QQ.QQ"] {
            assert_eq!(decode_any_spelling(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_array_takes_its_exact_length_only() {
        assert_eq!(decode_array::<3>("AAEC"), Some([0, 1, 2]));
        assert_eq!(decode_array::<2>("AAEC"), None);
        assert_eq!(decode_array::<4>("AAEC"), None);
        assert_eq!(decode_array::<32>(&encode(&[7; 32])), Some([7; 32]));
        assert_eq!(decode_array::<32>(&encode(&[7; 33])), None);
        assert_eq!(decode_array::<32>(&encode(&[7; 31])), None);
    }
}
