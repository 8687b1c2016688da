//! What the store keeps of a digest, and finds it by.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash, Hasher},
};

/// Half of a SHA-256 digest's size, made of all of it.
///
/// Whoever makes proofs can try `jti` values until their digests start alike, and without a secret key
/// all of those would land in one place. So digests are hashed once more, with the standard library's
/// randomly keyed hasher, and the result is kept: it is needed for the part of the store, for the
/// place in that part, and whenever a part grows.
///
/// 128 bits are enough: a collision can only reject a good request, and to aim one at another client's
/// proof takes a digest of which 64 bits are the same, 2^64 times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id {
    keyed: u64,
    plain: [u8; 8],
}

impl Id {
    pub(super) fn new(digest: &[u8; 32], key: &RandomState) -> Self {
        let mut plain = [0; 8];
        plain.copy_from_slice(&digest[..8]);
        let mut hasher = key.build_hasher();
        hasher.write(digest);
        Self {
            keyed: hasher.finish(),
            plain,
        }
    }

    /// Returns a hash that is evenly distributed and that nobody outside the process can predict.
    pub(super) const fn keyed(&self) -> u64 {
        self.keyed
    }
}

/// Hashes the keyed hash, so that the hasher needs no key of its own.
impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.keyed);
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
