//! Requests and responses (RFC 8935).

use std::{future::pending, time::Duration};

use axum::body::Body;
use dpop_tower::{
    revocation::MemoryRevocationList,
    ssf::{EventReceiver, Transmitter},
};
use futures_util::stream;
use http::Request;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use serde_json::json;
use tower::ServiceExt as _;

use super::{
    AUDIENCE, Answer, CREDENTIAL_CHANGE, ISSUER, Rig, VERIFICATION, opaque, rejected, user,
};
use crate::rejection::logging::Log;

#[tokio::test]
async fn rfc_8935_section_2_1_a_set_comes_by_post_with_its_media_type() {
    let rig = Rig::new().await;
    for media_type in [
        "application/secevent+jwt",
        "Application/SecEvent+JWT",
        "application/secevent+jwt; charset=utf-8",
    ] {
        let request = rig.client.post(&rig.url).header("content-type", media_type);
        let answer = rig.send(request.body(rig.set().mint())).await;
        assert_eq!(answer, Answer::Accepted, "{media_type}");
    }
    for media_type in [
        "application/jwt",
        "text/plain",
        "",
        "application/secevent+jwt2",
    ] {
        let request = rig.client.post(&rig.url).header("content-type", media_type);
        let answer = rig.send(request.body(rig.set().mint())).await;
        assert_eq!(answer, Answer::Status(415), "{media_type}");
    }
    let request = rig.client.post(&rig.url).body(rig.set().mint());
    assert_eq!(rig.send(request).await, Answer::Status(415));
    for method in ["GET", "PUT", "DELETE"] {
        let request = rig.client.request(method.parse().unwrap(), &rig.url);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
}

#[tokio::test]
async fn a_body_has_a_limit_in_length_and_in_time() {
    let rig = Rig::new().await;
    let longest = 64 * 1024;
    let padded = |len: usize| rig.set().claim("pad", "x".repeat(len)).mint();
    let answer = rig.send(rig.request(padded(longest / 2))).await;
    assert_eq!(answer, Answer::Accepted);
    let text = " ".repeat(longest);
    let answer = rig.send(rig.request(text.clone())).await;
    assert_eq!(answer, rejected("invalid_request"));
    assert_eq!(rig.send(rig.request(text + " ")).await, Answer::Status(413));
    // Without a length, it is counted.
    let transmitter = Transmitter::new(ISSUER)
        .jwks(rig.api.issuer.jwks())
        .audience(AUDIENCE);
    let receiver = EventReceiver::builder([transmitter], MemoryRevocationList::new());
    let receiver = receiver.build().unwrap();
    let chunks = (0..65).map(|_| Ok::<_, std::io::Error>("x".repeat(1024)));
    let request = Request::post("/").header("content-type", "application/secevent+jwt");
    let request = request
        .body(Body::from_stream(stream::iter(chunks)))
        .unwrap();
    let response = receiver.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 413);
    tokio::time::pause();
    let never = stream::once(pending::<Result<String, std::io::Error>>());
    let request = Request::post("/").header("content-type", "application/secevent+jwt");
    let request = request.body(Body::from_stream(never)).unwrap();
    let began = tokio::time::Instant::now();
    let response = receiver.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn rfc_8935_section_2_4_each_error_has_its_code() {
    let rig = Rig::new().await;
    let request = "invalid_request";
    let cases = [
        (
            "aud",
            rig.set().claim("aud", "https://api.test"),
            "invalid_audience",
        ),
        (
            "aud",
            rig.set().claim("aud", json!(["x", "y"])),
            "invalid_audience",
        ),
        ("aud", rig.set().without_claim("aud"), "invalid_audience"),
        (
            "iss",
            rig.set().claim("iss", "https://other.test"),
            "invalid_issuer",
        ),
        (
            "iss",
            rig.set().claim("iss", "https://issuer.test/"),
            "invalid_issuer",
        ),
        (
            "iss",
            rig.set().claim("iss", json!([ISSUER])),
            "invalid_issuer",
        ),
        ("iss", rig.set().without_claim("iss"), "invalid_issuer"),
        ("iat", rig.set().claim("iat", rig.api.now() + 61), request),
        ("iat", rig.set().claim("iat", "now"), request),
        ("iat", rig.set().without_claim("iat"), request),
        ("jti", rig.set().without_claim("jti"), request),
        ("jti", rig.set().claim("jti", ""), request),
        ("jti", rig.set().claim("jti", 7), request),
        ("events", rig.set().without_claim("events"), request),
        ("events", rig.set().claim("events", json!({})), request),
        ("events", rig.set().claim("events", json!([])), request),
        (
            "events",
            rig.set().claim("events", json!({ VERIFICATION: null })),
            request,
        ),
        (
            "events",
            rig.set().claim("events", json!({ "https://x.test": [] })),
            request,
        ),
        ("sub_id", rig.set().without_claim("sub_id"), request),
        ("sub_id", rig.set().claim("sub_id", "alice"), request),
        (
            "sub_id",
            rig.set().claim("sub_id", json!({ "format": "opaque" })),
            request,
        ),
    ];
    for (what, set, err) in cases {
        assert_eq!(rig.deliver(set).await, rejected(err), "{what}");
    }
    for text in ["", "x", "a.b.c", "{}", "é", "e30.e30.AAEC"] {
        let answer = rig.send(rig.request(text.to_owned())).await;
        assert_eq!(answer, rejected(request), "{text:?}");
    }
    let twice = rig.set();
    let payload = twice.payload_json().replacen('{', r#"{"jti":"x","#, 1);
    assert_eq!(
        rig.deliver(twice.raw_payload(payload)).await,
        rejected(request)
    );
    assert_eq!((rig.taken(), rig.list.len()), (0, 0));
    let in_a_list = rig.set().claim("aud", json!(["other", AUDIENCE]));
    assert_eq!(rig.deliver(in_a_list).await, Answer::Accepted);
    let ahead = rig.set().claim("iat", rig.api.now() + 60);
    assert_eq!(rig.deliver(ahead).await, Answer::Accepted);
}

#[tokio::test]
async fn rfc_8935_section_2_a_set_that_comes_again_is_acknowledged_and_has_no_second_effect() {
    let rig = Rig::new().await;
    let set = rig.event(CREDENTIAL_CHANGE, &user("alice")).mint();
    for _ in 0..3 {
        assert_eq!(rig.send(rig.request(set.clone())).await, Answer::Accepted);
    }
    assert_eq!(rig.taken(), 1);
    // The `jti` counts, whatever else is in the SET.
    let one = rig
        .event(CREDENTIAL_CHANGE, &user("bob"))
        .claim("jti", "same");
    let other = rig
        .event(CREDENTIAL_CHANGE, &user("carol"))
        .claim("jti", "same");
    assert_eq!(rig.deliver(one).await, Answer::Accepted);
    assert_eq!(rig.deliver(other).await, Answer::Accepted);
    assert_eq!(rig.taken(), 2);
    // A SET that was rejected has not used up its `jti`.
    let wrong = rig
        .event(CREDENTIAL_CHANGE, &user("dave"))
        .claim("jti", "new");
    let answer = rig.deliver(wrong.claim("events", json!({}))).await;
    assert_eq!(answer, rejected("invalid_request"));
    let right = rig
        .event(CREDENTIAL_CHANGE, &user("dave"))
        .claim("jti", "new");
    assert_eq!(rig.deliver(right).await, Answer::Accepted);
    assert_eq!(rig.taken(), 3);
}

/// What strangers send is logged at `debug`, so that they cannot fill the log.
#[tokio::test]
async fn a_rejected_set_of_the_transmitter_is_logged_at_warn_without_content() {
    let rig = Rig::new().await;
    let log = Log::listen();
    let secret = |set: dpop_tower::test_util::TokenBuilder| {
        set.claim("jti", "secret").claim("sub_id", opaque("secret"))
    };
    for (set, level) in [
        (rig.set().claim("aud", "secret"), "WARN"),
        (rig.set().claim("iss", "secret"), "DEBUG"),
        (rig.set().corrupt_signature(), "DEBUG"),
        (rig.set().header("typ", "secret"), "DEBUG"),
    ] {
        log.take();
        assert!(matches!(
            rig.deliver(secret(set)).await,
            Answer::Rejected(_)
        ));
        let lines = log.take();
        let ours = lines.iter().filter(|line| line.contains("dpop_tower::ssf"));
        let ours: Vec<_> = ours.collect();
        assert!(ours[0].contains(level), "{ours:#?}");
        assert!(
            ours.iter().all(|line| !line.contains("secret")),
            "{ours:#?}"
        );
    }
}

#[test]
fn every_request_counts_once_by_its_outcome() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let rig = Rig::new().await;
            let set = rig.set().mint();
            rig.send(rig.request(set.clone())).await;
            rig.send(rig.request(set)).await;
            rig.deliver(rig.event(VERIFICATION, &opaque("1"))).await;
            rig.deliver(rig.event("https://other.test/event", &opaque("1")))
                .await;
            rig.deliver(rig.set().claim("aud", "other")).await;
            rig.client.get(&rig.url).send().await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        });
    });
    let mut counts = Vec::new();
    for (key, _, description, value) in snapshotter.snapshot().into_vec() {
        let (_, key) = key.into_parts();
        if key.name() != "dpop_security_events_total" {
            continue;
        }
        assert!(description.is_some());
        let labels: Vec<_> = key
            .labels()
            .map(|label| (label.key(), label.value()))
            .collect();
        let ([("outcome", outcome)], DebugValue::Counter(count)) = (&*labels, value) else {
            panic!("{key:?}");
        };
        counts.push(((*outcome).to_owned(), count));
    }
    counts.sort();
    let expected = [
        ("no_effect", 1),
        ("rejected", 2),
        ("repeated", 1),
        ("revoked", 1),
        ("stream", 1),
    ];
    assert_eq!(
        counts,
        expected.map(|(outcome, count)| (outcome.to_owned(), count))
    );
}
