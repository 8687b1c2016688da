//! Issuers that are looked up when a token names them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dpop_tower::{
    ConfigErrorKind, DpopConfig, Issuer, PublicOrigin,
    future::MaybeReady,
    test_util::TestIssuer,
    token::{DynamicIssuers, IssuerSource, TokenError},
};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinSet,
};

use super::{Api, clock, issuer};
use crate::support::{ORIGIN, Verdict, invalid_token, send, unavailable};

const UNKNOWN: Verdict = invalid_token("token_issuer_mismatch");
const UNAVAILABLE: Verdict = unavailable("token_verifier_unavailable");

/// The tenants of a database that counts what it is asked.
#[derive(Clone, Debug, Default)]
struct Tenants(Arc<State>);

#[derive(Debug, Default)]
struct State {
    known: Mutex<HashMap<String, TestIssuer>>,
    asked: Mutex<Vec<String>>,
    is_down: AtomicBool,
    /// If it is set, an answer takes a permit, and is not ready at once.
    slow: Mutex<Option<Arc<Semaphore>>>,
    /// Told when a slow answer is waited for.
    waiting: Notify,
}

impl Tenants {
    fn of(issuers: &[&TestIssuer]) -> Self {
        let tenants = Self::default();
        for issuer in issuers {
            tenants.add(issuer);
        }
        tenants
    }

    fn add(&self, issuer: &TestIssuer) {
        let mut known = self.0.known.lock().unwrap();
        known.insert(name(issuer), issuer.clone());
    }

    fn remove(&self, issuer: &TestIssuer) {
        self.0.known.lock().unwrap().remove(&name(issuer));
    }

    fn set_down(&self, is_down: bool) {
        self.0.is_down.store(is_down, Ordering::SeqCst);
    }

    fn make_slow(&self) -> Arc<Semaphore> {
        let permits = Arc::new(Semaphore::new(0));
        *self.0.slow.lock().unwrap() = Some(Arc::clone(&permits));
        permits
    }

    fn asked(&self) -> usize {
        self.0.asked.lock().unwrap().len()
    }

    fn answer(&self, iss: &str) -> Result<Option<Issuer>, TokenError> {
        if self.0.is_down.load(Ordering::SeqCst) {
            return Err(TokenError::unavailable("the database is down"));
        }
        let known = self.0.known.lock().unwrap();
        Ok(known.get(iss).map(TestIssuer::tokens))
    }
}

impl IssuerSource for Tenants {
    fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
        self.0.asked.lock().unwrap().push(iss.to_owned());
        let Some(slow) = self.0.slow.lock().unwrap().clone() else {
            return MaybeReady::ready(self.answer(iss));
        };
        let (tenants, iss) = (self.clone(), iss.to_owned());
        MaybeReady::pending(async move {
            tenants.0.waiting.notify_one();
            slow.acquire().await.unwrap().forget();
            tenants.answer(&iss)
        })
    }
}

/// The `iss` of its tokens.
fn name(issuer: &TestIssuer) -> String {
    let token: serde_json::Value = serde_json::from_str(&issuer.token().payload_json()).unwrap();
    token["iss"].as_str().unwrap().to_owned()
}

fn api(tenants: &Tenants) -> Api {
    Api::new(DynamicIssuers::new(tenants.clone()))
}

fn advance(secs: u64) {
    clock().advance(Duration::from_secs(secs));
}

#[tokio::test]
async fn an_issuer_is_looked_up_once_in_five_minutes() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let tenants = Tenants::of(&[&a, &b]);
    let api = api(&tenants);
    for _ in 0..3 {
        assert_eq!(api.present(&api.token(&a)).await, Verdict::Admitted);
        assert_eq!(api.present(&api.token(&b)).await, Verdict::Admitted);
    }
    assert_eq!(tenants.asked(), 2);
    advance(299);
    assert_eq!(api.present(&api.token(&a)).await, Verdict::Admitted);
    assert_eq!(tenants.asked(), 2);
    advance(1);
    assert_eq!(api.present(&api.token(&a)).await, Verdict::Admitted);
    assert_eq!(tenants.asked(), 3);
}

#[tokio::test]
async fn an_unknown_issuer_is_looked_up_once_in_30_seconds() {
    let (a, new) = (issuer("https://a.test"), issuer("https://new.test"));
    let tenants = Tenants::of(&[&a]);
    let api = api(&tenants);
    let token = api.token(&new);
    for _ in 0..3 {
        assert_eq!(api.present(&token).await, UNKNOWN);
    }
    assert_eq!(tenants.asked(), 1);
    tenants.add(&new);
    advance(29);
    assert_eq!(api.present(&token).await, UNKNOWN);
    advance(1);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    assert_eq!(tenants.asked(), 2);
}

#[tokio::test]
async fn no_tenant_can_sign_a_token_of_another() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let api = api(&Tenants::of(&[&a, &b]));
    let forged = a.token().bound_to(&api.client).signed_by(&b).mint();
    let wrong = invalid_token("token_signature_invalid");
    assert_eq!(api.present(&forged).await, wrong);
}

/// A tenant that is gone is rejected, also with tokens that were accepted before.
#[tokio::test]
async fn an_issuer_that_the_source_forgets_is_rejected_after_the_next_lookup() {
    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let api = api(&tenants);
    let token = api.token(&a);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    tenants.remove(&a);
    advance(299);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    advance(1);
    // This request has the issuer looked up, and does not wait for that.
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    assert_eq!(api.present(&token).await, UNKNOWN);
    assert_eq!(api.present(&api.token(&a)).await, UNKNOWN);
}

/// The settings of an issuer can change, and cached verdicts with them.
#[tokio::test]
async fn changed_settings_apply_to_tokens_that_were_accepted_before() {
    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let api = api(&tenants);
    let token = api.token(&a);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    tenants.add(&a.clone().audience("urn:other"));
    advance(300);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    let other_audience = invalid_token("token_audience_mismatch");
    assert_eq!(api.present(&token).await, other_audience);
}

#[tokio::test]
async fn an_outage_of_the_source_is_survived_for_twice_the_time() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let tenants = Tenants::of(&[&a, &b]);
    let api = api(&tenants);
    let token = api.token(&a);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    tenants.set_down(true);
    let other = api.token(&b);
    assert_eq!(api.present(&other).await, UNAVAILABLE);
    assert_eq!(tenants.asked(), 2);
    // A failure is a pause of five seconds for this issuer.
    advance(4);
    assert_eq!(api.present(&other).await, UNAVAILABLE);
    assert_eq!(tenants.asked(), 2);
    advance(1);
    assert_eq!(api.present(&other).await, UNAVAILABLE);
    assert_eq!(tenants.asked(), 3);

    advance(594);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    advance(1);
    assert_eq!(api.present(&token).await, UNAVAILABLE);
    tenants.set_down(false);
    advance(5);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    assert_eq!(api.present(&other).await, Verdict::Admitted);
}

#[tokio::test]
async fn many_first_requests_make_one_lookup() {
    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let permits = tenants.make_slow();
    let api = api(&tenants);
    let token = api.token(&a);
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (router, request) = (api.router.clone(), api.request(&token));
        requests.spawn(async move { Verdict::of(send(router, request).await) });
    }
    tenants.0.waiting.notified().await;
    permits.add_permits(1);
    for verdict in requests.join_all().await {
        assert_eq!(verdict, Verdict::Admitted);
    }
    assert_eq!(tenants.asked(), 1);
}

#[tokio::test]
async fn a_lookup_goes_on_when_all_who_wait_for_it_hang_up() {
    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let permits = tenants.make_slow();
    let api = api(&tenants);
    let token = api.token(&a);
    let mut stranger = JoinSet::new();
    let (router, request) = (api.router.clone(), api.request(&token));
    stranger.spawn(async move { send(router, request).await });
    tenants.0.waiting.notified().await;
    stranger.shutdown().await;
    permits.add_permits(1);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    assert_eq!(tenants.asked(), 1);
}

/// Anyone can write tokens with new issuers.
#[tokio::test]
async fn at_most_64_lookups_run_at_a_time_and_known_issuers_go_on() {
    let (a, b) = (issuer("https://a.test"), issuer("https://b.test"));
    let tenants = Tenants::of(&[&a, &b]);
    let api = api(&tenants);
    let token = api.token(&a);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    let permits = tenants.make_slow();
    let mut strangers = JoinSet::new();
    for n in 0..64 {
        let forged = api.token(&issuer(&format!("https://{n}.test")));
        let (router, request) = (api.router.clone(), api.request(&forged));
        strangers.spawn(async move { Verdict::of(send(router, request).await) });
        while tenants.asked() < n + 2 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(api.present(&api.token(&b)).await, UNAVAILABLE);
    assert_eq!(tenants.asked(), 65);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
    permits.add_permits(64);
    for verdict in strangers.join_all().await {
        assert_eq!(verdict, UNKNOWN);
    }
    permits.add_permits(1);
    assert_eq!(api.present(&api.token(&b)).await, Verdict::Admitted);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_is_given_up_after_ten_seconds() {
    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let permits = tenants.make_slow();
    let api = api(&tenants);
    let token = api.token(&a);
    let begun = tokio::time::Instant::now();
    assert_eq!(api.present(&token).await, UNAVAILABLE);
    assert_eq!(begun.elapsed(), Duration::from_secs(10));
    permits.add_permits(1);
    advance(5);
    assert_eq!(api.present(&token).await, Verdict::Admitted);
}

#[test]
fn a_source_in_memory_needs_no_runtime_and_another_says_so() {
    use dpop_tower::{Policy, RequestHead, Verifier};
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    let a = issuer("https://a.test");
    let tenants = Tenants::of(&[&a]);
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, DynamicIssuers::new(tenants.clone()));
    let verifier = Verifier::new(config.clock(clock()).build().unwrap());
    let client = dpop_tower::test_util::TestClient::new().clock(clock());
    let admitted = |issuer: &TestIssuer| {
        let token = issuer.token().bound_to(&client).mint();
        let request = client.get("https://api.test/orders", &token);
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let verdict = pin!(verifier.verify(head, &Policy::strict()));
        match verdict.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(dpop_tower::Verdict::Admitted(_)) => Ok(()),
            Poll::Ready(dpop_tower::Verdict::Rejected(rejection)) => Err(rejection.reason()),
            Poll::Pending => panic!("it waits without a runtime"),
        }
    };
    assert_eq!(admitted(&a), Ok(()));
    tenants.make_slow();
    let b = issuer("https://b.test");
    tenants.add(&b);
    assert_eq!(admitted(&b), Err("token_verifier_unavailable"));
}

/// An issuer that the source makes up must be the one that the token names.
#[tokio::test]
async fn the_source_has_to_return_the_issuer_it_was_asked_for() {
    #[derive(Debug)]
    struct Careless;

    #[derive(Debug)]
    struct Broken;

    impl IssuerSource for Careless {
        fn issuer(&self, _iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
            MaybeReady::ready(Ok(Some(issuer("https://a.test").tokens())))
        }
    }

    impl IssuerSource for Broken {
        fn issuer(&self, iss: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
            MaybeReady::ready(Ok(Some(Issuer::new(iss).jwks("{}"))))
        }
    }

    let a = issuer("https://a.test");
    let api = Api::new(DynamicIssuers::new(Careless));
    let token = api.token(&issuer("https://mallory.test"));
    assert_eq!(api.present(&token).await, UNAVAILABLE);
    let api = Api::new(DynamicIssuers::new(Broken));
    assert_eq!(api.present(&api.token(&a)).await, UNAVAILABLE);
}

#[tokio::test]
async fn an_overlong_issuer_is_not_looked_up() {
    let longest = format!("https://{}", "a".repeat(1024 - 8));
    let (long, longer) = (issuer(&longest), issuer(&format!("{longest}a")));
    let tenants = Tenants::of(&[&long, &longer]);
    let api = api(&tenants);
    assert_eq!(api.present(&api.token(&longer)).await, UNKNOWN);
    assert_eq!(tenants.asked(), 0);
    assert_eq!(api.present(&api.token(&long)).await, Verdict::Admitted);
}

#[test]
fn the_time_that_issuers_are_cached_is_whole_seconds_up_to_a_day() {
    let build = |time: Duration| {
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let tokens = DynamicIssuers::new(Tenants::default()).cache_for(time);
        DpopConfig::builder(origin, tokens).build()
    };
    for good in [1, 86_400] {
        assert!(build(Duration::from_secs(good)).is_ok(), "{good}");
    }
    for wrong in [
        Duration::ZERO,
        Duration::from_millis(1500),
        Duration::from_secs(86_401),
    ] {
        let error = build(wrong).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::AccessTokens);
        assert!(error.to_string().contains("cache_for"), "{error}");
    }
}
