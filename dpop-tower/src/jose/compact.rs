//! The JWS Compact Serialization (RFC 7515 section 7.1). No other serialization is accepted.

use super::{base64url, json::Object};

/// A compact JWS that is split and decoded, but not verified.
pub(crate) struct CompactJws<'a> {
    signing_input: &'a str,
    /// Header, payload and signature, in one allocation.
    decoded: Vec<u8>,
    payload: usize,
    signature: usize,
}

impl<'a> CompactJws<'a> {
    /// Decodes three base64url parts separated by dots, or returns `None`. The caller limits the length.
    pub(crate) fn decode(text: &'a str) -> Option<Self> {
        let (signing_input, signature) = text.rsplit_once('.')?;
        let (header, payload) = signing_input.split_once('.')?;
        // The decoded bytes are shorter than the text.
        let mut decoded = Vec::with_capacity(text.len());
        let mut append = |part| {
            base64url::decode_onto(part, &mut decoded)?;
            Some(decoded.len())
        };
        // A fourth part (JWE has five) leaves a dot in `payload`, which is not base64url.
        let (payload, signature, _) = (append(header)?, append(payload)?, append(signature)?);
        Some(Self {
            signing_input,
            decoded,
            payload,
            signature,
        })
    }

    /// Returns the input of the signature, which is the first two parts as they were sent.
    pub(crate) const fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    pub(crate) fn header(&self) -> Option<Object<'_>> {
        Object::parse(self.decoded.get(..self.payload)?)
    }

    pub(crate) fn payload(&self) -> Option<Object<'_>> {
        Object::parse(self.decoded.get(self.payload..self.signature)?)
    }

    pub(crate) fn signature(&self) -> &[u8] {
        self.decoded.get(self.signature..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_three_parts_and_keeps_the_signing_input_as_sent() {
        // {"h":1} and {"p":2}
        let jws = CompactJws::decode("eyJoIjoxfQ.eyJwIjoyfQ.AAEC").unwrap();
        assert_eq!(jws.signing_input(), "eyJoIjoxfQ.eyJwIjoyfQ");
        assert!(jws.header().unwrap().contains("h"));
        assert!(jws.payload().unwrap().contains("p"));
        assert_eq!(jws.signature(), [0, 1, 2]);
    }

    #[test]
    fn rejects_anything_else() {
        for wrong in [
            "",
            ".",
            "..x",
            "e30.e30",
            "e30.e30.AAEC.AAEC",
            "e30.e30.AAEC.AAEC.AAEC",
            "e30.e30.AAEC=",
            " e30.e30.AAEC",
            "e30.e30.AAEC\n",
            "{\"payload\":\"e30\"}",
        ] {
            assert!(CompactJws::decode(wrong).is_none(), "{wrong:?}");
        }
    }
}
