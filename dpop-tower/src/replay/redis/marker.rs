//! The incarnation as the servers keep it: one key in each bucket, which is lost together with the proofs.

use crate::{clock::UnixTime, replay::Incarnation};

/// The number of buckets of a cluster. All keys of a bucket are in one slot, because one script uses two of them.
pub(super) const BUCKETS: u8 = 128;

/// How long a marker stays without a node that renews it, in milliseconds.
pub(super) const LIFE: u64 = 600_000;

/// Returns what all keys of a bucket begin with.
pub(super) fn prefix(prefix: &str, bucket: Option<u8>) -> String {
    match bucket {
        None => prefix.to_owned(),
        // The part in braces alone selects the slot.
        Some(bucket) => format!("{{{prefix}{bucket}}}"),
    }
}

/// Returns the key of a marker. Each replication identifier has its own, so a replica that takes over has none.
pub(super) fn key(prefix: &str, replication_id: &str) -> String {
    format!("{prefix}incarnation:{replication_id}")
}

/// Writes the value of a marker.
pub(super) fn text(incarnation: Incarnation) -> String {
    let id = u128::from_be_bytes(*incarnation.id());
    format!("{id:032x}:{}", incarnation.since().as_secs())
}

/// Reads the value of a marker.
pub(super) fn parse(text: &str) -> Option<Incarnation> {
    let (id, since) = text.split_once(':')?;
    if id.len() != 32 {
        return None;
    }
    let id = u128::from_str_radix(id, 16).ok()?;
    let since = since.parse().ok()?;
    Some(Incarnation::new(
        id.to_be_bytes(),
        UnixTime::from_secs(since),
    ))
}

/// Combines the incarnations of all buckets. Each is random, so a new one in any bucket makes a new combination.
pub(super) fn combine(incarnations: impl IntoIterator<Item = Incarnation>) -> Option<Incarnation> {
    incarnations.into_iter().reduce(|one, other| {
        let [one_id, other_id] =
            [one, other].map(|incarnation| u128::from_be_bytes(*incarnation.id()));
        Incarnation::new(
            (one_id ^ other_id).to_be_bytes(),
            one.since().max(other.since()),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incarnation(id: u8, since: i64) -> Incarnation {
        Incarnation::new([id; 16], UnixTime::from_secs(since))
    }

    #[test]
    fn a_marker_reads_as_it_was_written() {
        for incarnation in [
            incarnation(0, 0),
            incarnation(255, i64::MAX),
            incarnation(1, -5),
        ] {
            assert_eq!(parse(&text(incarnation)), Some(incarnation));
        }
        for wrong in [
            "",
            ":",
            "1:2",
            "xx000000000000000000000000000000:1",
            "00000000000000000000000000000000:x",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_buckets_are_combined_in_any_order() {
        let [a, b, c] = [incarnation(1, 5), incarnation(2, 9), incarnation(4, 7)];
        assert_eq!(combine([a, b, c]), Some(incarnation(7, 9)));
        assert_eq!(combine([c, a, b]), combine([a, b, c]));
        assert_eq!(combine([a]), Some(a));
        assert_ne!(combine([a, b]), combine([a, c]));
        assert_eq!(combine([]), None);
    }

    #[test]
    fn the_keys_of_a_bucket_share_their_tag() {
        assert_eq!(prefix("dpop:", None), "dpop:");
        assert_eq!(
            key(&prefix("dpop:", Some(17)), "abc"),
            "{dpop:17}incarnation:abc"
        );
    }
}
