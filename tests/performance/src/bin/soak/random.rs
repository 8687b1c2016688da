//! Numbers that vary the load. They need not be good ones.

use std::hash::{BuildHasher as _, RandomState};

/// A generator of pseudo-random numbers (xorshift).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Creates a generator with a random seed.
    pub fn new() -> Self {
        Self(RandomState::new().hash_one(0) | 1)
    }

    /// Returns the next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Returns a number less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::new()
    }
}
