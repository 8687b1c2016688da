use std::fmt;

/// The parts of a proof's text that are needed after its checks, in one allocation.
pub(super) struct Kept {
    /// The signing input, the signature and the `jti`.
    bytes: Vec<u8>,
    signature: usize,
    jti: usize,
}

impl Kept {
    pub(super) fn new(signing_input: &str, signature: &[u8], jti: &str) -> Self {
        let end = signing_input.len();
        Self {
            bytes: [signing_input.as_bytes(), signature, jti.as_bytes()].concat(),
            signature: end,
            jti: end.saturating_add(signature.len()),
        }
    }

    pub(super) fn signing_input(&self) -> &[u8] {
        self.bytes.get(..self.signature).unwrap_or_default()
    }

    pub(super) fn signature(&self) -> &[u8] {
        self.bytes.get(self.signature..self.jti).unwrap_or_default()
    }

    pub(super) fn jti(&self) -> &str {
        let jti = self.bytes.get(self.jti..).unwrap_or_default();
        // It was valid UTF-8 when it was stored. An empty default would make all proofs replays of one.
        str::from_utf8(jti).unwrap_or_default()
    }
}

/// Hides the proof.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_comes_back() {
        let kept = Kept::new("e30.e30", &[0xff, 0], "j\u{e4}");
        assert_eq!(kept.signing_input(), b"e30.e30");
        assert_eq!(kept.signature(), [0xff, 0]);
        assert_eq!(kept.jti(), "j\u{e4}");
    }
}
