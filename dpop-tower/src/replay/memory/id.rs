//! The identifier that the store keeps of a digest and looks it up by.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash, Hasher},
};

/// An identifier of half the size of a SHA-256 digest, computed from the whole digest.
///
/// A client can try `jti` values until their digests start alike. Without a secret key, all of these would
/// collide. Digests are therefore hashed again with the standard library's randomly keyed hasher. The result
/// is kept because it selects the part of the store and the place in that part, also when a part grows.
///
/// 128 bits are sufficient. A collision can only reject a good request. To aim one at the proof of another
/// client, an attacker needs 2^64 digests that share 64 bits with it.
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
