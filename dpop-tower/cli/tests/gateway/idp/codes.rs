//! Authorization codes: PKCE, `dpop_jkt` and pushed requests.

use super::*;

#[tokio::test]
async fn a_code_is_exchanged_for_tokens_of_the_user() {
    let rig = Rig::new().await;
    let back = rig
        .authorize(&[("scope", "openid read"), ("nonce", "n-0S6")])
        .await;
    assert!(back.header("location").unwrap().starts_with(CALLBACK));
    assert_eq!(back.returned("state").as_deref(), Some("s t&te"));
    assert_eq!(back.returned("iss").as_deref(), Some(rig.idp.url()));
    let answer = rig
        .redeem(&rig.client, &back.returned("code").unwrap())
        .await;
    assert_eq!(answer.text("token_type"), "DPoP");
    assert_eq!(answer.text("scope"), "openid read");
    assert_eq!(claims(&answer.text("access_token"))["sub"], "alice");
    let id_token = claims(&answer.text("id_token"));
    assert_eq!(
        (&id_token["aud"], &id_token["nonce"]),
        (&json!("app"), &json!("n-0S6"))
    );
    let bob = rig.code(&[("login_hint", "bob")]).await;
    let answer = rig.redeem(&rig.client, &bob).await;
    assert_eq!(claims(&answer.text("access_token"))["sub"], "bob");
}

#[tokio::test]
async fn a_code_is_good_with_the_key_of_dpop_jkt_only() {
    let rig = Rig::new().await;
    let jkt = rig.client.thumbprint().to_string();
    let code = rig.code(&[("dpop_jkt", &jkt)]).await;
    let stolen = rig.redeem(&rig.thief(), &code).await;
    assert_eq!(stolen.error(), bad("invalid_grant"));
    let without = rig.post("/token", &fields_of(&code)).await;
    assert_eq!(without.error(), bad("invalid_grant"));
    assert_eq!(rig.redeem(&rig.client, &code).await.status, 200);
    let malformed = rig.authorize(&[("dpop_jkt", "x")]).await;
    assert_eq!(
        malformed.returned("error").as_deref(),
        Some("invalid_request")
    );
}

#[tokio::test]
async fn a_code_is_good_with_its_verifier_its_client_and_its_redirect_uri_only() {
    let rig = Rig::new().await;
    let code = rig.code(&[]).await;
    let with = |name: &str, value: &'static str| {
        let replace = |(other, old)| {
            if other == name {
                (other, value)
            } else {
                (other, old)
            }
        };
        fields_of(&code).map(replace)
    };
    for fields in [
        with(
            "code_verifier",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXx",
        ),
        with("redirect_uri", "http://127.0.0.1:8401/callback"),
        with("code", "another"),
    ] {
        assert_eq!(rig.token(&fields).await.error(), bad("invalid_grant"));
    }
    let mut of_other = with("client_id", "api").to_vec();
    of_other.push(("client_secret", "s3cret"));
    assert_eq!(rig.token(&of_other).await.error(), bad("invalid_grant"));
    let no_verifier = with("code_verifier", "");
    assert_eq!(
        rig.token(&no_verifier).await.error(),
        bad("invalid_request")
    );
    assert_eq!(rig.redeem(&rig.client, &code).await.status, 200);
}

#[tokio::test]
async fn a_code_that_is_used_twice_takes_its_tokens_with_it() {
    let rig = Rig::new().await;
    let code = rig.code(&[]).await;
    let tokens = rig.redeem(&rig.client, &code).await;
    assert_eq!(
        rig.redeem(&rig.client, &code).await.error(),
        bad("invalid_grant")
    );
    let refresh = tokens.text("refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", &*refresh),
    ];
    assert_eq!(rig.token(&fields).await.error(), bad("invalid_grant"));
}

#[tokio::test]
async fn a_code_expires() {
    let rig = Rig::new().await;
    let code = rig.code(&[]).await;
    rig.clock.advance(std::time::Duration::from_secs(60));
    assert_eq!(
        rig.redeem(&rig.client, &code).await.error(),
        bad("invalid_grant")
    );
}

#[tokio::test]
async fn a_browser_is_sent_to_redirect_uris_of_the_client_only() {
    let rig = Rig::new().await;
    for wrong in [
        "https://evil.example/callback",
        "http://127.0.0.1.evil.example/",
        "http://127.0.0.1@evil.example/",
        "javascript:alert(1)",
    ] {
        let answer = rig.authorize(&[("redirect_uri", wrong)]).await;
        assert_eq!(answer.status, 400, "{wrong}");
        assert_eq!(answer.header("location"), None, "{wrong}");
    }
    let unknown = rig.authorize(&[("client_id", "nobody")]).await;
    assert_eq!((unknown.status, unknown.header("location")), (400, None));
}

#[tokio::test]
async fn a_wrong_request_is_reported_to_the_client() {
    let rig = Rig::new().await;
    for (field, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("scope", "admin"), "invalid_scope"),
        (("resource", "https://unknown.test"), "invalid_target"),
    ] {
        let answer = rig.authorize(&[field]).await;
        assert_eq!(
            answer.returned("error").as_deref(),
            Some(error),
            "{field:?}"
        );
        assert_eq!(answer.returned("state").as_deref(), Some("s t&te"));
        assert_eq!(answer.returned("code"), None);
    }
}

#[tokio::test]
async fn a_pushed_request_binds_its_code_to_the_key_of_its_proof() {
    let rig = Rig::new().await;
    let challenge = URL_SAFE_NO_PAD.encode(sha256(VERIFIER.as_bytes()));
    let fields = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", CALLBACK),
        ("code_challenge", &*challenge),
        ("code_challenge_method", "S256"),
        ("scope", "read"),
    ];
    let pushed = rig.prove(&rig.client, "/par", None, &fields).await;
    assert_eq!(pushed.status, 201);
    let uri = pushed.text("request_uri");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", "app"),
            ("request_uri", &*uri),
            ("scope", "write"),
        ])
        .finish();
    let back = rig.get(&format!("/authorize?{query}")).await;
    let code = back.returned("code").unwrap();
    let stolen = rig.redeem(&rig.thief(), &code).await;
    assert_eq!(stolen.error(), bad("invalid_grant"));
    assert_eq!(rig.redeem(&rig.client, &code).await.text("scope"), "read");

    let other = rig.thief().thumbprint().to_string();
    let mut mismatch = fields.to_vec();
    mismatch.push(("dpop_jkt", &other));
    let answer = rig.prove(&rig.client, "/par", None, &mismatch).await;
    assert_eq!(answer.error(), bad("invalid_request"));
    let of_another = query.replace("client_id=app", "client_id=api");
    assert_eq!(
        rig.get(&format!("/authorize?{of_another}")).await.status,
        400
    );
}
