use std::{
    collections::VecDeque,
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};

use tokio::{runtime, sync::Notify, time::timeout};

use super::*;
use crate::{
    clock::{ManualClock, UnixTime},
    keys::KeyFetching,
};

#[derive(Clone, Debug)]
enum Answer {
    Keys(&'static str),
    Panic,
    /// When it is told to go on.
    Held(Arc<Notify>),
}

/// Has these answers, and then failures.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    asked: Arc<AtomicUsize>,
}

impl Script {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn fetched(text: &[u8]) -> Fetched {
    Fetched {
        text: text.to_vec(),
        fresh_for: None,
    }
}

impl Fetch for Script {
    fn fetch(&self, _deadline: Instant) -> Fetching<'_> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async move {
            match answer {
                Some(Answer::Keys(text)) => Ok(fetched(text.as_bytes())),
                Some(Answer::Panic) => panic!("on purpose"),
                Some(Answer::Held(go_on)) => {
                    go_on.notified().await;
                    Ok(fetched(b"held"))
                }
                None => Err(FetchError::NoRuntime),
            }
        })
    }
}

struct Rig {
    source: Arc<Source>,
    script: Script,
    clock: ManualClock,
}

impl Rig {
    fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        let clock = ManualClock::new(UnixTime::from_secs(0));
        let script = Script::default();
        script.answers.lock().unwrap().extend(answers);
        let source = Source::new(script.clone(), Arc::new(clock.clone()));
        Self {
            source: Arc::new(source),
            script,
            clock,
        }
    }

    fn step(&self) -> Step {
        let document = self.source.document();
        self.source.step(&Judged {
            intervals: &default(),
            document: document.as_ref(),
            is_usable: document.is_some(),
            needs_others: false,
        })
    }

    fn wait(&self) -> Waiting {
        match self.step() {
            Step::Wait(waiting) => waiting,
            _ => panic!("there is something to wait for"),
        }
    }

    fn text(&self) -> Option<Arc<[u8]>> {
        let document = self.source.document();
        document.as_ref().map(|document| Arc::clone(&document.text))
    }

    fn advance(&self, secs: u64) {
        self.clock.advance(Duration::from_secs(secs));
    }
}

fn default() -> Intervals {
    KeyFetching::new().check().unwrap()
}

fn small_runtime() -> runtime::Runtime {
    let mut builder = runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), future).await.unwrap()
}

#[tokio::test]
async fn all_wait_for_one_attempt_and_find_its_result() {
    let go_on = Arc::new(Notify::new());
    let rig = Rig::new([Answer::Held(Arc::clone(&go_on))]);
    let waiting: Vec<_> = (0..5).map(|_| rig.wait()).collect();
    go_on.notify_one();
    for waiting in waiting {
        soon(waiting.end()).await;
        assert_eq!(rig.text().as_deref(), Some(&b"held"[..]));
    }
    assert_eq!(rig.script.asked(), 1);
    assert!(matches!(rig.step(), Step::Serve));
}

#[tokio::test]
async fn an_attempt_does_not_need_those_who_wait() {
    let rig = Rig::new([Answer::Keys("a")]);
    drop(rig.wait());
    soon(async {
        while rig.text().is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(rig.script.asked(), 1);
}

#[tokio::test]
async fn a_fetch_that_panics_is_a_failure_like_others() {
    let rig = Rig::new([Answer::Panic, Answer::Keys("a")]);
    let (one, two) = (rig.wait(), rig.wait());
    soon(one.end()).await;
    soon(two.end()).await;
    assert!(matches!(rig.step(), Step::Reject), "it would come again");
    rig.advance(10);
    soon(rig.wait().end()).await;
    assert_eq!(rig.text().as_deref(), Some(&b"a"[..]));
    assert_eq!(rig.script.asked(), 2);
}

#[test]
fn an_attempt_ends_with_its_runtime_and_the_next_caller_begins_another() {
    let rig = Rig::new([Answer::Held(Arc::default()), Answer::Keys("a")]);
    let (first, second) = (small_runtime(), small_runtime());
    let waiting = first.block_on(async {
        let waiting = rig.wait();
        tokio::task::yield_now().await;
        waiting
    });
    assert_eq!(rig.script.asked(), 1);
    // Anyone who waits on another runtime is woken.
    let ended = std::thread::spawn(move || small_runtime().block_on(soon(waiting.end())));
    std::thread::sleep(Duration::from_millis(20));
    drop(first);
    ended.join().unwrap();
    second.block_on(async { soon(rig.wait().end()).await });
    assert_eq!(rig.text().as_deref(), Some(&b"a"[..]));
    assert_eq!(rig.script.asked(), 2);
}

#[test]
fn an_attempt_on_a_runtime_that_takes_no_more_tasks_wedges_nobody() {
    let rig = Rig::new([Answer::Keys("a")]);
    let gone = small_runtime();
    let handle = gone.handle().clone();
    drop(gone);
    {
        let _entered = handle.enter();
        for _ in 0..3 {
            assert!(!rig.wait().is_open());
        }
    }
    assert_eq!(rig.script.asked(), 0);
    small_runtime().block_on(async { soon(rig.wait().end()).await });
    assert_eq!(rig.text().as_deref(), Some(&b"a"[..]));
}

impl Waiting {
    fn is_open(&self) -> bool {
        self.ended.has_changed().is_ok()
    }
}

#[test]
fn without_a_runtime_nobody_waits() {
    let rig = Rig::new([Answer::Held(Arc::default())]);
    let at_once = |waiting: Waiting| {
        let mut context = Context::from_waker(Waker::noop());
        assert_eq!(pin!(waiting.end()).poll(&mut context), Poll::Ready(()));
    };
    at_once(rig.wait());
    assert!(matches!(rig.step(), Step::Reject));
    rig.advance(10);
    // Another one has a runtime, and an attempt is under way there.
    let runtime = small_runtime();
    drop(runtime.block_on(async { rig.wait() }));
    at_once(rig.wait());
}

#[tokio::test]
async fn what_the_issuer_says_again_is_the_same_text_but_younger() {
    let answers = ["a", "a", "b"].map(Answer::Keys);
    let rig = Rig::new(answers);
    soon(rig.wait().end()).await;
    let first = rig.text().unwrap();
    rig.advance(300);
    assert!(matches!(rig.step(), Step::Serve));
    // It is refreshed in the background, and no more than once.
    assert!(matches!(rig.step(), Step::Serve));
    let asked = async |rig: &Rig, secs: u64| {
        soon(async {
            while rig.source.document().as_ref().unwrap().freshness.asked
                != Duration::from_secs(secs)
            {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    asked(&rig, 300).await;
    assert!(Arc::ptr_eq(&first, &rig.text().unwrap()));
    rig.advance(300);
    assert!(matches!(rig.step(), Step::Serve));
    asked(&rig, 600).await;
    assert_eq!(&*rig.text().unwrap(), b"b");
    assert_eq!(rig.script.asked(), 3);
}

#[tokio::test]
async fn the_result_of_an_attempt_that_another_one_replaced_does_not_count() {
    let rig = Rig::new([Answer::Keys("a")]);
    soon(rig.wait().end()).await;
    for number in [0, 1, 2] {
        let outcome = Outcome::Fetched {
            fetched: fetched(b"late"),
            asked: Duration::ZERO,
        };
        let Counts(counts) = rig.source.end(number, outcome);
        assert!(!counts, "{number}");
    }
    assert_eq!(rig.text().as_deref(), Some(&b"a"[..]));
}

#[tokio::test]
async fn whoever_judged_an_older_document_judges_again() {
    let rig = Rig::new([Answer::Keys("a"), Answer::Keys("a")]);
    let none = Judged {
        intervals: &default(),
        document: None,
        is_usable: false,
        needs_others: false,
    };
    soon(rig.wait().end()).await;
    assert!(matches!(rig.source.step(&none), Step::JudgeAgain));
    let first = rig.source.document().clone();
    rig.advance(300);
    assert!(matches!(rig.step(), Step::Serve));
    soon(async {
        while rig.source.document().as_ref().map(Arc::as_ptr) == first.as_ref().map(Arc::as_ptr) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let stale = Judged {
        intervals: &default(),
        document: first.as_ref(),
        is_usable: true,
        needs_others: true,
    };
    assert!(matches!(rig.source.step(&stale), Step::JudgeAgain));
    assert_eq!(rig.script.asked(), 2);
}

/// Others may be able to use it, so it is there; but who cannot tries again as after a failure.
#[tokio::test]
async fn a_document_that_is_of_no_use_to_a_configuration_is_a_failure_to_it() {
    let rig = Rig::new([Answer::Keys("a"), Answer::Keys("b")]);
    soon(rig.wait().end()).await;
    let step = || {
        let document = rig.source.document();
        rig.source.step(&Judged {
            intervals: &default(),
            document: document.as_ref(),
            is_usable: false,
            needs_others: false,
        })
    };
    assert!(matches!(step(), Step::Reject));
    assert!(matches!(rig.step(), Step::Serve));
    rig.advance(10);
    let Step::Wait(waiting) = step() else {
        panic!("another attempt");
    };
    soon(waiting.end()).await;
    assert_eq!(rig.text().as_deref(), Some(&b"b"[..]));
}

/// Otherwise a service that nobody can help would ask as often as after a first failure, for ever.
#[tokio::test]
async fn attempts_grow_apart_while_a_document_stays_of_no_use() {
    let answers = ["a", "a", "a", "b", "b"].map(Answer::Keys);
    let rig = Rig::new(answers);
    let intervals = default();
    let step = |is_usable| {
        let document = rig.source.document();
        rig.source.step(&Judged {
            intervals: &intervals,
            document: document.as_ref(),
            is_usable,
            needs_others: false,
        })
    };
    let mut asked = 0;
    // The last text is a new one.
    for (not_before, at_the_latest) in [(0, 0), (5, 10), (10, 20), (20, 40), (5, 10)] {
        if not_before > 0 {
            rig.advance(not_before - 1);
            assert!(matches!(step(false), Step::Reject), "{not_before}");
            rig.advance(at_the_latest - not_before + 1);
        }
        let Step::Wait(waiting) = step(false) else {
            panic!("{at_the_latest}");
        };
        soon(waiting.end()).await;
        asked += 1;
        assert_eq!(rig.script.asked(), asked);
    }
    // For a configuration that can use it, nothing has failed.
    assert!(matches!(step(true), Step::Serve));
}
