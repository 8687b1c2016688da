use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use subtle::ConstantTimeEq as _;

use super::{NonceContext, NonceLife, NonceSecret, NonceSecrets, NonceSource, NonceStatus};
use crate::{clock::UnixTime, jose::base64url};

/// Keeps these MACs apart from any other use of the same secret.
const CONTEXT: &[u8] = b"dpop-tower nonce 1";
/// The same if there is a partition or if nonces are bound to a key. The next byte says which.
const CONTEXT_OF_MORE: &[u8] = b"dpop-tower nonce 2";
const HAS_INCARNATION: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_PARTITION: u8 = 4;
/// The longest name of a partition in bytes.
const LONGEST_PARTITION: usize = 255;
/// The longest period in seconds. A longer one would allow proofs that are made far ahead of their use.
const LONGEST_PERIOD: u64 = 24 * 60 * 60;
const STEP_LEN: usize = 8;
const MAC_LEN: usize = 16;

/// Nonces that are computed, not stored: a time step and an HMAC-SHA256 over it.
///
/// Time is divided into steps of one [`period`](Self::period). Clients get the nonce of the current step.
/// It is accepted during its own step and the next. During the next step, the response carries a new
/// nonce. Therefore a client that calls at least once a period never gets a challenge, and no nonce is
/// accepted for longer than two periods.
///
/// Nodes that share the secret and the period accept each other's nonces. Their clocks need not agree to
/// the second, because the nonce of the following step is accepted as well.
///
/// If the replay store has a [fence](crate::replay#the-fence), the HMAC also covers the incarnation of the store.
/// After a change, every client gets one challenge. Nodes then accept each other's nonces only if they share
/// the store as well.
///
/// ```
/// # #[cfg(feature = "josekit")] {
/// use std::time::Duration;
/// use dpop_tower::crypto::Josekit;
/// use dpop_tower::nonce::{NonceContext, NonceSecret, NonceSource, NonceStatus, StatelessNonces};
/// use dpop_tower::clock::UnixTime;
///
/// let nonces = StatelessNonces::new(NonceSecret::random()?).period(Duration::from_secs(60));
/// let now = UnixTime::from_secs(1_700_000_000);
/// let after = |secs| NonceContext::new(now.saturating_add(Duration::from_secs(secs)), &Josekit);
/// let nonce = nonces.current(&after(0));
/// assert_eq!(nonces.check(&nonce, &after(0)), NonceStatus::Current);
/// assert_eq!(nonces.check(&nonce, &after(60)), NonceStatus::Retiring);
/// assert_eq!(nonces.check(&nonce, &after(120)), NonceStatus::Unknown);
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct StatelessNonces {
    secrets: Arc<RwLock<Arc<NonceSecrets>>>,
    period: Duration,
    partition: Option<Arc<str>>,
    binds_to_key: bool,
}

impl StatelessNonces {
    /// Makes nonces with a secret, or with the current one of several, and a period of two minutes.
    pub fn new(secrets: impl Into<NonceSecrets>) -> Self {
        Self {
            secrets: Arc::new(RwLock::new(Arc::new(secrets.into()))),
            period: Duration::from_secs(120),
            partition: None,
            binds_to_key: false,
        }
    }

    /// Replaces the secrets of this value and of its clones, while they are in use.
    ///
    /// [`NonceSecrets`] shows how nodes change their secret without challenging clients.
    ///
    /// ```
    /// use dpop_tower::{DpopConfig, nonce::{NonceSecret, NonceSecrets, StatelessNonces}};
    ///
    /// let old = NonceSecret::random()?;
    /// let nonces = StatelessNonces::new(old.clone());
    /// let handle = nonces.clone();
    /// // Give `nonces` to `DpopConfigBuilder::nonce_source`, and keep the handle.
    /// let new = NonceSecret::random()?;
    /// handle.replace_secrets(NonceSecrets::new(old).next(new));
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    pub fn replace_secrets(&self, secrets: impl Into<NonceSecrets>) {
        let secrets = Arc::new(secrets.into());
        // A thread that panics cannot leave half a value.
        *(self.secrets.write()).unwrap_or_else(PoisonError::into_inner) = secrets;
    }

    fn secrets(&self) -> Arc<NonceSecrets> {
        Arc::clone(&self.secrets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Accepts only nonces that were issued under this name, such as that of a region.
    ///
    /// Regions that share no replay store accept a copied proof once each. With nonces
    /// [required](crate::DpopConfigBuilder::require_nonces) and a name for each region, a proof carries a nonce of one
    /// region and is good there only: another one rejects it with `use_dpop_nonce`. A client that moves to another
    /// region gets one challenge. Regions may share the secret.
    ///
    /// # Security
    ///
    /// All nodes that share a replay store have the same name, and no others have it. Where nonces are not required, a
    /// partition protects nothing. [`build`](crate::DpopConfigBuilder::build) rejects an empty name and one of more
    /// than 255 bytes.
    #[must_use]
    pub fn partition(mut self, name: impl Into<String>) -> Self {
        self.partition = Some(name.into().into());
        self
    }

    /// Binds each nonce to the key of the client that it is issued to.
    ///
    /// A nonce is then of no use with another key. Responses to requests without a readable proof have no nonce,
    /// because there is no key to bind it to, so a client learns its first nonce from its first proof. Reading the key
    /// twice makes a request a little slower.
    #[must_use]
    pub const fn bind_to_key(mut self) -> Self {
        self.binds_to_key = true;
        self
    }

    /// Also accepts nonces made with `secret`, without making any.
    ///
    /// Use it to change the secret of several nodes without challenging clients. Restart all nodes after each
    /// step, and wait two periods before the last one:
    ///
    /// ```
    /// use dpop_tower::nonce::{NonceSecret, StatelessNonces};
    ///
    /// # let (old, new) = (NonceSecret::random()?, NonceSecret::random()?);
    /// let first = StatelessNonces::new(old.clone()).also_accept(new.clone());
    /// let second = StatelessNonces::new(new.clone()).also_accept(old);
    /// let third = StatelessNonces::new(new);
    /// # Ok::<(), dpop_tower::ConfigError>(())
    /// ```
    #[must_use]
    pub fn also_accept(mut self, secret: NonceSecret) -> Self {
        let secrets = (*self.secrets()).clone().accept(secret);
        // Clones made before keep their own secrets.
        self.secrets = Arc::new(RwLock::new(Arc::new(secrets)));
        self
    }

    /// Sets for how long clients get the same nonce: whole seconds, from one second to one day. Defaults to
    /// two minutes.
    ///
    /// [`DpopConfigBuilder::build`](crate::DpopConfigBuilder::build) rejects anything else. A nonce is
    /// accepted for one to two periods.
    #[must_use]
    pub const fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    fn seconds(&self) -> i64 {
        i64::try_from(self.period.as_secs()).unwrap_or(i64::MAX)
    }

    fn step(&self, now: UnixTime) -> i64 {
        now.as_secs().div_euclid(self.seconds().max(1))
    }

    /// Computes the MAC of a step. It covers the period, so that nodes with different periods never accept
    /// each other's nonces, and what else a nonce depends on.
    fn mac(
        &self,
        secret: &NonceSecret,
        step: [u8; STEP_LEN],
        context: &NonceContext<'_>,
    ) -> [u8; MAC_LEN] {
        let period = self.period.as_secs().to_be_bytes();
        let incarnation = context.incarnation.as_ref().map_or(&[][..], |i| i.id());
        let key = (context.thumbprint.as_ref().filter(|_| self.binds_to_key))
            .map_or(&[][..], |thumbprint| thumbprint.as_bytes());
        let partition = self
            .partition
            .as_ref()
            .map_or(&[][..], |name| name.as_bytes());
        let mac = if key.is_empty() && partition.is_empty() {
            // Every part has a fixed length, except the last, which is there or not.
            (context.crypto).hmac_sha256(&secret.bytes, &[CONTEXT, &period, &step, incarnation])
        } else {
            let flag = |part: &[u8], flag: u8| if part.is_empty() { 0 } else { flag };
            let parts = flag(incarnation, HAS_INCARNATION)
                | flag(key, HAS_KEY)
                | flag(partition, HAS_PARTITION);
            // Every part has a fixed length or is missing, as the flags say, except the last.
            let input = [
                CONTEXT_OF_MORE,
                &[parts],
                &period,
                &step,
                incarnation,
                key,
                partition,
            ];
            context.crypto.hmac_sha256(&secret.bytes, &input)
        };
        let mut left = [0; MAC_LEN];
        left.iter_mut().zip(mac).for_each(|(to, from)| *to = from);
        left
    }
}

/// Returns the step and the MAC of a nonce.
fn parts(nonce: &str) -> Option<([u8; STEP_LEN], [u8; MAC_LEN])> {
    let bytes = base64url::decode_array::<{ STEP_LEN + MAC_LEN }>(nonce)?;
    let (step, mac) = bytes.split_first_chunk()?;
    Some((*step, mac.try_into().ok()?))
}

impl NonceSource for StatelessNonces {
    fn current(&self, context: &NonceContext<'_>) -> String {
        let step = self.step(context.now).to_be_bytes();
        let mut nonce = step.to_vec();
        nonce.extend(self.mac(&self.secrets().current, step, context));
        base64url::encode(&nonce)
    }

    fn check(&self, nonce: &str, context: &NonceContext<'_>) -> NonceStatus {
        let Some((step, tag)) = parts(nonce) else {
            return NonceStatus::Unknown;
        };
        let status = match i64::from_be_bytes(step).checked_sub(self.step(context.now)) {
            Some(0 | 1) => NonceStatus::Current,
            Some(-1) => NonceStatus::Retiring,
            _ => return NonceStatus::Unknown,
        };
        if self.binds_to_key && context.thumbprint.is_none() {
            return NonceStatus::Unknown;
        }
        // The comparison takes constant time.
        let ours = self
            .secrets()
            .all()
            .any(|secret| self.mac(secret, step, context).ct_eq(&tag).into());
        if ours { status } else { NonceStatus::Unknown }
    }

    fn covers_incarnation(&self) -> bool {
        true
    }

    fn binds_to_key(&self) -> bool {
        self.binds_to_key
    }

    fn is_per_process(&self) -> bool {
        self.secrets().current.is_random
    }

    fn life(&self, nonce: &str) -> Option<NonceLife> {
        let (step, _) = parts(nonce)?;
        let step = i64::from_be_bytes(step);
        let begin = |step: i64| step.saturating_mul(self.seconds());
        // A nonce is accepted in its own step and the next.
        let over = begin(step.saturating_add(2));
        Some(NonceLife {
            made: UnixTime::from_secs(begin(step)),
            accepted_until: UnixTime::from_secs(over.saturating_sub(1)),
        })
    }

    fn longest_life(&self) -> Option<Duration> {
        Some(self.period.saturating_mul(2))
    }

    fn unusable(&self) -> Option<String> {
        let is_name = |name: &Arc<str>| (1..=LONGEST_PARTITION).contains(&name.len());
        if !self.partition.as_ref().is_none_or(is_name) {
            return Some(format!(
                "the name of the partition is empty or longer than {LONGEST_PARTITION} bytes: give \
                 `StatelessNonces::partition` the name of a region, such as \"eu-west\""
            ));
        }
        let period = self.period;
        let is_usable =
            period.subsec_nanos() == 0 && (1..=LONGEST_PERIOD).contains(&period.as_secs());
        (!is_usable).then(|| {
            format!(
                "the period of the nonces is {period:?}: give `StatelessNonces::period` whole seconds, \
                 from one to {LONGEST_PERIOD}"
            )
        })
    }
}

impl fmt::Debug for StatelessNonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatelessNonces")
            .field("secrets", &self.secrets().all().count())
            .field("period", &self.period)
            .field("partition", &self.partition)
            .field("binds_to_key", &self.binds_to_key)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::pure_rust::PureRust;

    const START: UnixTime = UnixTime::from_secs(1_700_000_040);

    fn at(secs: i64) -> UnixTime {
        UnixTime::from_secs(START.as_secs() + secs)
    }

    fn context(now: UnixTime) -> NonceContext<'static> {
        NonceContext::new(now, &PureRust)
    }

    fn nonces(secret: u8) -> StatelessNonces {
        StatelessNonces::new(NonceSecret::new([secret; 32]).unwrap())
    }

    #[test]
    fn a_nonce_lives_for_its_step_and_the_next() {
        let nonces = nonces(1);
        let nonce = nonces.current(&context(START));
        assert_eq!(nonces.check(&nonce, &context(START)), NonceStatus::Current);
        assert_eq!(
            nonces.check(&nonce, &context(at(119))),
            NonceStatus::Current
        );
        assert_eq!(
            nonces.check(&nonce, &context(at(120))),
            NonceStatus::Retiring
        );
        assert_eq!(
            nonces.check(&nonce, &context(at(239))),
            NonceStatus::Retiring
        );
        assert_eq!(
            nonces.check(&nonce, &context(at(240))),
            NonceStatus::Unknown
        );
        // Made by a node whose clock is a little ahead.
        assert_eq!(nonces.check(&nonce, &context(at(-1))), NonceStatus::Current);
        assert_eq!(
            nonces.check(&nonce, &context(at(-121))),
            NonceStatus::Unknown
        );
    }

    /// Nodes of two versions of this crate have to agree, and no other use of the secret may.
    #[test]
    fn a_nonce_is_the_step_and_half_an_hmac_of_context_period_and_step() {
        // Python: step = (1700000040 // 120).to_bytes(8, "big"); base64.urlsafe_b64encode(step +
        // hmac.digest(b"\x01" * 32, b"dpop-tower nonce 1" + (120).to_bytes(8, "big") + step,
        // "sha256")[:16])
        assert_eq!(
            nonces(1).current(&context(START)),
            "AAAAAADYKovr5EB30NLoa5lYi6UjWaIx"
        );
    }

    #[test]
    fn the_life_of_a_nonce_is_as_long_as_it_is_accepted() {
        let nonces = nonces(1);
        for secs in [0, 1, 119, 120, 1_000_000] {
            let now = at(secs);
            let nonce = nonces.current(&context(now));
            let life = nonces.life(&nonce).unwrap();
            assert!(life.made <= now && now < life.made.saturating_add(nonces.period));
            let last = life.accepted_until;
            assert_eq!(nonces.check(&nonce, &context(last)), NonceStatus::Retiring);
            let after = last.saturating_add(Duration::from_secs(1));
            assert_eq!(nonces.check(&nonce, &context(after)), NonceStatus::Unknown);
            let longest = i64::try_from(nonces.longest_life().unwrap().as_secs()).unwrap();
            assert!(last.seconds_since(life.made) < longest);
        }
        assert_eq!(nonces.life("no nonce of ours"), None);
    }

    #[test]
    fn nonces_of_another_secret_or_period_are_unknown() {
        let nonce = nonces(1).current(&context(START));
        assert_eq!(
            nonces(2).check(&nonce, &context(START)),
            NonceStatus::Unknown
        );
        let other = nonces(1).period(Duration::from_secs(121));
        let step = |n: &StatelessNonces| n.step(START);
        let same_step = at((step(&nonces(1)) - step(&other)) * 121);
        assert_eq!(other.step(same_step), step(&nonces(1)));
        assert_eq!(
            other.check(&nonce, &context(same_step)),
            NonceStatus::Unknown
        );
    }

    #[test]
    fn a_secret_can_be_changed_without_a_challenge() {
        let old = nonces(1);
        let change = nonces(2).also_accept(NonceSecret::new([1; 32]).unwrap());
        assert_eq!(
            change.check(&old.current(&context(START)), &context(START)),
            NonceStatus::Current
        );
        assert_eq!(
            nonces(2).check(&change.current(&context(START)), &context(START)),
            NonceStatus::Current
        );
        assert_eq!(
            old.check(&change.current(&context(START)), &context(START)),
            NonceStatus::Unknown
        );
    }

    #[test]
    fn no_part_of_a_nonce_can_be_changed_or_left_out() {
        let nonces = nonces(1);
        let nonce = nonces.current(&context(START));
        for (i, c) in nonce.char_indices() {
            let other = if c == 'A' { 'B' } else { 'A' };
            let mut changed = nonce.clone();
            changed.replace_range(i..=i, &other.to_string());
            assert_eq!(
                nonces.check(&changed, &context(START)),
                NonceStatus::Unknown,
                "{i}"
            );
            assert_eq!(
                nonces.check(&nonce[..i], &context(START)),
                NonceStatus::Unknown,
                "{i}"
            );
        }
        for other in [
            format!("{nonce}A"),
            format!(" {nonce}"),
            format!("{nonce}="),
        ] {
            assert_eq!(nonces.check(&other, &context(START)), NonceStatus::Unknown);
        }
    }

    #[test]
    fn extreme_times_are_no_trouble() {
        let nonces = nonces(1);
        for secs in [i64::MIN, i64::MAX, -1, 0] {
            let now = UnixTime::from_secs(secs);
            assert_eq!(
                nonces.check(&nonces.current(&context(now)), &context(now)),
                NonceStatus::Current
            );
        }
        let far = nonces.current(&context(UnixTime::from_secs(i64::MIN)));
        assert_eq!(
            nonces.check(&far, &context(UnixTime::from_secs(i64::MAX))),
            NonceStatus::Unknown
        );
    }

    #[test]
    fn a_period_is_whole_seconds_up_to_a_day() {
        let of = |period| nonces(1).period(period).unusable();
        for period in [
            Duration::ZERO,
            Duration::from_millis(500),
            Duration::from_millis(120_001),
            Duration::from_secs(86_401),
            Duration::MAX,
        ] {
            let told = of(period).unwrap();
            assert!(told.contains(&format!("{period:?}")), "{told}");
            assert!(told.contains("StatelessNonces::period"), "{told}");
        }
        for secs in [1, 120, 86_400] {
            assert_eq!(of(Duration::from_secs(secs)), None);
        }
    }

    #[test]
    fn nonces_are_made_of_characters_that_fit_a_header() {
        let nonce = nonces(1).current(&context(START));
        assert_eq!(nonce.len(), 32);
        assert!(
            nonce
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
    }

    #[test]
    fn debug_shows_no_secret() {
        let text = format!(
            "{:?} {:?}",
            nonces(1),
            NonceSecret::new([0x41; 32]).unwrap()
        );
        assert_eq!(
            text,
            "StatelessNonces { secrets: 1, period: 120s, partition: None, binds_to_key: false } NonceSecret(..)"
        );
    }
}
