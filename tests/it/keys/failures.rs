//! What can be wrong with an issuer, and what comes of it.

use dpop_tower::{DpopConfig, Issuer, PublicOrigin};
use serde_json::json;

use super::{
    LONGEST_PAUSE, OUT_OF_REACH, UNKNOWN,
    server::{Page, Remote, Server, soon},
};
use crate::support::{ORIGIN, Verdict};

const FIRST: &str = "/.well-known/oauth-authorization-server";
const SECOND: &str = "/.well-known/openid-configuration";

const MIB: usize = 1024 * 1024;

#[derive(Clone, Copy, Debug)]
enum Failure {
    Dies,
    HangsAtTheKeys,
    SendsOneHundredMegabytes,
    SendsMetadataOfOneHundredMegabytes,
    SendsHalfOfItsJson,
    SendsAPage,
    SendsSomethingElse,
    Fails,
    SendsTheDocumentOfAnotherIssuer,
    RedirectsToAnotherOrigin,
    RedirectsItsMetadataToAnotherOrigin,
    NamesKeysOverPlainHttpElsewhere,
}

use Failure::*;

const ALL: [(Failure, &str); 12] = [
    (Dies, "no answer"),
    (HangsAtTheKeys, "no answer in time"),
    (SendsOneHundredMegabytes, "it has more than 524288 bytes"),
    (
        SendsMetadataOfOneHundredMegabytes,
        "it has more than 524288 bytes",
    ),
    (
        SendsHalfOfItsJson,
        "it is not a JSON object with an array `keys`",
    ),
    (SendsAPage, "it is not a JSON object with an array `keys`"),
    (
        SendsSomethingElse,
        "it is not a JSON object with an array `keys`",
    ),
    (Fails, "the answer has status 503"),
    (
        SendsTheDocumentOfAnotherIssuer,
        "it is of the issuer \"https://other.example\"",
    ),
    (RedirectsToAnotherOrigin, "the answer has status 307"),
    (
        RedirectsItsMetadataToAnotherOrigin,
        "the answer has status 302",
    ),
    (NamesKeysOverPlainHttpElsewhere, "cannot be used"),
];

impl Failure {
    async fn begin(self, remote: &Remote, elsewhere: &Server) {
        let server = &remote.server;
        let keys = |page| server.put("/jwks", page);
        let metadata = |page: Page| {
            server.put(FIRST, page.clone());
            server.put(SECOND, page);
        };
        match self {
            Dies => server.stop().await,
            HangsAtTheKeys => server.hold_only(&["/jwks"]),
            SendsOneHundredMegabytes => keys(Page::Blanks(100 * MIB)),
            SendsMetadataOfOneHundredMegabytes => metadata(Page::Blanks(100 * MIB)),
            SendsHalfOfItsJson => keys(Page::Halved(remote.api.issuer.jwks())),
            SendsAPage => keys(Page::Json("<!doctype html>".to_owned())),
            SendsSomethingElse => keys(Page::Json(json!([{"keys": []}]).to_string())),
            Fails => keys(Page::Status(503)),
            SendsTheDocumentOfAnotherIssuer => {
                let other = remote.api.issuer.clone().issuer("https://other.example");
                metadata(Page::Json(other.metadata(&server.url("/jwks"))));
            }
            RedirectsToAnotherOrigin => keys(Page::Redirect(307, elsewhere.url("/jwks"))),
            RedirectsItsMetadataToAnotherOrigin => {
                metadata(Page::Redirect(302, elsewhere.url(FIRST)));
            }
            NamesKeysOverPlainHttpElsewhere => {
                let keys = "http://192.0.2.1/jwks";
                metadata(Page::Json(remote.api.issuer.metadata(keys)));
            }
        }
    }

    async fn end(self, remote: &Remote) {
        match self {
            Dies => remote.server.restart().await,
            HangsAtTheKeys => remote.server.hold(false),
            _ => {}
        }
        remote.put_metadata(FIRST);
        remote.server.put_keys(&[&remote.api.issuer]);
    }
}

/// An issuer whose metadata names its keys, and another server that has both, with another key.
async fn issuer_and_elsewhere() -> (Remote, Server) {
    let remote = Remote::discovered("").await;
    remote.put_metadata(FIRST);
    let elsewhere = Server::start().await;
    let (thief, _) = remote.another_key();
    elsewhere.put_keys(&[&thief]);
    let metadata = thief.metadata(&elsewhere.url("/jwks"));
    elsewhere.put(FIRST, Page::Json(metadata));
    (remote, elsewhere)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_whose_keys_are_known_go_on_whatever_the_issuer_does() {
    for (failure, _) in ALL {
        let (remote, elsewhere) = issuer_and_elsewhere().await;
        let (token, another) = (remote.token(), remote.token());
        let (_, unknown) = remote.another_key();
        assert_eq!(remote.present(&token).await, Verdict::Admitted);
        failure.begin(&remote, &elsewhere).await;
        // They are due, and later almost too old.
        for secs in [300, 3_299] {
            remote.api.advance(secs);
            for token in [&token, &another, &token] {
                let verdict = soon(remote.present(token)).await;
                assert_eq!(verdict, Verdict::Admitted, "{failure:?}");
            }
        }
        if matches!(failure, HangsAtTheKeys) {
            // Who needs another key has to wait; see `callers`.
            failure.end(&remote).await;
            continue;
        }
        assert_eq!(soon(remote.present(&unknown)).await, UNKNOWN, "{failure:?}");
        let verdict = soon(remote.present(&token)).await;
        assert_eq!(verdict, Verdict::Admitted, "{failure:?}");
        assert_eq!(elsewhere.count(), 0, "{failure:?}");
        // It took no more of them than it had to.
        assert!(remote.server.blanks() < 64 * MIB, "{failure:?}");
        failure.end(&remote).await;
        remote.api.advance(LONGEST_PAUSE);
        let verdict = soon(remote.present(&token)).await;
        assert_eq!(verdict, Verdict::Admitted, "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_keys_requests_get_503_until_the_issuer_is_back() {
    for (failure, why) in ALL {
        let (remote, elsewhere) = issuer_and_elsewhere().await;
        let token = remote.token();
        failure.begin(&remote, &elsewhere).await;
        let verdict = soon(remote.present(&token)).await;
        assert_eq!(verdict, OUT_OF_REACH, "{failure:?}");
        assert_eq!(elsewhere.count(), 0, "{failure:?}");
        assert!(remote.server.blanks() < 64 * MIB, "{failure:?}");
        // The same without a request, and the operator is told why.
        let config = config_of(&remote);
        let error = soon(config.warm_up()).await.unwrap_err();
        assert!(error.to_string().contains(why), "{failure:?}: {error}");
        failure.end(&remote).await;
        remote.api.advance(LONGEST_PAUSE);
        let verdict = soon(remote.present(&token)).await;
        assert_eq!(verdict, Verdict::Admitted, "{failure:?}");
        soon(config.warm_up()).await.unwrap();
    }
}

/// Another configuration of the same issuer.
fn config_of(remote: &Remote) -> DpopConfig {
    let tokens = Issuer::discover(remote.server.origin.as_str())
        .audience(ORIGIN)
        .danger_allow_plain_http();
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, tokens).clock(remote.api.clock.clone());
    config.build().unwrap()
}

/// As of real issuers: the origin of the keys is what the issuer's own metadata says.
#[tokio::test]
async fn the_keys_may_be_at_another_origin_if_the_metadata_says_so() {
    let (remote, elsewhere) = issuer_and_elsewhere().await;
    let (ours, theirs) = (remote.token(), remote.another_key().1);
    elsewhere.put_keys(&[&remote.api.issuer]);
    let metadata = remote.api.issuer.metadata(&elsewhere.url("/jwks"));
    remote.server.put(FIRST, Page::Json(metadata));
    assert_eq!(remote.present(&ours).await, Verdict::Admitted);
    assert_eq!(remote.present(&theirs).await, UNKNOWN);
    assert_eq!(remote.server.hits(), [FIRST]);
    assert_eq!(elsewhere.hits(), ["/jwks"]);
}
