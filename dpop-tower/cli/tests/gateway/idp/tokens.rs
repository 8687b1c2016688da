//! The token endpoint: clients, proofs and nonces.

use base64::engine::general_purpose::STANDARD;

use super::*;

#[tokio::test]
async fn a_token_is_bound_to_the_key_of_the_proof() {
    let rig = Rig::new().await;
    let answer = rig.token(&OF_API).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.text("token_type"), "DPoP");
    assert_eq!(answer.text("scope"), "read write");
    assert_eq!(answer.json().get("refresh_token"), None);
    let claims = claims(&answer.text("access_token"));
    assert_eq!(claims["cnf"]["jkt"], rig.client.thumbprint().to_string());
    assert_eq!(claims["iss"], rig.idp.url());
    assert_eq!(claims["aud"], AUDIENCE);
    assert_eq!(
        (&claims["sub"], &claims["client_id"]),
        (&json!("api"), &json!("api"))
    );
}

#[tokio::test]
async fn a_client_without_a_proof_gets_a_bearer_token_unless_proofs_are_required() {
    let rig = Rig::new().await;
    let answer = rig.post("/token", &OF_API).await;
    assert_eq!(answer.text("token_type"), "Bearer");
    assert_eq!(claims(&answer.text("access_token")).get("cnf"), None);

    let of_all = Rig::with(json!({ "require_dpop": true })).await;
    let of_one = json!([{
        "client_id": "api", "client_secret": "s3cret", "dpop_bound_access_tokens": true,
    }]);
    let of_one = Rig::with(json!({ "clients": of_one })).await;
    for rig in [of_all, of_one] {
        let answer = rig.post("/token", &OF_API).await;
        assert_eq!(answer.error(), bad("invalid_dpop_proof"));
        assert_eq!(rig.token(&OF_API).await.status, 200);
    }
}

#[tokio::test]
async fn a_proof_gets_one_token() {
    let rig = Rig::new().await;
    let mut request = rig.form("/token", &OF_API);
    let proof = rig
        .client
        .proof("POST", &format!("{}/token", rig.idp.url()));
    proof.sign_into(request.headers_mut());
    assert_eq!(rig.send(request.clone()).await.status, 200);
    let answer = rig.send(request).await;
    assert_eq!(answer.error(), bad("invalid_dpop_proof"));
}

#[tokio::test]
async fn a_client_with_a_wrong_secret_does_not_use_up_its_proof() {
    let rig = Rig::new().await;
    let wrong = [OF_API[0], OF_API[1], ("client_secret", "wrong")];
    let mut request = rig.form("/token", &wrong);
    let proof = rig
        .client
        .proof("POST", &format!("{}/token", rig.idp.url()));
    proof.sign_into(request.headers_mut());
    let rejected = rig.send(request.clone()).await;
    assert_eq!(rejected.error(), (401, "invalid_client".to_owned()));
    *request.body_mut() = rig.form("/token", &OF_API).into_body();
    assert_eq!(rig.send(request).await.status, 200);
}

#[tokio::test]
async fn a_nonce_is_asked_for_with_400_and_accepted_when_it_comes_back() {
    let rig = Rig::with(json!({ "nonces": true })).await;
    let answer = rig.token(&OF_API).await;
    assert_eq!(answer.error(), bad("use_dpop_nonce"));
    let nonce = answer.header("dpop-nonce").unwrap();
    let answer = rig.prove(&rig.client, "/token", Some(nonce), &OF_API).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.text("token_type"), "DPoP");
}

#[tokio::test]
async fn a_client_is_authenticated_in_one_way() {
    let rig = Rig::new().await;
    let basic = async |credentials: &str, fields: &[(&str, &str)]| {
        let mut request = rig.form("/token", fields);
        let value = format!("Basic {}", STANDARD.encode(credentials))
            .parse()
            .unwrap();
        request.headers_mut().insert(header::AUTHORIZATION, value);
        rig.send(request).await
    };
    let grant = [OF_API[0]];
    assert_eq!(basic("api:s3cret", &grant).await.status, 200);
    assert_eq!(basic("%61pi:s3cre%74", &grant).await.status, 200);
    let unauthorized = (401, "invalid_client".to_owned());
    for wrong in [
        "api:wrong",
        "api:",
        "app:",
        "nobody:s3cret",
        "api",
        "api:s3cret&x",
    ] {
        let answer = basic(wrong, &grant).await;
        assert_eq!(answer.error(), unauthorized, "{wrong}");
        assert!(
            answer
                .header("www-authenticate")
                .unwrap()
                .starts_with("Basic")
        );
    }
    let twice = basic("api:s3cret", &OF_API).await;
    assert_eq!(twice.error(), bad("invalid_request"));
    let other = basic("api:s3cret", &[OF_API[0], ("client_id", "app")]).await;
    assert_eq!(other.error(), unauthorized);
    for fields in [
        &[OF_API[0], ("client_id", "nobody")][..],
        &[OF_API[0], OF_API[1]],
        &[OF_API[0], ("client_id", "app"), ("client_secret", "x")],
    ] {
        assert_eq!(rig.token(fields).await.error(), unauthorized, "{fields:?}");
    }
}

#[tokio::test]
async fn a_client_gets_no_more_than_it_may_have() {
    let clients = json!([
        { "client_id": "app", "grants": ["refresh_token"] },
        { "client_id": "api", "client_secret": "s3cret", "scopes": ["read"] },
    ]);
    let rig = Rig::with(json!({ "clients": clients })).await;
    let with = async |field| {
        let fields: Vec<_> = OF_API.into_iter().chain([field]).collect();
        rig.token(&fields).await
    };
    assert_eq!(with(("scope", "read read")).await.text("scope"), "read");
    assert_eq!(
        with(("scope", "read write")).await.error(),
        bad("invalid_scope")
    );
    let other = with(("resource", "https://other.test")).await;
    assert_eq!(
        claims(&other.text("access_token"))["aud"],
        "https://other.test"
    );
    let unknown = with(("resource", "https://unknown.test")).await;
    assert_eq!(unknown.error(), bad("invalid_target"));
    for grant in ["client_credentials", CODE, DEVICE] {
        let fields = [("grant_type", grant), ("client_id", "app")];
        let answer = rig.token(&fields).await;
        assert_eq!(answer.error(), bad("unauthorized_client"), "{grant}");
    }
    let unknown = [("grant_type", "password"), ("client_id", "app")];
    assert_eq!(
        rig.token(&unknown).await.error(),
        bad("unsupported_grant_type")
    );
    let twice = [OF_API[0], OF_API[0], OF_API[1], OF_API[2]];
    assert_eq!(rig.token(&twice).await.error(), bad("invalid_request"));
}

#[tokio::test]
async fn claims_of_a_user_do_not_replace_those_of_the_issuer() {
    let rig = Rig::new().await;
    let code = rig.code(&[]).await;
    // A token without a binding.
    let answer = rig.post("/token", &fields_of(&code)).await;
    assert_eq!(answer.text("token_type"), "Bearer");
    let claims = claims(&answer.text("access_token"));
    assert_eq!(
        (&claims["sub"], &claims["acr"]),
        (&json!("alice"), &json!("high"))
    );
    assert_eq!(claims.get("cnf"), None);
}
