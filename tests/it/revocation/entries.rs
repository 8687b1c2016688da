//! Which tokens an entry applies to, and for how long.

use std::{sync::Arc, time::Duration};

use dpop_tower::{
    DpopConfig, PublicOrigin, Verifier,
    clock::UnixTime,
    revocation::{MemoryRevocationList, Revocation},
    test_util::{TestClient, TestIssuer},
};
use http::Request;

use super::{ISSUER, REVOKED, Revocable, bearer, optional, verify};
use crate::support::{ORIGIN, URL, Verdict};

/// The clock of an API stands at this second at first.
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn in_an_hour() -> UnixTime {
    NOW.saturating_add(Duration::from_secs(3600))
}

fn one_second_later() -> UnixTime {
    NOW.saturating_add(Duration::from_secs(1))
}

#[tokio::test]
async fn each_kind_of_revocation_rejects_its_tokens_and_no_others() {
    let other_key = TestClient::new().thumbprint();
    let api = Revocable::new().api;
    let thumbprint = api.client.thumbprint();
    let jti = |jti| Revocation::Token {
        issuer: ISSUER,
        jti,
    };
    let key = |thumbprint| Revocation::Key { thumbprint };
    let subject = |subject, issued_before| Revocation::Subject {
        issuer: ISSUER,
        subject,
        issued_before,
    };
    let session = |session_id| Revocation::Session {
        issuer: ISSUER,
        session_id,
    };
    let client = |client_id, issued_before| Revocation::Client {
        issuer: ISSUER,
        client_id,
        issued_before,
    };
    let later = one_second_later();
    for (revocation, is_revoked) in [
        (jti("one"), true),
        (jti("On"), false),
        (jti("login"), false),
        (key(thumbprint), true),
        (key(other_key), false),
        (subject("alice", later), true),
        (subject("alice", NOW), false),
        (subject("bob", later), false),
        (subject("alic", later), false),
        (session("login"), true),
        (session("one"), false),
        (client("app", later), true),
        (client("app", NOW), false),
        (client("alice", later), false),
    ] {
        let revocable = Revocable::new();
        // The key is that of the first API.
        let token = revocable.api.token().claim("jti", "one");
        let token = token.claim("sid", "login").claim("client_id", "app");
        let token = token.bound_to(&api.client).mint();
        assert_eq!(present_by(&revocable, &api.client, &token).await, None);
        revocable.list.revoke(revocation, in_an_hour()).unwrap();
        let expected = is_revoked.then_some("token_revoked");
        let after = present_by(&revocable, &api.client, &token).await;
        assert_eq!(after, expected, "{revocation:?}");
    }
}

async fn present_by(
    revocable: &Revocable,
    client: &TestClient,
    token: &str,
) -> Option<&'static str> {
    verify(&revocable.verifier, &client.get(URL, token)).await
}

/// The first request verifies the signature, and the second one finds the token in the cache.
#[tokio::test]
async fn a_token_that_was_admitted_before_is_rejected_once_it_is_revoked() {
    let revocable = Revocable::new();
    let token = revocable.api.token().claim("jti", "one").mint();
    for _ in 0..2 {
        assert_eq!(revocable.present(&token).await, Verdict::Admitted);
    }
    let entry = Revocation::Token {
        issuer: ISSUER,
        jti: "one",
    };
    revocable.list.revoke(entry, in_an_hour()).unwrap();
    for _ in 0..2 {
        assert_eq!(revocable.present(&token).await, REVOKED);
    }
    let other = revocable.api.token().claim("jti", "two").mint();
    assert_eq!(revocable.present(&other).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_bearer_token_can_be_revoked_and_has_no_key() {
    let revocable = Revocable::with(optional);
    let issuer = &revocable.api.issuer;
    let token = issuer.token().subject("alice").mint();
    let present = async |token: &str| verify(&revocable.verifier, &bearer(token)).await;
    let key = Revocation::Key {
        thumbprint: revocable.api.client.thumbprint(),
    };
    revocable.list.revoke(key, in_an_hour()).unwrap();
    assert_eq!(present(&token).await, None);
    let alice = Revocation::Subject {
        issuer: ISSUER,
        subject: "alice",
        issued_before: one_second_later(),
    };
    revocable.list.revoke(alice, in_an_hour()).unwrap();
    assert_eq!(present(&token).await, Some("token_revoked"));
    let bob = issuer.token().subject("bob").mint();
    assert_eq!(present(&bob).await, None);
}

/// After a password was changed, the user logs in again.
#[tokio::test]
async fn a_token_that_is_issued_after_the_revocation_is_admitted() {
    let revocable = Revocable::new();
    let old = revocable.api.token().mint();
    revocable.api.advance(1);
    let alice = Revocation::Subject {
        issuer: ISSUER,
        subject: "alice",
        issued_before: one_second_later(),
    };
    revocable.list.revoke(alice, in_an_hour()).unwrap();
    assert_eq!(revocable.present(&old).await, REVOKED);
    let new = revocable.api.token().mint();
    assert_eq!(revocable.present(&new).await, Verdict::Admitted);
}

#[tokio::test]
async fn a_token_without_iat_may_have_been_issued_before_any_time() {
    let revocable = Revocable::new();
    let token = revocable.api.token().without_claim("iat").mint();
    assert_eq!(revocable.present(&token).await, Verdict::Admitted);
    let alice = Revocation::Subject {
        issuer: ISSUER,
        subject: "alice",
        issued_before: UnixTime::from_secs(1),
    };
    revocable.list.revoke(alice, in_an_hour()).unwrap();
    assert_eq!(revocable.present(&token).await, REVOKED);
}

#[tokio::test]
async fn names_are_those_of_one_issuer_and_a_key_is_that_of_all() {
    let revocable = Revocable::new();
    let clock = revocable.api.clock.clone();
    let issuers = ["https://a.test", "https://b.test"]
        .map(|name| TestIssuer::new().issuer(name).clock(clock.clone()));
    let client = &revocable.api.client;
    let tokens = issuers.each_ref().map(|issuer| {
        let token = issuer.token().subject("alice").claim("jti", "one");
        token.claim("sid", "login").bound_to(client).mint()
    });
    let issuer = "https://a.test";
    let issued_before = one_second_later();
    for (revocation, of_both) in [
        (Revocation::Token { issuer, jti: "one" }, false),
        (
            Revocation::Subject {
                issuer,
                subject: "alice",
                issued_before,
            },
            false,
        ),
        (
            Revocation::Session {
                issuer,
                session_id: "login",
            },
            false,
        ),
        (
            Revocation::Client {
                issuer,
                client_id: "test-client",
                issued_before,
            },
            false,
        ),
        (
            Revocation::Key {
                thumbprint: client.thumbprint(),
            },
            true,
        ),
    ] {
        let list = Arc::new(MemoryRevocationList::new().clock(clock.clone()));
        let origin = PublicOrigin::new(ORIGIN).unwrap();
        let config = DpopConfig::builder(origin, issuers.each_ref().map(TestIssuer::tokens))
            .clock(clock.clone())
            .revocation_list(Arc::clone(&list));
        let verifier = Verifier::new(config.build().unwrap());
        list.revoke(revocation, in_an_hour()).unwrap();
        let request = |token: &String| -> Request<()> { client.get(URL, token) };
        let [of_a, of_b] = tokens.each_ref().map(request);
        assert_eq!(verify(&verifier, &of_a).await, Some("token_revoked"));
        let expected = of_both.then_some("token_revoked");
        assert_eq!(verify(&verifier, &of_b).await, expected, "{revocation:?}");
    }
}

#[tokio::test]
async fn an_entry_counts_through_its_last_second() {
    let revocable = Revocable::new();
    let api = &revocable.api;
    let key = Revocation::Key {
        thumbprint: api.client.thumbprint(),
    };
    let until = NOW.saturating_add(Duration::from_secs(60));
    revocable.list.revoke(key, until).unwrap();
    api.advance(60);
    let token = api.token().mint();
    assert_eq!(revocable.present(&token).await, REVOKED);
    api.advance(1);
    assert_eq!(revocable.present(&token).await, Verdict::Admitted);
}
