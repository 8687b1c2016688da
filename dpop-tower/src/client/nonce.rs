use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use http::HeaderMap;

use crate::header::DPOP_NONCE;

/// A longer nonce is ignored. Nonces of known servers have less than 200 bytes.
const MAX_NONCE_LEN: usize = 1024;

/// The newest nonce of one server (RFC 9449 section 8.2).
///
/// The newest is the one whose response arrived last. The order in which a server made the nonces of concurrent
/// responses is not visible to a client.
#[derive(Debug, Default)]
pub(super) struct NewestNonce(RwLock<Option<Nonce>>);

/// A nonce as a server sent it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Nonce(Arc<str>);

impl Nonce {
    /// Returns the nonce of a response. There is none if there are several, or if it has a character that
    /// RFC 9449 section 8.1 does not allow.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(DPOP_NONCE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        let value = value.to_str().ok()?;
        let is_nonce = (1..=MAX_NONCE_LEN).contains(&value.len())
            && value
                .bytes()
                .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        is_nonce.then(|| Self(value.into()))
    }

    pub(super) fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

impl NewestNonce {
    pub(super) fn get(&self) -> Option<Nonce> {
        let nonce = self.0.read().unwrap_or_else(PoisonError::into_inner);
        nonce.clone()
    }

    pub(super) fn set(&self, nonce: &Nonce) {
        if self.get().as_ref() == Some(nonce) {
            return;
        }
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *kept = Some(nonce.clone());
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&[u8]]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(DPOP_NONCE, HeaderValue::from_bytes(value).unwrap());
        }
        Nonce::of(&headers).map(|nonce| nonce.text().as_ref().to_owned())
    }

    #[test]
    fn a_nonce_has_the_characters_of_section_8_1_and_is_alone() {
        let longest = [b'a'; MAX_NONCE_LEN];
        let all: Vec<u8> = (0x21..0x7f)
            .filter(|byte| !b"\"\\".contains(byte))
            .collect();
        for value in [&b"eyJ7S_zG.eyJH0-Z"[..], b"a", &longest, &all] {
            let expected = String::from_utf8(value.to_vec()).unwrap();
            assert_eq!(of(&[value]), Some(expected));
        }
        let too_long = [b'a'; MAX_NONCE_LEN + 1];
        for value in [
            &b""[..],
            b"a b",
            b"a\"b",
            b"a\\b",
            b"a\tb",
            b"\xe4",
            &too_long,
        ] {
            assert_eq!(of(&[value]), None, "{value:?}");
        }
        assert_eq!(of(&[b"a", b"b"]), None);
        assert_eq!(of(&[b"a", b"a"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn the_last_one_to_arrive_is_kept() {
        let newest = NewestNonce::default();
        assert_eq!(newest.get(), None);
        for text in ["a", "b"] {
            let nonce = Nonce(text.into());
            newest.set(&nonce);
            assert_eq!(newest.get(), Some(nonce));
        }
    }
}
