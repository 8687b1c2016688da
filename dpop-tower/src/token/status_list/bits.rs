//! The statuses in a list: one, two, four or eight bits each, from the least significant bit on.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

use crate::jose::base64url;

/// The statuses of a list, which all have the same width.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statuses {
    bits: u8,
    bytes: Vec<u8>,
}

impl Statuses {
    /// Decodes the `lst` of a list with this many bits for each status (Token Status List section 4.2).
    ///
    /// Stops as soon as more than `max_size` bytes come out.
    pub(super) fn inflate(bits: u64, lst: &str, max_size: usize) -> Result<Self, &'static str> {
        let bits = match bits {
            1 | 2 | 4 | 8 => bits as u8,
            _ => return Err("its bits are none of 1, 2, 4 and 8"),
        };
        let compressed = base64url::decode(lst).ok_or("its lst is not base64url")?;
        let most = u64::try_from(max_size).unwrap_or(u64::MAX);
        let mut bytes = Vec::new();
        ZlibDecoder::new(&*compressed)
            .take(most.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|_| "its lst is not compressed with zlib")?;
        if bytes.len() > max_size {
            return Err("its lst is larger than `StatusLists::max_size`");
        }
        Ok(Self { bits, bytes })
    }

    /// Returns the status at this index, or `None` if the list is shorter.
    pub(super) fn get(&self, index: u64) -> Option<u8> {
        let per_byte = u64::from(8 / self.bits);
        let byte = self.bytes.get(usize::try_from(index / per_byte).ok()?)?;
        let shift = (index % per_byte) * u64::from(self.bits);
        let mask = u8::MAX >> (8 - self.bits);
        Some((byte >> shift) & mask)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(statuses: &Statuses, count: u64) -> Vec<u8> {
        (0..count)
            .map(|index| statuses.get(index).unwrap())
            .collect()
    }

    /// The examples of the specification.
    #[test]
    fn token_status_list_section_4_statuses_begin_at_the_least_significant_bit() {
        let of_1_bit = Statuses::inflate(1, "eNrbuRgAAhcBXQ", 2).unwrap();
        let expected = [1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1];
        assert_eq!(all(&of_1_bit, 16), expected);
        assert_eq!((of_1_bit.get(16), of_1_bit.get(u64::MAX)), (None, None));
        let of_2_bits = Statuses::inflate(2, "eNo76fITAAPfAgc", 3).unwrap();
        let expected = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3];
        assert_eq!(all(&of_2_bits, 12), expected);
        assert_eq!(of_2_bits.get(12), None);
        // The same bytes are read in other widths.
        let of_4_bits = Statuses::inflate(4, "eNrbuRgAAhcBXQ", 2).unwrap();
        assert_eq!(all(&of_4_bits, 4), [0x9, 0xb, 0x3, 0xa]);
        let of_8_bits = Statuses::inflate(8, "eNrbuRgAAhcBXQ", 2).unwrap();
        assert_eq!(all(&of_8_bits, 2), [0xb9, 0xa3]);
        assert_eq!(of_8_bits.get(2), None);
    }

    #[test]
    fn what_is_no_list_is_an_error() {
        for (bits, lst, max_size) in [
            (0, "eNrbuRgAAhcBXQ", 9),
            (3, "eNrbuRgAAhcBXQ", 9),
            (16, "eNrbuRgAAhcBXQ", 9),
            (257, "eNrbuRgAAhcBXQ", 9),
            (1, "eNrbuRgAAhcBXQ", 1),
            (1, "eNrbuRgAAhcBXQ==", 9),
            (1, "eNrbuRgA", 9),
            (1, "", 9),
            (1, "AAAA", 9),
        ] {
            let list = Statuses::inflate(bits, lst, max_size);
            assert!(list.is_err(), "{bits} {lst} {list:?}");
        }
    }
}
