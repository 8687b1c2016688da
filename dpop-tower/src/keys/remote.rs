use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwapOption;

use super::{
    AtHand, KeySource, KeyState, KeysUnavailable, Load, WarmUp,
    decision::{Age, Decision},
    intervals::Intervals,
    set::KeySet,
    source::{Document, Judged, Source, Step},
};
use crate::crypto::{Algorithm, CryptoProvider};

/// The keys that one configuration can use from the documents of an endpoint.
pub(crate) struct RemoteKeys {
    source: Arc<Source>,
    intervals: Intervals,
    algorithms: Vec<Algorithm>,
    crypto: Arc<dyn CryptoProvider>,
    read: ArcSwapOption<Read>,
    /// Held while a document is parsed, so that it is parsed once.
    reading: Mutex<()>,
}

struct Read {
    document: Arc<Document>,
    /// `None` if none of its keys can be used.
    keys: Option<Arc<KeySet>>,
}

const NONE_USABLE: &str = "none of the keys of the issuer's JWK Set can be used";

impl RemoteKeys {
    pub(super) fn new(
        source: Arc<Source>,
        intervals: Intervals,
        algorithms: Vec<Algorithm>,
        crypto: Arc<dyn CryptoProvider>,
    ) -> Self {
        Self {
            source,
            intervals,
            algorithms,
            crypto,
            read: ArcSwapOption::empty(),
            reading: Mutex::default(),
        }
    }

    /// Returns the keys of a document, if they can be used.
    fn keys_of(&self, document: &Arc<Document>) -> Option<Arc<KeySet>> {
        let is_read = |read: &Arc<Read>| Arc::ptr_eq(&read.document, document);
        if let Some(read) = &*self.read.load()
            && is_read(read)
        {
            return read.keys.clone();
        }
        let _one_at_a_time = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.read.load_full();
        let keys = match last {
            Some(read) if is_read(&read) => return read.keys.clone(),
            // The same text gives the same set. No key is checked or logged twice, and a request that
            // has tried the set does not try it again.
            Some(read) if Arc::ptr_eq(&read.document.text, &document.text) => read.keys.clone(),
            _ => KeySet::parse(&document.text, &self.algorithms, &*self.crypto)
                .ok()
                .map(Arc::new),
        };
        if keys.is_none() {
            // This is not an outage. The issuer publishes no usable key any more.
            tracing::warn!("{NONE_USABLE}");
        }
        self.read.store(Some(Arc::new(Read {
            document: Arc::clone(document),
            keys: keys.clone(),
        })));
        keys
    }

    /// Judges the current document for a caller that has tried `seen`.
    fn judge<T>(
        &self,
        seen: Option<&Arc<KeySet>>,
        then: impl Fn(&Judged<'_>, Option<Arc<KeySet>>) -> T,
    ) -> T {
        let document = self.source.document();
        let keys = document
            .as_ref()
            .and_then(|document| self.keys_of(document));
        let judged = Judged {
            intervals: &self.intervals,
            document: document.as_ref(),
            is_usable: keys.is_some(),
            needs_others: match (seen, &keys) {
                (Some(seen), Some(keys)) => Arc::ptr_eq(seen, keys),
                // The keys that it has tried are no longer current.
                (Some(_), None) | (None, _) => false,
            },
        };
        then(&judged, keys)
    }

    fn step(&self, seen: Option<&Arc<KeySet>>) -> (Step, Option<Arc<KeySet>>) {
        loop {
            match self.judge(seen, |judged, keys| (self.source.step(judged), keys)) {
                (Step::JudgeAgain, _) => {}
                step => return step,
            }
        }
    }
}

impl KeySource for RemoteKeys {
    fn at_hand(&self) -> Option<AtHand> {
        // Every request runs this, so the text is not compared with that of the document.
        let read = self.read.load();
        let (keys, freshness) = match &*read {
            Some(read) if self.source.is_latest(&read.document) => {
                (read.keys.clone(), read.document.freshness)
            }
            _ => {
                let document = self.source.document();
                let document = document.as_ref()?;
                (self.keys_of(document), document.freshness)
            }
        };
        let age = freshness.age(&self.intervals, self.source.now());
        if age == Age::TooOld {
            return None;
        }
        Some(AtHand {
            keys: keys?,
            is_due: age == Age::Due,
        })
    }

    fn refresh(&self) {
        let _ = self.step(None);
    }

    fn may_have_others(&self, than: &Arc<KeySet>) -> bool {
        self.judge(Some(than), |judged, _| {
            self.source.decide(judged) != Decision::Reject
        })
    }

    fn load(&self, seen: Option<Arc<KeySet>>) -> Load<'_> {
        Box::pin(async move {
            let is_other =
                |keys: &Arc<KeySet>| seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, keys));
            let mut no_others_exist = false;
            let keys = match self.step(seen.as_ref()) {
                (Step::Serve, keys) => keys,
                (Step::Wait(attempt), _) => {
                    let before = self.source.latest();
                    attempt.end().await;
                    let keys = self.at_hand().map(|at_hand| at_hand.keys);
                    no_others_exist = keys.is_some() && self.source.latest() != before;
                    keys
                }
                (Step::Reject | Step::JudgeAgain, _) => None,
            };
            keys.filter(is_other)
                .ok_or(KeysUnavailable { no_others_exist })
        })
    }

    fn state(&self) -> KeyState {
        match self.at_hand() {
            None => KeyState::Missing,
            Some(AtHand { is_due: true, .. }) => KeyState::Stale,
            Some(AtHand { is_due: false, .. }) => KeyState::Fresh,
        }
    }

    fn warm_up(&self) -> WarmUp<'_> {
        Box::pin(async {
            if self.load(None).await.is_ok() {
                return Ok(());
            }
            Err(match self.source.last_failure() {
                Some(why) => why,
                None if self.source.document().is_some() => Arc::from(NONE_USABLE),
                None => Arc::from("the task that fetches the keys has not ended"),
            })
        })
    }
}

impl fmt::Debug for RemoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteKeys")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
