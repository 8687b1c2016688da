use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::clock::UnixTime;

fn at(secs: i64) -> Moment {
    Moment::new(UnixTime::from_secs(secs))
}

fn expiring(id: Id, secs: i64) -> Slot {
    Slot::new(id, Value::ExpiresAt(at(secs)))
}

/// Inserts as the store does, and returns whether there was no live entry.
fn insert(slots: &mut Slots, id: Id, expires_at: i64, now: i64) -> bool {
    if slots.is_due() {
        slots.retain(|entry| {
            entry
                .expires_at()
                .is_some_and(|e| at(now) <= e)
                .then_some(entry)
        });
    }
    let place = slots.find(id, at(now)).expect("there is a vacant slot");
    let is_fresh = !matches!(place, Place::Held(_));
    if is_fresh {
        slots.put(place, expiring(id, expires_at));
    }
    is_fresh
}

#[test]
fn an_entry_keeps_all_bits_of_its_identifier_and_of_its_value() {
    let ends = [at(i64::MIN), at(0), at(1_700_000_075), at(i64::MAX)];
    let values = ends
        .map(Value::ExpiresAt)
        .into_iter()
        .chain([0, 1, INDEX - 1].map(Value::Index));
    for value in values {
        for id in [
            Id::of(0, 0),
            Id::of(u64::MAX, u16::MAX),
            Id::of(1 << 63, 1),
            Id::of(1, 1 << 15),
        ] {
            let entry = Slot::new(id, value);
            assert_eq!(entry.value(), value);
            assert!(entry.belongs_to(id) && !entry.is_vacant());
            let other = entry.with(Value::Index(5));
            assert!(other.belongs_to(id) && other.value() == Value::Index(5));
            for bit in 0..64 {
                assert!(!entry.belongs_to(Id::of(id.keyed() ^ (1 << bit), id.plain())));
                assert!(!entry.belongs_to(Id::of(id.keyed(), id.plain() ^ (1 << (bit % 16)))));
            }
        }
    }
}

#[test]
fn a_table_is_due_when_a_third_of_it_may_have_expired_and_not_before() {
    let mut slots = Slots::default();
    assert!(slots.is_due(), "it has no slots yet");
    slots.retain(Some);
    let mut next = 0;
    for due_at in [16, 24, 36, 54] {
        while next < due_at {
            assert!(!slots.is_due(), "{next} of {due_at}");
            let id = Id::of(u64::MAX / 64 * next, 0);
            let place = slots.find(id, at(100)).unwrap();
            slots.put(place, expiring(id, 160));
            next += 1;
        }
        assert!(slots.is_due());
        slots.retain(Some);
        assert_eq!(slots.len() as u64, due_at);
    }
    // Two thirds have gone, and the table is not made smaller.
    slots.retain(|entry| (entry.keyed % 3 == 0).then_some(entry));
    let due_at = (slots.len() * 3 / 2).max(16);
    assert_eq!(slots.due_at, due_at);
}

/// Nobody has 36 bytes for an entry if tables double.
#[test]
fn a_growing_table_has_few_vacant_slots() {
    let mut slots = Slots::default();
    let mut step = 0x9E37_79B9_7F4A_7C15_u64;
    for n in 1..5_000_usize {
        step = step.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        assert!(insert(&mut slots, Id::of(step, 0), 160, 100));
        let size = slots.slots.len();
        assert!(size <= (n * 9).div_ceil(4).max(MIN_SLOTS), "{size} for {n}");
        assert!(n * 5 <= size * 4 + 5, "{size} for {n}");
    }
}

#[test]
fn a_new_entry_takes_the_place_of_an_expired_one_on_its_way() {
    let mut slots = Slots::default();
    for plain in 0..4 {
        assert!(insert(
            &mut slots,
            Id::of(7, plain),
            150 + i64::from(plain),
            100
        ));
    }
    // The first two have expired.
    assert!(insert(&mut slots, Id::of(7, 9), 190, 152));
    assert_eq!(slots.len(), 4);
    // An expired entry that comes back is overwritten itself, although another expired one lies before it.
    assert!(insert(&mut slots, Id::of(7, 3), 190, 154));
    assert_eq!(slots.len(), 4);
    let entries: Vec<u16> = slots.iter().map(|entry| entry.plain() as u16).collect();
    assert_eq!(entries, [9, 1, 2, 3]);
    for plain in [9, 3] {
        assert!(!insert(&mut slots, Id::of(7, plain), 190, 190));
    }
}

#[test]
fn an_entry_with_an_index_does_not_expire() {
    let mut slots = Slots::default();
    assert!(insert(&mut slots, Id::of(7, 1), 150, 100));
    let place = slots.find(Id::of(7, 1), at(150)).unwrap();
    slots.put(place, Slot::new(Id::of(7, 1), Value::Index(0)));
    for now in [at(i64::MIN), at(151), at(i64::MAX)] {
        assert_eq!(slots.find(Id::of(7, 1), now), Some(place));
    }
}

proptest! {
    /// The hashes are few and lie together, at both ends of the table and in between, so searches are long and wrap.
    #[test]
    fn the_table_knows_what_a_map_knows(
        steps in prop::collection::vec((0..4_u64, 0..64_u16, 0..40_i64, 0..3_i64), 1..600)
    ) {
        let mut slots = Slots::default();
        let mut map: HashMap<(u64, u16), i64> = HashMap::new();
        let mut now = 100;
        for (n, (hash, plain, lifetime, pause)) in steps.into_iter().enumerate() {
            now += pause / 2;
            let keyed = [0, 1, u64::MAX / 2, u64::MAX][hash as usize];
            let is_live = map.get(&(keyed, plain)).is_some_and(|expires_at| now <= *expires_at);
            prop_assert_eq!(insert(&mut slots, Id::of(keyed, plain), now + lifetime, now), !is_live);
            if !is_live {
                map.insert((keyed, plain), now + lifetime);
            }
            if n % 50 > 0 {
                continue;
            }
            if n % 100 == 0 {
                slots.retain(|entry| entry.expires_at().is_some_and(|e| at(now) <= e).then_some(entry));
                map.retain(|_, expires_at| now <= *expires_at);
                prop_assert_eq!(slots.len(), map.len());
            }
            for (&(keyed, plain), &expires_at) in map.iter().filter(|(_, e)| now <= **e) {
                let place = slots.find(Id::of(keyed, plain), at(now));
                let Some(Place::Held(held)) = place else {
                    return Err(TestCaseError::fail("an entry was lost"));
                };
                let entry = slots.get(held).unwrap();
                prop_assert_eq!(entry, expiring(Id::of(keyed, plain), expires_at));
            }
            let mut ids: Vec<_> = slots.iter().map(|entry| (entry.keyed, entry.plain())).collect();
            prop_assert_eq!(ids.len(), slots.len());
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), slots.len(), "an entry is there twice");
        }
    }
}
