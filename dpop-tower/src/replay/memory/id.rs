//! The identifier that the store keeps of a digest and looks it up by.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
};

/// An identifier of 80 bits, computed from a whole SHA-256 digest.
///
/// A client can try `jti` values until their digests start alike. Without a secret key, all of these would
/// collide. Digests are therefore hashed again with the standard library's randomly keyed hasher. The result
/// is kept because it selects the part of the store and the place in that part, also when a part grows.
///
/// 80 bits are sufficient. A collision can only reject a good request, and never accepts a proof twice. Among ten
/// million entries, one in 10^17 proofs collides. Only 16 of the bits are known to anyone outside the process, so an
/// attacker cannot do better than chance against the other 64, and cannot compute a collision in advance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    keyed: u64,
    plain: u16,
}

impl Id {
    pub(super) fn new(digest: &[u8; 32], key: &RandomState) -> Self {
        let [first, second, ..] = *digest;
        let mut hasher = key.build_hasher();
        hasher.write(digest);
        Self {
            keyed: hasher.finish(),
            plain: u16::from_be_bytes([first, second]),
        }
    }

    /// Makes an identifier of given bits.
    #[cfg(test)]
    pub(super) const fn of(keyed: u64, plain: u16) -> Self {
        Self { keyed, plain }
    }

    /// Returns a hash that is evenly distributed and that nobody outside the process can predict.
    pub(super) const fn keyed(self) -> u64 {
        self.keyed
    }

    /// Returns bits that anyone who knows the digest knows.
    pub(super) const fn plain(self) -> u16 {
        self.plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `ReplayKey` takes any 32 bytes for a client, and an issuer of keys may count them.
    #[test]
    fn each_byte_counts_for_where_an_entry_lies() {
        let key = RandomState::new();
        let zero = Id::new(&[0; 32], &key);
        for at in 0..32 {
            let mut other = [0; 32];
            other[at] = 1;
            let other = Id::new(&other, &key);
            assert_ne!(other.keyed, zero.keyed, "byte {at}");
        }
    }
}
