//! Refresh tokens: rotation, and their binding to the key of a public client.

use super::*;

impl Rig {
    /// Returns the response to a new code.
    async fn tokens(&self) -> Answer {
        let code = self.code(&[("scope", "read write")]).await;
        self.redeem(&self.client, &code).await
    }

    async fn refresh(&self, client: &TestClient, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![
            ("grant_type", "refresh_token"),
            ("client_id", "app"),
            ("refresh_token", token),
        ];
        fields.extend_from_slice(more);
        self.token_of(client, &fields).await
    }
}

#[tokio::test]
async fn a_refresh_token_of_a_public_client_is_good_with_its_key_only() {
    let rig = Rig::new().await;
    let first = rig.tokens().await.text("refresh_token");
    let stolen = rig.refresh(&rig.thief(), &first, &[]).await;
    assert_eq!(stolen.error(), bad("invalid_grant"));
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "app"),
        ("refresh_token", &*first),
    ];
    let without = rig.post("/token", &fields).await;
    assert_eq!(without.error(), bad("invalid_grant"));
    let answer = rig.refresh(&rig.client, &first, &[]).await;
    assert_eq!(answer.text("token_type"), "DPoP");
    let claims = claims(&answer.text("access_token"));
    assert_eq!(claims["cnf"]["jkt"], rig.client.thumbprint().to_string());
    // The next one is bound to the same key.
    let second = answer.text("refresh_token");
    assert_ne!(first, second);
    let stolen = rig.refresh(&rig.thief(), &second, &[]).await;
    assert_eq!(stolen.error(), bad("invalid_grant"));
    assert_eq!(rig.refresh(&rig.client, &second, &[]).await.status, 200);
}

#[tokio::test]
async fn a_refresh_token_that_is_used_twice_takes_its_family_with_it() {
    let rig = Rig::new().await;
    let first = rig.tokens().await.text("refresh_token");
    let second = rig
        .refresh(&rig.client, &first, &[])
        .await
        .text("refresh_token");
    // A thief without the key cannot do this to the client.
    let stolen = rig.refresh(&rig.thief(), &first, &[]).await;
    assert_eq!(stolen.error(), bad("invalid_grant"));
    let third = rig
        .refresh(&rig.client, &second, &[])
        .await
        .text("refresh_token");
    let again = rig.refresh(&rig.client, &first, &[]).await;
    assert_eq!(again.error(), bad("invalid_grant"));
    let after = rig.refresh(&rig.client, &third, &[]).await;
    assert_eq!(after.error(), bad("invalid_grant"));
}

#[tokio::test]
async fn of_concurrent_uses_of_a_refresh_token_one_gets_the_next() {
    let rig = Rig::new().await;
    let token = rig.tokens().await.text("refresh_token");
    let (one, two, three) = tokio::join!(
        rig.refresh(&rig.client, &token, &[]),
        rig.refresh(&rig.client, &token, &[]),
        rig.refresh(&rig.client, &token, &[]),
    );
    let good = [one, two, three]
        .into_iter()
        .filter(|answer| answer.status == 200);
    assert_eq!(good.count(), 1);
}

#[tokio::test]
async fn a_confidential_client_may_change_its_key() {
    let rig = Rig::new().await;
    let code = rig.code(&[("client_id", "api")]).await;
    let mut fields = fields_of(&code).to_vec();
    fields[1] = ("client_id", "api");
    fields.push(("client_secret", "s3cret"));
    let token = rig.token(&fields).await.text("refresh_token");
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "api"),
        ("client_secret", "s3cret"),
        ("refresh_token", &*token),
    ];
    let other = rig.thief();
    let answer = rig.token_of(&other, &fields).await;
    let claims = claims(&answer.text("access_token"));
    assert_eq!(claims["cnf"]["jkt"], other.thumbprint().to_string());
}

#[tokio::test]
async fn a_refresh_never_grants_more_than_the_user_did() {
    let rig = Rig::new().await;
    let token = rig.tokens().await.text("refresh_token");
    let more = rig
        .refresh(&rig.client, &token, &[("scope", "read openid")])
        .await;
    assert_eq!(more.error(), bad("invalid_scope"));
    let resource = [("resource", "https://other.test")];
    let other = rig.refresh(&rig.client, &token, &resource).await;
    assert_eq!(other.error(), bad("invalid_target"));
    let less = rig.refresh(&rig.client, &token, &[("scope", "read")]).await;
    assert_eq!(less.text("scope"), "read");
    // The next token is for all that the user has granted.
    let next = less.text("refresh_token");
    let all = rig.refresh(&rig.client, &next, &[]).await;
    assert_eq!(all.text("scope"), "read write");
}

#[tokio::test]
async fn a_client_revokes_its_own_tokens() {
    let rig = Rig::new().await;
    let token = rig.tokens().await.text("refresh_token");
    let of_another = [
        ("client_id", "api"),
        ("client_secret", "s3cret"),
        ("token", &*token),
    ];
    assert_eq!(rig.post("/revoke", &of_another).await.status, 200);
    let token = rig
        .refresh(&rig.client, &token, &[])
        .await
        .text("refresh_token");
    let own = [("client_id", "app"), ("token", &*token)];
    assert_eq!(rig.post("/revoke", &own).await.status, 200);
    let after = rig.refresh(&rig.client, &token, &[]).await;
    assert_eq!(after.error(), bad("invalid_grant"));
}
