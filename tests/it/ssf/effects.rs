//! What each event revokes.

use std::{num::NonZeroUsize, time::Duration};

use dpop_tower::{clock::UnixTime, revocation::Revocation, ssf::Transmitter};
use serde_json::{Value, json};

use super::{
    AUDIENCE, Answer, CREDENTIAL_CHANGE, ISSUER, Rig, SESSION_REVOKED, STREAM_UPDATED,
    TOKEN_CLAIMS_CHANGE, VERIFICATION, opaque, rejected, user,
};
use crate::{rejection::logging::Log, support::Api};

#[tokio::test]
async fn caep_section_3_1_a_revoked_session_ends_its_tokens_and_no_others() {
    let rig = Rig::new().await;
    let of_session = |sid: &str| rig.token().claim("sid", sid);
    assert!(rig.is_admitted(of_session("s1")).await);
    assert_eq!(rig.deliver(rig.set()).await, Answer::Accepted);
    assert!(!rig.is_admitted(of_session("s1")).await);
    assert!(rig.is_admitted(of_session("s2")).await);
    assert!(rig.is_admitted(rig.token()).await);
    // The session is over, also for tokens of later times.
    rig.api.advance(60);
    assert!(!rig.is_admitted(of_session("s1")).await);
}

#[tokio::test]
async fn each_event_about_a_user_revokes_the_tokens_up_to_its_second() {
    for event in [SESSION_REVOKED, CREDENTIAL_CHANGE, TOKEN_CLAIMS_CHANGE] {
        for subject in [user("alice"), opaque("alice")] {
            let rig = Rig::new().await;
            let now = rig.api.now();
            let set = (rig.event(event, &subject))
                .claim("events", json!({ event: { "event_timestamp": now - 100 } }));
            assert_eq!(rig.deliver(set).await, Answer::Accepted);
            for (issued, expected) in [(-200, false), (-100, false), (-99, true), (0, true)] {
                let token = rig.token().claim("iat", now + issued);
                assert_eq!(rig.is_admitted(token).await, expected, "{event} {issued}");
            }
            assert!(!rig.is_admitted(rig.token().without_claim("iat")).await);
            let bob = rig.token().subject("bob").claim("iat", now - 200);
            assert!(rig.is_admitted(bob).await, "{event}");
        }
    }
}

#[tokio::test]
async fn the_time_of_an_event_is_its_own_or_that_of_the_set_and_never_later() {
    for (event, claims, last_revoked) in [
        (json!({}), json!({}), 0),
        (json!({}), json!({ "toe": -50 }), -50),
        (
            json!({ "event_timestamp": -70 }),
            json!({ "toe": -50 }),
            -70,
        ),
        // Drafts had milliseconds.
        (
            json!({ "event_timestamp": 1_800_000_000_000_i64 }),
            json!({}),
            0,
        ),
    ] {
        let rig = Rig::new().await;
        let now = rig.api.now();
        let at = |value: &Value| match value.as_i64() {
            Some(offset) if offset <= 0 => json!(now + offset),
            _ => value.clone(),
        };
        let mut payload = event.clone();
        if let Some(time) = event.get("event_timestamp") {
            payload["event_timestamp"] = at(time);
        }
        let mut set = rig.event(CREDENTIAL_CHANGE, &user("alice"));
        set = set.claim("events", json!({ CREDENTIAL_CHANGE: payload }));
        if let Some(time) = claims.get("toe") {
            set = set.claim("toe", at(time));
        }
        assert_eq!(rig.deliver(set).await, Answer::Accepted, "{event} {claims}");
        let token = |offset: i64| rig.token().claim("iat", now + offset);
        assert!(!rig.is_admitted(token(last_revoked)).await, "{event}");
        assert!(rig.is_admitted(token(last_revoked + 1)).await, "{event}");
    }
    let rig = Rig::new().await;
    for time in [json!("now"), json!(null), json!([1])] {
        let set = rig.event(CREDENTIAL_CHANGE, &user("alice"));
        let set = set.claim(
            "events",
            json!({ CREDENTIAL_CHANGE: { "event_timestamp": time } }),
        );
        assert_eq!(rig.deliver(set).await, rejected("invalid_request"));
    }
}

#[tokio::test]
async fn caep_section_3_2_an_event_about_one_token_revokes_that_one() {
    let rig = Rig::new().await;
    let subject = json!({ "format": "jwt_id", "iss": ISSUER, "jti": "t1" });
    let set = rig.event(TOKEN_CLAIMS_CHANGE, &subject);
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("jti", "t1")).await);
    assert!(rig.is_admitted(rig.token().claim("jti", "t2")).await);
}

#[tokio::test]
async fn of_a_complex_subject_the_session_and_its_user_count() {
    let complex = json!({
        "format": "complex",
        "user": user("alice"),
        "session": opaque("s1"),
        "tenant": opaque("t1"),
    });
    // Tokens may lack a `sid`, so those of the user are revoked as well.
    let rig = Rig::new().await;
    let set = rig.event(SESSION_REVOKED, &complex);
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s1")).await);
    assert!(!rig.is_admitted(rig.token()).await);
    rig.api.advance(1);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s1")).await);
    assert!(rig.is_admitted(rig.token()).await);

    let rig = Rig::with(Transmitter::tokens_have_sid, |receiver| receiver).await;
    let set = rig.event(SESSION_REVOKED, &complex);
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s1")).await);
    assert!(rig.is_admitted(rig.token().claim("sid", "s2")).await);
    // Other events are about the user all the same.
    let set = rig.event(CREDENTIAL_CHANGE, &complex);
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s2")).await);
}

#[tokio::test]
async fn a_subject_of_older_drafts_is_in_the_event() {
    let rig = Rig::new().await;
    let set = (rig
        .event(CREDENTIAL_CHANGE, &json!(null))
        .without_claim("sub_id"))
    .claim(
        "events",
        json!({ CREDENTIAL_CHANGE: { "subject": user("alice") } }),
    );
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token()).await);
}

/// A transmitter revokes tokens of issuers that it speaks for.
#[tokio::test]
async fn subjects_of_another_issuer_are_rejected() {
    let rig = Rig::new().await;
    for subject in [
        json!({ "format": "iss_sub", "iss": "https://other.test", "sub": "alice" }),
        json!({ "format": "jwt_id", "iss": "https://other.test", "jti": "t1" }),
        json!({ "format": "iss_sub", "iss": "https://issuer.test/", "sub": "alice" }),
    ] {
        let set = rig.event(SESSION_REVOKED, &subject);
        assert_eq!(
            rig.deliver(set).await,
            rejected("access_denied"),
            "{subject}"
        );
    }
    assert_eq!(rig.taken(), 0);
    let two = |transmitter: Transmitter| {
        transmitter
            .tokens_of(ISSUER)
            .tokens_of("https://other.test")
    };
    let rig = Rig::with(two, |receiver| receiver).await;
    for issuer in [ISSUER, "https://other.test"] {
        let subject = json!({ "format": "iss_sub", "iss": issuer, "sub": "alice" });
        let set = rig.event(SESSION_REVOKED, &subject);
        assert_eq!(rig.deliver(set).await, Answer::Accepted);
    }
    assert_eq!(rig.taken(), 2);
    assert!(!rig.is_admitted(rig.token()).await);
}

#[tokio::test]
async fn events_and_subjects_that_are_not_supported_have_no_effect_and_are_logged_without_content()
{
    let rig = Rig::new().await;
    let log = Log::listen();
    let risc = "https://schemas.openid.net/secevent/risc/event-type/account-purged";
    let email = json!({ "format": "email", "email": "alice@secret.test" });
    let device = json!({ "format": "complex", "device": opaque("d-secret") });
    for (event, subject) in [
        (risc, user("alice-secret")),
        (SESSION_REVOKED, email),
        (CREDENTIAL_CHANGE, device),
    ] {
        assert_eq!(
            rig.deliver(rig.event(event, &subject)).await,
            Answer::Accepted
        );
        let lines = log.take();
        let told: Vec<_> = lines.iter().filter(|line| line.contains("WARN")).collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert!(told[0].contains("has no effect"), "{told:?}");
        let ours = lines.iter().filter(|line| line.contains("dpop_tower"));
        assert!(
            ours.clone().all(|line| !line.contains("secret")),
            "{lines:#?}"
        );
    }
    assert_eq!((rig.taken(), rig.list.len()), (0, 0));
}

#[tokio::test]
async fn ssf_section_8_1_events_about_the_stream_are_acknowledged() {
    let rig = Rig::new().await;
    let log = Log::listen();
    for (event, payload, level) in [
        (VERIFICATION, json!({ "state": "secret" }), "INFO"),
        (VERIFICATION, json!({}), "INFO"),
        (STREAM_UPDATED, json!({ "status": "enabled" }), "INFO"),
        (
            STREAM_UPDATED,
            json!({ "status": "paused", "reason": "secret" }),
            "WARN",
        ),
        (STREAM_UPDATED, json!({ "status": "disabled" }), "WARN"),
        (STREAM_UPDATED, json!({ "status": "secret" }), "WARN"),
    ] {
        let set = rig
            .event(event, &opaque("stream-1"))
            .claim("events", json!({ event: payload }));
        assert_eq!(rig.deliver(set).await, Answer::Accepted);
        let lines = log.take();
        let told: Vec<_> = (lines.iter())
            .filter(|line| line.contains("dpop_tower::ssf") && !line.contains("DEBUG"))
            .collect();
        assert_eq!(told.len(), 1, "{lines:#?}");
        assert!(
            told[0].contains(level) && !told[0].contains("secret"),
            "{told:?}"
        );
    }
    assert_eq!(rig.taken(), 0);
}

#[tokio::test]
async fn several_events_of_one_set_all_count() {
    let rig = Rig::new().await;
    let events = json!({
        CREDENTIAL_CHANGE: {},
        "https://other.test/event": {},
        SESSION_REVOKED: { "event_timestamp": rig.api.now() },
    });
    let set = rig
        .event(SESSION_REVOKED, &opaque("s1"))
        .claim("events", events);
    assert_eq!(rig.deliver(set).await, Answer::Accepted);
    assert!(!rig.is_admitted(rig.token().claim("sid", "s1")).await);
}

#[tokio::test]
async fn an_entry_lasts_as_long_as_tokens_and_an_older_event_has_no_effect() {
    let hour = Duration::from_secs(3600);
    let rig = Rig::with(|it| it, |receiver| receiver.token_lifetime(hour)).await;
    let long_lived = |rig: &Rig| rig.token().claim("sid", "s1").claim("exp", 1_900_000_000);
    assert_eq!(rig.deliver(rig.set()).await, Answer::Accepted);
    rig.api.advance(3600);
    assert!(!rig.is_admitted(long_lived(&rig)).await);
    rig.api.advance(1);
    assert!(rig.is_admitted(long_lived(&rig)).await);
    let taken = rig.taken();
    let late = |age: i64| rig.set().claim("iat", rig.api.now() - age);
    assert_eq!(rig.deliver(late(3601)).await, Answer::Accepted);
    assert_eq!(rig.taken(), taken);
    assert_eq!(rig.deliver(late(3600)).await, Answer::Accepted);
    assert!(rig.taken() > taken);
}

/// The transmitter tries again, so the revocation is not lost.
#[tokio::test]
async fn a_full_list_is_answered_with_503_and_the_set_counts_when_it_comes_again() {
    let api = Api::new();
    let transmitter = Transmitter::new(ISSUER)
        .jwks(api.issuer.jwks())
        .audience(AUDIENCE);
    let rig = Rig::of(api, vec![transmitter], NonZeroUsize::MIN, |receiver| {
        receiver
    })
    .await;
    let other = Revocation::Token {
        issuer: ISSUER,
        jti: "t1",
    };
    let until = UnixTime::from_secs(rig.api.now() + 10);
    rig.list.revoke(other, until).unwrap();
    let log = Log::listen();
    let set = rig.event(CREDENTIAL_CHANGE, &user("alice")).mint();
    for _ in 0..2 {
        let answer = rig.send(rig.request(set.clone())).await;
        assert_eq!(answer, Answer::Status(503));
    }
    let lines = log.take();
    let alarms = lines
        .iter()
        .filter(|line| line.contains("ERROR") && line.contains("full"));
    assert_eq!(alarms.count(), 2, "{lines:#?}");
    let token = rig.token();
    assert!(rig.is_admitted(token.clone()).await);
    rig.api.advance(11);
    assert_eq!(rig.send(rig.request(set)).await, Answer::Accepted);
    assert!(!rig.is_admitted(token).await);
}
