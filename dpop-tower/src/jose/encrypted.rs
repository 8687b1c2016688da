//! The JWE Compact Serialization (RFC 7516 section 7.1). No other serialization is accepted.

use super::base64url;

/// A longer header is not decoded. The longest that an issuer needs has an ephemeral key on P-521 in about 500
/// characters.
const MAX_HEADER_LEN: usize = 4096;

/// A compact JWE that is split, but not decoded.
pub(crate) struct CompactJwe<'a> {
    header: &'a str,
    encrypted_key: &'a str,
    iv: &'a str,
    ciphertext: &'a str,
    tag: &'a str,
}

/// The decoded parts of a JWE, apart from its header.
pub(crate) struct Sealed<'a> {
    /// The header as it was sent, which the tag covers.
    pub(crate) aad: &'a str,
    pub(crate) encrypted_key: Vec<u8>,
    pub(crate) iv: [u8; 12],
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) tag: [u8; 16],
}

impl<'a> CompactJwe<'a> {
    /// Splits a text with exactly four dots. The caller limits the length.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut next = || parts.next();
        let jwe = Self {
            header: next()?,
            encrypted_key: next()?,
            iv: next()?,
            ciphertext: next()?,
            tag: next()?,
        };
        parts.next().is_none().then_some(jwe)
    }

    /// Decodes the header, unless it is too long.
    pub(crate) fn header(&self) -> Option<Vec<u8>> {
        if self.header.len() > MAX_HEADER_LEN {
            return None;
        }
        base64url::decode(self.header)
    }

    /// Decodes the other parts.
    ///
    /// The initialization vector and the tag have the length that AES-GCM has in JOSE (RFC 7518 section 5.3).
    /// OpenSSL would accept a tag of one byte.
    pub(crate) fn sealed(&self) -> Option<Sealed<'a>> {
        Some(Sealed {
            aad: self.header,
            iv: base64url::decode_array(self.iv)?,
            tag: base64url::decode_array(self.tag)?,
            encrypted_key: base64url::decode(self.encrypted_key)?,
            ciphertext: base64url::decode(self.ciphertext)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IV: &str = "AAAAAAAAAAAAAAAA";
    const TAG: &str = "AAAAAAAAAAAAAAAAAAAAAA";

    #[test]
    fn a_compact_jwe_has_five_parts() {
        let text = format!("e30..{IV}.QQ.{TAG}");
        let jwe = CompactJwe::split(&text).unwrap();
        assert_eq!(jwe.header().as_deref(), Some(&b"{}"[..]));
        let sealed = jwe.sealed().unwrap();
        assert_eq!((sealed.aad, &*sealed.ciphertext), ("e30", &b"A"[..]));
        assert!(sealed.encrypted_key.is_empty());
        for wrong in ["", "e30", "e30.e30.AAEC", "e30...", "e30....QQ.", "....."] {
            assert!(CompactJwe::split(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn rfc_7518_section_5_3_iv_and_tag_have_their_length() {
        let is_sealed = |iv: &str, ciphertext: &str, tag: &str| {
            let text = format!("e30..{iv}.{ciphertext}.{tag}");
            CompactJwe::split(&text).unwrap().sealed().is_some()
        };
        assert!(is_sealed(IV, "QQ", TAG));
        for iv in [
            "",
            "AA",
            "AAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAA=",
        ] {
            assert!(!is_sealed(iv, "QQ", TAG), "{iv:?}");
        }
        for tag in [
            "",
            "AA",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAB",
        ] {
            assert!(!is_sealed(IV, "QQ", tag), "{tag:?}");
        }
        assert!(!is_sealed(IV, "QR", TAG));
    }

    #[test]
    fn a_long_header_is_not_decoded() {
        let of_len = |len: usize| {
            let text = format!("{}..{IV}.QQ.{TAG}", "A".repeat(len));
            CompactJwe::split(&text).unwrap().header().is_some()
        };
        assert!(of_len(MAX_HEADER_LEN));
        assert!(!of_len(MAX_HEADER_LEN + 4));
    }
}
