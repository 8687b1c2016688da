//! A map in memory whose entries expire, and which has a limit.

use std::{collections::HashMap, time::Duration};

use dpop_tower::clock::UnixTime;

/// The SHA-256 hash of a code or token. Neither is kept.
pub(super) type Digest = [u8; 32];

#[derive(Debug)]
pub(super) struct Expiring<V> {
    entries: HashMap<Digest, (UnixTime, V)>,
    capacity: usize,
}

/// There is no room for another entry that has not expired.
#[derive(Debug)]
pub(super) struct Full;

impl<V> Expiring<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
        }
    }

    pub(super) fn insert(
        &mut self,
        key: Digest,
        value: V,
        now: UnixTime,
        lifetime: Duration,
    ) -> Result<(), Full> {
        if self.entries.len() >= self.capacity {
            self.entries.retain(|_, (expires_at, _)| now < *expires_at);
        }
        if self.entries.len() >= self.capacity {
            return Err(Full);
        }
        let expires_at = now.saturating_add(lifetime);
        self.entries.insert(key, (expires_at, value));
        Ok(())
    }

    pub(super) fn get_mut(&mut self, key: &Digest, now: UnixTime) -> Option<&mut V> {
        let (expires_at, value) = self.entries.get_mut(key)?;
        (now < *expires_at).then_some(value)
    }

    pub(super) fn remove(&mut self, key: &Digest, now: UnixTime) -> Option<V> {
        let (expires_at, value) = self.entries.remove(key)?;
        (now < expires_at).then_some(value)
    }

    /// Returns the first entry that `is_wanted`.
    pub(super) fn find_mut(
        &mut self,
        now: UnixTime,
        is_wanted: impl Fn(&V) -> bool,
    ) -> Option<&mut V> {
        let mut live = self.entries.values_mut();
        let found = live.find(|(expires_at, value)| now < *expires_at && is_wanted(value));
        found.map(|(_, value)| value)
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        self.entries.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1000);

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_full_map_takes_an_entry_only_in_place_of_an_expired_one() {
        let mut map = Expiring::new(2);
        let later = NOW.saturating_add(MINUTE);
        map.insert([1; 32], 'a', NOW, MINUTE).unwrap();
        map.insert([2; 32], 'b', NOW, MINUTE * 2).unwrap();
        assert!(map.insert([3; 32], 'c', NOW, MINUTE).is_err());
        map.insert([3; 32], 'c', later, MINUTE).unwrap();
        assert_eq!(map.get_mut(&[1; 32], later), None);
        assert_eq!(map.get_mut(&[2; 32], later), Some(&mut 'b'));
        assert_eq!(map.remove(&[3; 32], later), Some('c'));
        assert_eq!(map.remove(&[3; 32], later), None);
    }

    #[test]
    fn an_entry_is_gone_when_it_has_expired() {
        let mut map = Expiring::new(2);
        map.insert([1; 32], 'a', NOW, MINUTE).unwrap();
        assert_eq!(map.get_mut(&[1; 32], NOW.saturating_add(MINUTE)), None);
        assert_eq!(map.find_mut(NOW.saturating_add(MINUTE), |_| true), None);
        assert_eq!(map.remove(&[1; 32], NOW.saturating_add(MINUTE)), None);
    }
}
