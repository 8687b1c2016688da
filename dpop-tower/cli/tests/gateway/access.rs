//! Who is admitted, according to the file.

use std::fs;

use axum::body::Body;
use dpop_cli::gateway::{
    Settings,
    guard::{Guard, Verdict},
    identity::Identity,
};
use dpop_tower::{
    Policy, PolicyTable,
    clock::TimeSource as _,
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource as _, StatelessNonces},
    target::PeerAddr,
    test_util::{TestClient, TestIssuer},
};
use http::{Method, Request, header};

use dpop_conformance::{
    logging::Log,
    support::{Api, URL},
};

use super::{ORIGIN, Rig, Wanted, error_of, mirror};

#[tokio::test]
async fn what_the_walk_through_tries_comes_out_as_it_says() {
    let rig = Rig::new(mirror()).await;
    let (url, token) = (format!("{ORIGIN}/f1-results"), rig.token());
    let with = |proof: &str| rig.with_proof("/f1-results", &token, proof);
    let proof = |client: &TestClient, method, url: &str| {
        client.proof(method, url).access_token(&token).sign()
    };
    let good = proof(&rig.client, "GET", &url);
    assert_eq!(rig.status(with(&good)).await, 200);

    let rejected = async |request| {
        let response = rig.send(request).await;
        (response.status().as_u16(), error_of(&response).unwrap())
    };
    let bad_proof = (401, "invalid_dpop_proof".to_owned());
    let bad_token = (401, "invalid_token".to_owned());
    assert_eq!(rejected(with(&good)).await, bad_proof, "again");
    let other_method = proof(&rig.client, "POST", &url);
    assert_eq!(rejected(with(&other_method)).await, bad_proof);
    let other_url = proof(&rig.client, "GET", &format!("{ORIGIN}/other"));
    assert_eq!(rejected(with(&other_url)).await, bad_proof);
    let other_key = proof(&TestClient::new(), "GET", &url);
    assert_eq!(rejected(with(&other_key)).await, bad_token);
    let mut missing = rig.get("/f1-results");
    missing.headers_mut().remove("dpop");
    assert_eq!(rejected(missing).await, bad_proof);
    let bare = Request::get("/f1-results").header(header::AUTHORIZATION, format!("Bearer {token}"));
    assert_eq!(rejected(bare.body(Body::empty()).unwrap()).await, bad_token);
}

#[tokio::test]
async fn each_route_asks_for_what_it_says_and_the_rest_is_strict() {
    let tables = "\
[[route]]
path = '/healthz'
mode = 'off'
[[route]]
path = '/f1/{round}'
methods = ['GET']
scopes = ['f1:read']
[[route]]
path = '/f1/{round}'
methods = ['PUT']
scopes = ['f1:read', 'f1:write']
[[route]]
path = '/pay'
acr = ['mfa']
max_auth_age = 300
[[route]]
path = '/either'
any_scope = ['a', 'f1:read']
[[route]]
path = '/fresh'
require_nonce = true";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let bare = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    assert_eq!(rig.status(bare("/healthz")).await, 200);
    assert_eq!(rig.status(bare("/healthz/")).await, 401);
    assert_eq!(rig.status(bare("/healthz/../f1/1")).await, 400);
    assert_eq!(rig.status(bare("/other")).await, 401);
    assert_eq!(rig.status(rig.get("/other")).await, 200);
    assert_eq!(rig.status(rig.get("/f1/1")).await, 200);
    assert_eq!(rig.status(rig.get("/either")).await, 200);
    let response = rig.send(rig.request(Method::PUT, "/f1/1")).await;
    assert_eq!(response.status(), 403);
    assert_eq!(error_of(&response).unwrap(), "insufficient_scope");
    // No row lists this method, so the requirements of the other methods apply.
    assert_eq!(rig.status(rig.request(Method::DELETE, "/f1/1")).await, 403);
    let response = rig.send(rig.get("/pay")).await;
    assert_eq!(
        error_of(&response).unwrap(),
        "insufficient_user_authentication"
    );
    let response = rig.send(rig.get("/fresh")).await;
    assert_eq!(error_of(&response).unwrap(), "use_dpop_nonce");
}

#[tokio::test]
async fn the_mode_of_the_file_is_for_what_no_route_lists() {
    let tables = "\
[[route]]
path = '/strict'
[[route]]
path = '/some'
methods = ['POST']";
    let head = "mode = 'off'";
    let rig = Rig::with(mirror(), Wanted { head, tables }).await;
    let bare = |method, path: &str| {
        let request = Request::builder().method(method).uri(path);
        request.body(Body::empty()).unwrap()
    };
    for (method, path, status) in [
        (Method::GET, "/", 200),
        (Method::GET, "/a/b", 200),
        // A row for one method does not exempt any other.
        (Method::GET, "/some", 401),
        (Method::POST, "/some", 401),
        (Method::GET, "/strict", 401),
        (Method::GET, "/a//b", 200),
        (Method::GET, "//strict/", 401),
    ] {
        assert_eq!(rig.status(bare(method, path)).await, status, "{path}");
    }
}

#[tokio::test]
async fn each_of_two_issuers_vouches_for_its_own_tokens_only() {
    let other = TestIssuer::new()
        .issuer("https://other.test")
        .audience("other-audience");
    let tables = "\
[[issuer]]
url = 'https://other.test'
audiences = ['other-audience']
jwks_file = 'other.json'";
    // The rig needs the file before it starts, so the file goes to a folder of its own.
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("other.json");
    fs::write(&file, other.jwks()).unwrap();
    let tables = tables.replace("other.json", file.to_str().unwrap());
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let url = format!("{ORIGIN}/orders");
    let get = |token: &str| rig.client.get(&url, token).map(|()| Body::empty());
    let status = async |token: &str| rig.status(get(token)).await;

    assert_eq!(status(&rig.token()).await, 200);
    let of_other = || other.token().bound_to(&rig.client);
    let seen = rig.seen(get(&of_other().mint())).await;
    assert_eq!(seen.header("x-dpop-issuer"), Some("https://other.test"));

    let of_first = || rig.issuer.token().bound_to(&rig.client);
    for (what, token) in [
        (
            "signed by the first in the name of the other",
            of_first()
                .claim("iss", "https://other.test")
                .claim("aud", "other-audience")
                .mint(),
        ),
        (
            "signed by the other in the name of the first",
            of_other()
                .claim("iss", "https://issuer.test")
                .claim("aud", "https://api.test")
                .mint(),
        ),
        (
            "for the audience of the other",
            of_first().claim("aud", "other-audience").mint(),
        ),
        (
            "for the audience of the first",
            of_other().claim("aud", "https://api.test").mint(),
        ),
        (
            "of nobody that is listed",
            of_other().claim("iss", "https://third.test").mint(),
        ),
        ("of nobody", of_other().without_claim("iss").mint()),
        (
            "of several",
            of_other()
                .claim("iss", serde_json::json!(["https://other.test"]))
                .mint(),
        ),
        ("of no form", "a.b.c".to_owned()),
    ] {
        let response = rig.send(get(&token)).await;
        assert_eq!(response.status(), 401, "{what}");
        assert_eq!(
            error_of(&response).as_deref(),
            Some("invalid_token"),
            "{what}"
        );
    }
}

/// Only the key and the `jti` count, whichever issuer issued the token.
#[tokio::test]
async fn a_proof_is_used_up_for_all_issuers() {
    let other = TestIssuer::new()
        .issuer("https://other.test")
        .audience("https://api.test");
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("other.json");
    fs::write(&file, other.jwks()).unwrap();
    let tables = format!(
        "[[issuer]]\nurl = 'https://other.test'\naudiences = ['https://api.test']\njwks_file = '{}'",
        file.display()
    );
    let rig = Rig::with(mirror(), Wanted::tables(&tables)).await;
    let url = format!("{ORIGIN}/orders");
    let with_jti = |token: &str| {
        let proof = rig
            .client
            .proof("GET", &url)
            .access_token(token)
            .claim("jti", "one");
        rig.with_proof("/orders", token, &proof.sign())
    };
    assert_eq!(rig.status(with_jti(&rig.token())).await, 200);
    let of_other = other.token().bound_to(&rig.client).mint();
    assert_eq!(rig.status(with_jti(&of_other)).await, 401);
}

#[tokio::test]
async fn gateways_with_one_secret_accept_each_others_nonces() {
    let folder = tempfile::TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, format!("{}\n", "s".repeat(32))).unwrap();
    let tables = format!(
        "[nonces]\nmode = 'required'\nsecret_file = '{}'",
        secret.display()
    );
    let wanted = Wanted::tables(&tables);
    let one = Rig::with(mirror(), wanted).await;
    let two = Rig::with(mirror(), wanted).await;
    let of_its_own = Wanted::tables("[nonces]\nmode = 'required'");
    let stranger = Rig::with(mirror(), of_its_own).await;

    let response = one.send(one.get("/orders")).await;
    assert_eq!(error_of(&response).unwrap(), "use_dpop_nonce");
    let nonce = response.headers()["dpop-nonce"]
        .to_str()
        .unwrap()
        .to_owned();
    let url = format!("{ORIGIN}/orders");
    let with_nonce = |rig: &Rig| {
        let token = rig.token();
        let proof = rig
            .client
            .proof("GET", &url)
            .access_token(&token)
            .nonce(&nonce)
            .sign();
        rig.with_proof("/orders", &token, &proof)
    };
    assert_eq!(one.status(with_nonce(&one)).await, 200);
    assert_eq!(two.status(with_nonce(&two)).await, 200);
    assert_eq!(stranger.status(with_nonce(&stranger)).await, 401);
}

#[tokio::test]
async fn a_proof_is_as_old_as_the_file_allows() {
    let tables = "[proof]\nmax_age = 5\nleeway = 0";
    let rig = Rig::with(mirror(), Wanted::tables(tables)).await;
    let url = format!("{ORIGIN}/orders");
    let token = rig.token();
    let now: serde_json::Value =
        serde_json::from_str(&rig.client.proof("GET", &url).payload_json()).unwrap();
    let now = now["iat"].as_i64().unwrap();
    for (iat, status) in [(now - 6, 401), (now, 200), (now + 60, 401)] {
        let proof = rig
            .client
            .proof("GET", &url)
            .access_token(&token)
            .claim("iat", iat);
        let request = rig.with_proof("/orders", &token, &proof.sign());
        assert_eq!(rig.status(request).await, status, "{}", iat - now);
    }
}

/// A caller that only asks for a verdict gets the same one.
#[tokio::test]
async fn the_guard_by_itself_tells_who_it_is_or_how_to_reject() {
    let rig = Rig::new(mirror()).await;
    let guard = rig.gateway.guard();
    let mut request = rig.get("/orders").map(|_| ());
    let loopback = std::net::Ipv4Addr::LOCALHOST.into();
    request.extensions_mut().insert(PeerAddr(loopback));
    let again = {
        let mut again = Request::new(());
        *again.uri_mut() = request.uri().clone();
        *again.headers_mut() = request.headers().clone();
        again
    };
    match guard.check(request).await {
        Verdict::Admitted { identity, .. } => {
            assert_eq!(identity["x-dpop-subject"], "alice");
            assert_eq!(identity["x-dpop-principal"], "https://issuer.test alice");
            assert_eq!(identity.len(), 6);
        }
        Verdict::Rejected(response) => panic!("{response:?}"),
    }
    match guard.check(again).await {
        Verdict::Rejected(response) => {
            assert_eq!(response.status(), 401);
            assert_eq!(error_of(&response).unwrap(), "invalid_dpop_proof");
        }
        Verdict::Admitted { .. } => panic!("a proof was used twice"),
    }
}

/// A nonce that is about to retire is replaced with the response, no matter who sends it.
#[tokio::test]
async fn the_guard_by_itself_hands_out_nonces() {
    let api = Api::new();
    let nonces = StatelessNonces::new(NonceSecret::new([7; 32]).unwrap());
    let config = api
        .config()
        .nonce_source(nonces.clone())
        .require_nonces()
        .build()
        .unwrap();
    let guard = Guard::new(config, None, Identity::default());
    let request = |nonce: &str| {
        let token = api.token().mint();
        let proof = api.proof(&token).nonce(nonce).sign();
        api.client
            .request_with_proof(Method::GET, URL, &token, &proof)
    };
    let first = nonces.current(&NonceContext::new(api.clock.now(), &AwsLcRs));
    for (later, expected) in [(0, None), (120, Some(()))] {
        api.advance(later);
        match guard.check(request(&first)).await {
            Verdict::Admitted {
                response_headers, ..
            } => {
                let current = nonces.current(&NonceContext::new(api.clock.now(), &AwsLcRs));
                let expected = expected.map(|()| current.as_str());
                let nonce = response_headers.get("dpop-nonce");
                assert_eq!(nonce.map(|nonce| nonce.to_str().unwrap()), expected);
                assert_eq!(
                    response_headers.len(),
                    if expected.is_some() { 2 } else { 0 }
                );
            }
            Verdict::Rejected(response) => panic!("{response:?}"),
        }
    }
    api.advance(120);
    match guard.check(request(&first)).await {
        Verdict::Rejected(response) => {
            assert_eq!(error_of(&response).unwrap(), "use_dpop_nonce");
            assert!(response.headers().contains_key("dpop-nonce"));
        }
        Verdict::Admitted { .. } => panic!("the nonce was too old"),
    }
}

#[test]
fn two_secrets_can_be_accepted_while_they_are_changed() {
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["old", "new"] {
        fs::write(folder.path().join(name), name.repeat(20)).unwrap();
    }
    let text = "\
listen = '127.0.0.1:0'
upstream = 'http://127.0.0.1:1'
public_origins = ['https://api.test']
[[issuer]]
url = 'https://issuer.test'
audiences = ['a']
[nonces]
mode = 'required'
secret_file = 'new'
also_accept_file = 'old'
period = 60";
    Settings::parse(text, &folder.path().join("gateway.toml")).unwrap();
}

/// The guard passes requests on and also only verifies them, by the rules of one table.
#[tokio::test]
async fn a_table_with_a_weak_policy_for_other_paths_is_warned_of_once() {
    let api = Api::new();
    let config = api.config().policy(Policy::off()).build().unwrap();
    let table = PolicyTable::builder()
        .route("/orders", Policy::strict())
        .build()
        .unwrap();
    let log = Log::listen();
    let _guard = Guard::new(config, Some(&table), Identity::default());
    let line = log.line();
    assert!(line.contains("WARN"), "{line}");
    assert!(
        line.contains("the policy of what no row lists is off"),
        "{line}"
    );
}
