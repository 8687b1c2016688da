//! The device authorization grant (RFC 8628).

use std::time::Duration;

use super::*;

impl Rig {
    async fn device(&self) -> Answer {
        let fields = [("client_id", "app"), ("scope", "read")];
        self.post("/device_authorization", &fields).await
    }

    async fn poll(&self, client: &TestClient, device_code: &str) -> Answer {
        let fields = [
            ("grant_type", DEVICE),
            ("client_id", "app"),
            ("device_code", device_code),
        ];
        self.token_of(client, &fields).await
    }

    fn wait(&self) {
        self.clock.advance(Duration::from_secs(6));
    }
}

#[tokio::test]
async fn a_device_gets_a_bound_token_once_somebody_has_approved_it() {
    let rig = Rig::new().await;
    let device = rig.device().await;
    let (code, user_code) = (device.text("device_code"), device.text("user_code"));
    let pending = rig.poll(&rig.client, &code).await;
    assert_eq!(pending.error(), bad("authorization_pending"));

    let complete = device.text("verification_uri_complete");
    let path = complete.strip_prefix(rig.idp.url()).unwrap();
    let page = rig.get(path).await;
    assert!(
        page.body.contains(&user_code) && page.body.contains("app"),
        "{page:?}"
    );
    // However the user has typed it.
    let typed = user_code.to_lowercase().replace('-', " ");
    let fields = [("user_code", &*typed), ("user", "bob")];
    assert_eq!(rig.post("/device", &fields).await.status, 200);

    rig.wait();
    let answer = rig.poll(&rig.client, &code).await;
    assert_eq!(answer.text("token_type"), "DPoP");
    assert_eq!(answer.text("scope"), "read");
    let claims = claims(&answer.text("access_token"));
    assert_eq!(claims["sub"], "bob");
    assert_eq!(claims["cnf"]["jkt"], rig.client.thumbprint().to_string());
    assert!(answer.json().get("refresh_token").is_some());
    rig.wait();
    assert_eq!(
        rig.poll(&rig.client, &code).await.error(),
        bad("expired_token")
    );
}

#[tokio::test]
async fn a_device_that_asks_too_often_is_slowed_down() {
    let rig = Rig::new().await;
    let code = rig.device().await.text("device_code");
    for expected in ["authorization_pending", "slow_down"] {
        assert_eq!(rig.poll(&rig.client, &code).await.error(), bad(expected));
    }
    rig.wait();
    // The interval has become longer.
    assert_eq!(rig.poll(&rig.client, &code).await.error(), bad("slow_down"));
    rig.clock.advance(Duration::from_secs(15));
    let pending = rig.poll(&rig.client, &code).await;
    assert_eq!(pending.error(), bad("authorization_pending"));
}

#[tokio::test]
async fn a_device_that_the_user_denies_gets_no_token() {
    let rig = Rig::new().await;
    let device = rig.device().await;
    let fields = [("user_code", &*device.text("user_code")), ("deny", "yes")];
    assert_eq!(rig.post("/device", &fields).await.status, 200);
    let denied = rig.poll(&rig.client, &device.text("device_code")).await;
    assert_eq!(denied.error(), bad("access_denied"));
    // The decision is final.
    let fields = [("user_code", &*device.text("user_code")), ("user", "bob")];
    assert_eq!(rig.post("/device", &fields).await.status, 400);
}

#[tokio::test]
async fn a_device_code_expires_and_is_that_of_its_client() {
    let rig = Rig::new().await;
    let device = rig.device().await;
    let of_another = [
        ("grant_type", DEVICE),
        ("client_id", "api"),
        ("client_secret", "s3cret"),
        ("device_code", &*device.text("device_code")),
    ];
    assert_eq!(rig.token(&of_another).await.error(), bad("expired_token"));
    rig.clock.advance(Duration::from_secs(600));
    let expired = rig.poll(&rig.client, &device.text("device_code")).await;
    assert_eq!(expired.error(), bad("expired_token"));
    let fields = [("user_code", &*device.text("user_code")), ("user", "bob")];
    assert_eq!(rig.post("/device", &fields).await.status, 400);
}
