//! A time that leaves room for other things in a word.

use crate::clock::UnixTime;

/// A [`UnixTime`] as a number of 47 bits that is never zero.
///
/// The times more than two million years from the epoch are equal. An entry that expires then is live for longer than
/// necessary, and not for shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) const BITS: u32 = 47;
    /// Earlier than any other.
    pub(super) const FIRST: Self = Self(0);
    /// Later than any other.
    pub(super) const LAST: Self = Self(1 << Self::BITS);

    /// The seconds from the epoch to the last time that is told from later ones.
    const REACH: i64 = (1 << (Self::BITS - 1)) - 1;

    pub(super) fn new(time: UnixTime) -> Self {
        let seconds = time.as_secs().clamp(-Self::REACH, Self::REACH);
        Self((seconds + Self::REACH + 1).cast_unsigned())
    }

    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the number, which is greater for a later time.
    pub(super) const fn to_bits(self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_their_order_and_none_is_zero() {
        let times = [
            i64::MIN,
            -Moment::REACH,
            -Moment::REACH + 1,
            -1,
            0,
            1_700_000_000,
            1_700_000_001,
            Moment::REACH - 1,
            Moment::REACH,
            i64::MAX,
        ];
        let moments = times.map(|secs| Moment::new(UnixTime::from_secs(secs)));
        assert!(moments.is_sorted());
        assert_eq!((moments[0], moments[8]), (moments[1], moments[9]));
        let distinct = &moments[1..9];
        assert!(distinct.windows(2).all(|pair| pair[0] < pair[1]));
        for moment in moments {
            assert!(Moment::FIRST < moment && moment < Moment::LAST);
            assert_eq!(Moment::from_bits(moment.to_bits()), moment);
        }
    }
}
