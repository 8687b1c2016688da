//! How the keys of an issuer are found through its metadata (RFC 8414, OpenID Connect Discovery).

use serde_json::json;

use super::{
    LONGEST_PAUSE, OUT_OF_REACH,
    server::{Page, Remote},
};
use crate::{rejection::logging::Log, support::Verdict};

/// The two places, in the order in which they are asked.
const FIRST: &str = "/.well-known/oauth-authorization-server";
const SECOND: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn rfc_8414_metadata_names_the_keys() {
    let remote = Remote::discovered("").await;
    let token = remote.token();
    remote.put_metadata("/.well-known/oauth-authorization-server");
    assert_eq!(remote.server.count(), 0);
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    assert_eq!(
        remote.server.hits(),
        ["/.well-known/oauth-authorization-server", "/jwks"]
    );
}

#[tokio::test]
async fn openid_configuration_serves_if_there_is_no_rfc_8414_metadata() {
    let remote = Remote::discovered("").await;
    let token = remote.token();
    remote.put_metadata("/.well-known/openid-configuration");
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    assert_eq!(
        remote.server.hits(),
        [
            "/.well-known/oauth-authorization-server",
            "/.well-known/openid-configuration",
            "/jwks",
        ]
    );
}

#[tokio::test]
async fn rfc_8414_section_3_1_an_issuer_may_have_a_path() {
    for (path, metadata) in [
        (
            "/tenant/1",
            "/.well-known/oauth-authorization-server/tenant/1",
        ),
        (
            "/tenant/1/",
            "/.well-known/oauth-authorization-server/tenant/1",
        ),
        ("/tenant/1", "/tenant/1/.well-known/openid-configuration"),
        ("/tenant/1/", "/tenant/1/.well-known/openid-configuration"),
    ] {
        let remote = Remote::discovered(path).await;
        // The host's other tenants are none of our business.
        remote
            .server
            .put("/.well-known/oauth-authorization-server", Page::Status(500));
        remote.put_metadata(metadata);
        let token = remote.token();
        assert_eq!(remote.present(&token).await, Verdict::Admitted, "{path}");
        let hits = remote.server.hits();
        assert_eq!(hits[hits.len() - 2..], [metadata, "/jwks"]);
    }
}

#[tokio::test]
async fn rfc_8414_section_3_3_metadata_of_another_issuer_is_rejected() {
    let remote = Remote::discovered("").await;
    let token = remote.token();
    let origin = &remote.server.origin;
    let mut others: Vec<_> = [
        json!(format!("{origin}/")),
        json!(origin.to_uppercase()),
        json!(&origin[..origin.len() - 1]),
        json!(format!("{origin}0")),
        json!("https://evil.test"),
        json!(""),
        json!(null),
        json!(7),
        json!([origin]),
        json!({ origin: origin }),
    ]
    .into_iter()
    .map(|issuer| json!({"issuer": issuer, "jwks_uri": remote.server.url("/jwks")}).to_string())
    .collect();
    others.push(format!(
        r#"{{"issuer":"{origin}","issuer":"{origin}","jwks_uri":"{origin}/jwks"}}"#
    ));
    others.push(json!({"jwks_uri": remote.server.url("/jwks")}).to_string());
    let mut hits = 0;
    for metadata in others {
        // In neither place, and not in one if it is asked alone.
        for (first, second) in [
            (Page::Json(metadata.clone()), Page::Json(metadata.clone())),
            (Page::Status(404), Page::Json(metadata.clone())),
        ] {
            remote.server.put(FIRST, first);
            remote.server.put(SECOND, second);
            hits += 2;
            remote.expect(&metadata, &token, OUT_OF_REACH, hits).await;
            remote.api.advance(LONGEST_PAUSE);
        }
    }
    remote.put_metadata(SECOND);
    remote
        .expect("its own", &token, Verdict::Admitted, hits + 3)
        .await;
}

#[tokio::test]
async fn metadata_without_a_usable_jwks_uri_is_rejected() {
    let remote = Remote::discovered("").await;
    let token = remote.token();
    let origin = &remote.server.origin;
    for (i, jwks_uri) in [
        json!(null),
        json!(7),
        json!(""),
        json!("/jwks"),
        json!("jwks"),
        json!(format!("//{origin}/jwks")),
        json!([format!("{origin}/jwks")]),
        json!("file:///etc/passwd"),
        json!(format!("ftp{}/jwks", &origin[4..])),
        json!("data:application/json,{\"keys\":[]}"),
    ]
    .into_iter()
    .enumerate()
    {
        let metadata = json!({"issuer": origin, "jwks_uri": jwks_uri}).to_string();
        for place in [FIRST, SECOND] {
            remote.server.put(place, Page::Json(metadata.clone()));
        }
        let hits = 2 * (i + 1);
        remote
            .expect(&jwks_uri.to_string(), &token, OUT_OF_REACH, hits)
            .await;
        remote.api.advance(LONGEST_PAUSE);
    }
}

/// Servers that have the second document only answer for the first in many ways.
#[tokio::test]
async fn whatever_does_not_help_makes_the_search_go_on() {
    let html = "<!doctype html><title>Welcome</title>";
    for page in [
        Page::Status(400),
        Page::Status(401),
        Page::Status(403),
        Page::Status(404),
        Page::Status(500),
        Page::Status(503),
        Page::Status(204),
        Page::Redirect(302, "/elsewhere".to_owned()),
        Page::Json(html.to_owned()),
        Page::Json(String::new()),
        Page::Json("{}".to_owned()),
        Page::Json("[]".to_owned()),
        Page::Json("null".to_owned()),
        Page::Json(" ".repeat(512 * 1024 + 1)),
        Page::HangUp,
        Page::CutOff("{\"issuer\":\"x\"}".to_owned()),
        Page::Halved("{\"issuer\":\"x\"}".to_owned()),
    ] {
        let remote = Remote::discovered("").await;
        let what = format!("{page:.80?}");
        // RFC 9110 section 9.2.2: what was not answered is asked once more.
        let times = match page {
            Page::HangUp | Page::CutOff(_) => 2,
            _ => 1,
        };
        remote.server.put(FIRST, page);
        remote.put_metadata(SECOND);
        let token = remote.token();
        assert_eq!(remote.present(&token).await, Verdict::Admitted, "{what}");
        let mut expected = vec![FIRST; times];
        expected.extend([SECOND, "/jwks"]);
        assert_eq!(remote.server.hits(), expected, "{what}");
    }
    let nothing = Remote::discovered("").await;
    let token = nothing.token();
    nothing.expect("no metadata", &token, OUT_OF_REACH, 2).await;
}

/// RFC 8414 section 2 has `jwks_uri` optional; what it says of another issuer or another scheme is
/// the other document's to say.
#[tokio::test]
async fn a_first_document_that_names_no_keys_makes_the_search_go_on() {
    let remote = Remote::discovered("").await;
    let origin = &remote.server.origin;
    let of = |issuer: &str, jwks_uri: &str| {
        json!({"issuer": issuer, "jwks_uri": jwks_uri, "token_endpoint": "x"}).to_string()
    };
    let evil = remote.server.url("/evil");
    for first in [
        json!({"issuer": origin, "token_endpoint": "x"}).to_string(),
        json!({"issuer": origin, "jwks_uri": null}).to_string(),
        of(origin, "file:///etc/passwd"),
        of("https://other.example", &evil),
        of(&format!("{origin}/"), &evil),
    ] {
        let remote = Remote::discovered("").await;
        let first = first.replace(origin, &remote.server.origin);
        remote.server.put(FIRST, Page::Json(first.clone()));
        remote.put_metadata(SECOND);
        let token = remote.token();
        assert_eq!(remote.present(&token).await, Verdict::Admitted, "{first}");
        assert_eq!(remote.server.hits(), [FIRST, SECOND, "/jwks"], "{first}");
    }
}

#[tokio::test]
async fn a_good_first_document_is_the_one_that_counts() {
    let remote = Remote::discovered("").await;
    remote.put_metadata(FIRST);
    let (other, by_other) = remote.another_key();
    remote.server.put("/other", Page::Json(other.jwks()));
    let metadata = remote.api.issuer.metadata(&remote.server.url("/other"));
    remote.server.put(SECOND, Page::Json(metadata));
    let token = remote.token();
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    assert_ne!(remote.present(&by_other).await, Verdict::Admitted);
    assert_eq!(remote.server.hits(), [FIRST, "/jwks"]);
}

/// RFC 9110 section 9.2.2: on a new connection, and once.
#[tokio::test]
async fn what_a_broken_connection_did_not_answer_is_asked_once_more() {
    let remote = Remote::discovered("").await;
    let once = |page: Page| Page::HangUpOnce(Box::new(page));
    let metadata = remote.api.issuer.metadata(&remote.server.url("/jwks"));
    remote.server.put(FIRST, once(Page::Status(404)));
    remote.server.put(SECOND, once(Page::Json(metadata)));
    let keys = Page::Json(remote.api.issuer.jwks());
    remote.server.put("/jwks", once(keys));
    let token = remote.token();
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    let expected = [FIRST, FIRST, SECOND, SECOND, "/jwks", "/jwks"];
    assert_eq!(remote.server.hits(), expected);

    // Not a third time, and an answer is an answer.
    let remote = Remote::at_url().await;
    let (hang_up, token) = (Page::HangUp, remote.token());
    remote.server.put("/jwks", once(hang_up));
    remote.expect("gone", &token, OUT_OF_REACH, 2).await;
    for status in [404, 429, 500, 502, 503] {
        let remote = Remote::at_url().await;
        remote.server.put("/jwks", Page::Status(status));
        remote.expect("a status", &token, OUT_OF_REACH, 1).await;
    }
}

/// The next request on such a connection is lost.
#[tokio::test]
async fn an_issuer_may_close_each_connection_without_saying_so() {
    for place in [FIRST, SECOND] {
        let remote = Remote::discovered("").await;
        let metadata = remote.api.issuer.metadata(&remote.server.url("/jwks"));
        remote
            .server
            .put(FIRST, Page::ClosedInSilence(String::new()));
        remote.server.put(place, Page::ClosedInSilence(metadata));
        let keys = Page::ClosedInSilence(remote.api.issuer.jwks());
        remote.server.put("/jwks", keys);
        let token = remote.token();
        assert_eq!(remote.present(&token).await, Verdict::Admitted, "{place}");
        let once: &[&str] = match place {
            FIRST => &[FIRST, "/jwks"],
            _ => &[FIRST, SECOND, "/jwks"],
        };
        assert_eq!(remote.server.hits(), once);
        remote.api.advance(300);
        remote.expect_refresh("due", &token, 2 * once.len()).await;
    }
}

fn warning(log: &Log) -> String {
    let mut lines = log.take();
    lines.retain(|line| line.contains(" WARN ") && line.contains("could not be fetched"));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.concat()
}

#[tokio::test]
async fn a_search_that_finds_nothing_is_one_warning_with_all_that_was_tried() {
    let log = Log::listen();
    let remote = Remote::discovered("/tenant").await;
    let token = remote.token();
    let issuer = remote.server.url("/tenant");
    let jwks = remote.server.url("/jwks");
    let first = "/.well-known/oauth-authorization-server/tenant";
    let second = "/tenant/.well-known/openid-configuration";
    let of = |issuer: &str| Page::Json(json!({"issuer": issuer, "jwks_uri": jwks}).to_string());
    let other = format!(
        r#"it is of the issuer "https://other.example", and the configured issuer is "{issuer}""#
    );
    let slash = format!(
        r#"it is of the issuer "{issuer}/", and the configured issuer is "{issuer}": check the slash at the end"#
    );
    let no_jwks_uri = json!({ "issuer": issuer }).to_string();
    for (page, why) in [
        (Page::Status(404), "the answer has status 404"),
        (
            Page::Redirect(302, "/".to_owned()),
            "the answer has status 302",
        ),
        (Page::Json("<html>".to_owned()), "it is not a JSON object"),
        (Page::Json(no_jwks_uri), "it has no jwks_uri"),
        (Page::HangUp, "no answer: "),
        (of("https://other.example"), &other),
        (of(&format!("{issuer}/")), &slash),
    ] {
        remote.server.put(first, page.clone());
        remote.server.put(second, Page::Status(410));
        assert_eq!(remote.present(&token).await, OUT_OF_REACH);
        let line = warning(&log);
        for (path, why) in [(first, why), (second, "the answer has status 410")] {
            let expected = format!("{}: {why}", remote.server.url(path));
            assert!(line.contains(&expected), "{expected}\n{line}");
        }
        remote.api.advance(LONGEST_PAUSE);
        remote.server.put(first, Page::Status(403));
        remote.server.put(second, page);
        assert_eq!(remote.present(&token).await, OUT_OF_REACH);
        let line = warning(&log);
        for (path, why) in [(first, "the answer has status 403"), (second, why)] {
            let expected = format!("{}: {why}", remote.server.url(path));
            assert!(line.contains(&expected), "{expected}\n{line}");
        }
        remote.api.advance(LONGEST_PAUSE);
    }
    // A document that was not needed is not worth a warning.
    remote.put_metadata(second);
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    let mut lines = log.take();
    lines.retain(|line| line.contains(" WARN "));
    assert_eq!(lines, [""; 0]);
}

#[tokio::test]
async fn a_key_set_that_cannot_be_had_is_one_warning_with_its_place() {
    let log = Log::listen();
    let remote = Remote::at_url().await;
    let token = remote.token();
    for (page, why) in [
        (Page::Status(500), "the answer has status 500"),
        (Page::HangUp, "no answer: "),
        (
            Page::Json("<html>".to_owned()),
            "it is not a JSON object with an array `keys`",
        ),
        (
            Page::Json(json!({"keys": vec![0; 101]}).to_string()),
            "it has more than 100 keys",
        ),
        (
            Page::Json(" ".repeat(512 * 1024 + 1)),
            "it has more than 524288 bytes",
        ),
    ] {
        remote.server.put("/jwks", page);
        assert_eq!(remote.present(&token).await, OUT_OF_REACH);
        let line = warning(&log);
        let expected = format!("the JWK Set at {}: {why}", remote.server.url("/jwks"));
        assert!(line.contains(&expected), "{expected}\n{line}");
        assert!(line.contains("in_use=false"), "{line}");
        remote.api.advance(LONGEST_PAUSE);
    }
    remote.server.put_keys(&[&remote.api.issuer]);
    assert_eq!(remote.present(&token).await, Verdict::Admitted);
    remote.server.put("/jwks", Page::Status(500));
    remote.api.advance(300);
    log.take();
    remote.expect_refresh("due", &token, 8).await;
    assert!(warning(&log).contains("in_use=true"));
}

#[tokio::test]
async fn a_jwks_uri_that_moves_is_followed() {
    let remote = Remote::discovered("").await;
    remote.put_metadata(FIRST);
    let token = remote.token();
    remote.expect("before", &token, Verdict::Admitted, 2).await;
    let keys = Page::Json(remote.api.issuer.jwks());
    remote.server.put("/moved", keys);
    remote.server.put("/jwks", Page::Status(410));
    let metadata = remote.api.issuer.metadata(&remote.server.url("/moved"));
    remote.server.put(FIRST, Page::Json(metadata));
    remote.api.advance(300);
    remote.expect_refresh("due", &token, 4).await;
    assert_eq!(remote.server.hits()[2..], [FIRST, "/moved"]);
    remote.expect("after", &token, Verdict::Admitted, 4).await;
}
