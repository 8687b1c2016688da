//! Settings that cannot work.

use std::time::Duration;

use dpop_tower::{
    ConfigErrorKind,
    revocation::MemoryRevocationList,
    ssf::{EventReceiver, EventReceiverBuilder, Transmitter},
    test_util::TestIssuer,
};

use super::{AUDIENCE, ISSUER};

fn good() -> Transmitter {
    Transmitter::new(ISSUER)
        .jwks(TestIssuer::new().jwks())
        .audience(AUDIENCE)
}

fn receiver(transmitters: Vec<Transmitter>) -> EventReceiverBuilder {
    EventReceiver::builder(transmitters, MemoryRevocationList::new())
}

#[test]
fn a_transmitter_that_cannot_work_is_rejected() {
    receiver(vec![good()]).build().unwrap();
    let new = || Transmitter::new(ISSUER).audience(AUDIENCE);
    let discover = |issuer: &str| Transmitter::discover(issuer).audience(AUDIENCE);
    for (transmitter, kind, part) in [
        (
            new(),
            ConfigErrorKind::SecurityEvents,
            "where the transmitter's keys are",
        ),
        (new().jwks("{}"), ConfigErrorKind::Keys, "JWK Set"),
        (
            new().jwks_url("http://a.test/jwks"),
            ConfigErrorKind::AccessTokens,
            "https",
        ),
        (new().jwks_url("jwks"), ConfigErrorKind::AccessTokens, "URL"),
        (
            discover("http://a.test"),
            ConfigErrorKind::AccessTokens,
            "https",
        ),
        (
            good().audience(""),
            ConfigErrorKind::SecurityEvents,
            "audience",
        ),
        (
            good().tokens_of(""),
            ConfigErrorKind::SecurityEvents,
            "empty",
        ),
        (
            good().authorization(""),
            ConfigErrorKind::SecurityEvents,
            "authorization",
        ),
        (
            good().authorization("s3cret\n"),
            ConfigErrorKind::SecurityEvents,
            "line break",
        ),
        (
            good().authorization(" s3cret"),
            ConfigErrorKind::SecurityEvents,
            "space",
        ),
        (
            good().authorization("s3crét"),
            ConfigErrorKind::SecurityEvents,
            "character",
        ),
        (
            good().algorithms([]),
            ConfigErrorKind::Algorithms,
            "algorithm",
        ),
        (
            Transmitter::new("")
                .jwks(TestIssuer::new().jwks())
                .audience(AUDIENCE),
            ConfigErrorKind::SecurityEvents,
            "issuer is empty",
        ),
        (
            Transmitter::new(ISSUER).jwks(TestIssuer::new().jwks()),
            ConfigErrorKind::SecurityEvents,
            "audience",
        ),
    ] {
        let error = receiver(vec![transmitter]).build().unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.issuer().is_some());
        let text = error.to_string();
        assert!(
            text.contains(part) && !text.contains("s3cr"),
            "{part}: {text}"
        );
    }
}

#[test]
fn a_receiver_that_cannot_work_is_rejected() {
    let lifetime = |secs| receiver(vec![good()]).token_lifetime(Duration::from_secs(secs));
    for good in [1, 366 * 86_400] {
        lifetime(good).build().unwrap();
    }
    for (wrong, part) in [
        (lifetime(0), "token_lifetime"),
        (lifetime(366 * 86_400 + 1), "token_lifetime"),
        (receiver(Vec::new()), "no transmitter"),
        (receiver(vec![good(), good()]), "twice"),
    ] {
        let error = wrong.build().unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::SecurityEvents);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn the_secret_is_not_shown() {
    let transmitter = good().authorization("Bearer s3cret");
    assert!(!format!("{transmitter:?}").contains("s3cret"));
    let receiver = receiver(vec![transmitter]);
    assert!(!format!("{receiver:?}").contains("s3cret"));
    let receiver = receiver.build().unwrap();
    assert!(!format!("{receiver:?}").contains("s3cret"));
}
