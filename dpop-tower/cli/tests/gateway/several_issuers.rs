//! Several issuers in one file, and whose subject the upstream is told.

use std::fs;

use axum::body::Body;
use dpop_tower::test_util::TestIssuer;
use http::Request;
use serde_json::json;
use tempfile::TempDir;

use super::{ORIGIN, Rig, Wanted, error_of, mirror};

/// A gateway for the rig's issuer and another one, with these further tables.
struct Two {
    rig: Rig,
    other: TestIssuer,
    _folder: TempDir,
}

impl Two {
    async fn with(tables: &str) -> Self {
        let other = TestIssuer::new()
            .issuer("https://other.test")
            .audience("https://api.test");
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("other.json");
        fs::write(&file, other.jwks()).unwrap();
        let tables = format!(
            "[[issuer]]\nurl = 'https://other.test'\naudiences = ['https://api.test']\n\
             jwks_file = '{}'\n{tables}",
            file.display()
        );
        Self {
            rig: Rig::with(mirror(), Wanted::tables(&tables)).await,
            other,
            _folder: folder,
        }
    }

    /// A good request of `subject` with a token of this issuer.
    fn get(&self, issuer: &TestIssuer, path: &str, subject: &str) -> Request<Body> {
        let token = issuer.token().claim("sub", subject).claim("scope", "read");
        let token = token.bound_to(&self.rig.client).mint();
        let url = format!("{ORIGIN}{path}");
        self.rig.client.get(&url, &token).map(|()| Body::empty())
    }
}

/// An upstream that was written for one issuer must not take the subject of another one for its own.
#[tokio::test]
async fn with_several_issuers_the_upstream_is_told_the_subject_with_its_issuer_only() {
    let two = Two::with("").await;
    for (issuer, name) in [
        (&two.rig.issuer, "https://issuer.test"),
        (&two.other, "https://other.test"),
    ] {
        let seen = two.rig.seen(two.get(issuer, "/orders", "alice")).await;
        let principal = format!("{name} alice");
        assert_eq!(seen.header("x-dpop-principal"), Some(principal.as_str()));
        assert_eq!(seen.header("x-dpop-issuer"), Some(name));
        assert_eq!(seen.header("x-dpop-scope"), Some("read"));
        assert_eq!(seen.header("x-dpop-subject"), None);
        assert_eq!(seen.header("x-dpop-client-id"), None);
    }
}

#[tokio::test]
async fn a_principal_has_one_reading() {
    let two = Two::with("").await;
    for (subject, expected) in [
        ("a b", Some("https://issuer.test a b")),
        (" a", Some("https://issuer.test %20a")),
        ("a ", Some("https://issuer.test a%20")),
        ("a%20", Some("https://issuer.test a%2520")),
        ("ä", Some("https://issuer.test %C3%A4")),
        ("a\r\nx: y", Some("https://issuer.test a%0D%0Ax: y")),
        ("", None),
    ] {
        let seen = two
            .rig
            .seen(two.get(&two.rig.issuer, "/orders", subject))
            .await;
        assert_eq!(seen.header("x-dpop-principal"), expected, "{subject:?}");
    }
    let token = two.rig.issuer.token().bound_to(&two.rig.client);
    let token = token.claim("sub", json!(7)).mint();
    let request = two.rig.client.get(&format!("{ORIGIN}/orders"), &token);
    let seen = two.rig.seen(request.map(|()| Body::empty())).await;
    assert_eq!(seen.header("x-dpop-principal"), None);
}

#[tokio::test]
async fn the_file_can_name_the_headers_of_both() {
    let tables =
        "[identity]\nprincipal = 'X-User'\n[identity.claims]\nsub = 'X-Subject'\niss = 'X-Issuer'";
    let two = Two::with(tables).await;
    let seen = two.rig.seen(two.get(&two.other, "/orders", "bob")).await;
    assert_eq!(seen.header("x-user"), Some("https://other.test bob"));
    assert_eq!(seen.header("x-subject"), Some("bob"));
    assert_eq!(seen.header("x-issuer"), Some("https://other.test"));
    assert_eq!(seen.header("x-dpop-principal"), None);
    // Nobody else can write them.
    let mut request = two.get(&two.other, "/orders", "bob");
    for name in ["x-user", "x_user", "x-subject"] {
        request
            .headers_mut()
            .insert(name, "mallory".parse().unwrap());
    }
    assert!(!two.rig.seen(request).await.has_anywhere("mallory"));
}

#[tokio::test]
async fn a_route_can_name_its_issuers() {
    let tables = "[[route]]\npath = '/admin'\nissuers = ['https://issuer.test']\n\
                  [[route]]\npath = '/both'\nissuers = ['https://issuer.test', 'https://other.test']";
    let two = Two::with(tables).await;
    for (issuer, path, status) in [
        (&two.rig.issuer, "/admin", 200),
        (&two.other, "/admin", 401),
        (&two.other, "/Admin/", 401),
        (&two.rig.issuer, "/both", 200),
        (&two.other, "/both", 200),
        (&two.other, "/elsewhere", 200),
    ] {
        let response = two.rig.send(two.get(issuer, path, "alice")).await;
        assert_eq!(response.status(), status, "{path}");
        if status == 401 {
            assert_eq!(error_of(&response).as_deref(), Some("invalid_token"));
        }
    }
}
