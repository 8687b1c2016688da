//! Services that discover the issuer accept its tokens.

use axum::{Router, routing::get};
use dpop_cli::gateway::Settings as GatewaySettings;
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, PublicOrigin,
    token::{ClientSecret, Introspection, Tokens},
};
use tempfile::TempDir;

use super::*;
use crate::{Seen, mirror, serve, serve_gateway};

const API: &str = "https://api.test/orders";

/// Returns the address of a service that accepts these tokens.
async fn service(tokens: impl Into<Tokens>) -> SocketAddr {
    async fn orders(token: BoundToken) -> String {
        let claims = token.claims();
        format!(
            "{} {:?}",
            claims.subject().unwrap(),
            claims.scopes().collect::<Vec<_>>()
        )
    }
    let origin = PublicOrigin::new(AUDIENCE).unwrap();
    let config = DpopConfig::builder(origin, tokens).build().unwrap();
    let router = Router::new()
        .route("/orders", get(orders))
        .layer(DpopLayer::new(config));
    let url = serve(router).await;
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

async fn call(service: SocketAddr, client: &TestClient, token: &str) -> (u16, String) {
    let request = client.get(API, token).map(|()| axum::body::Body::empty());
    let response = send(service, request).await;
    let status = response.status().as_u16();
    (status, crate::text(response).await)
}

#[tokio::test]
async fn a_service_that_discovers_the_issuer_accepts_its_tokens_with_their_key() {
    for algorithm in ["ES256", "Ed25519", "PS256"] {
        let rig = Rig::with(json!({ "signing_algorithm": algorithm })).await;
        let issuer = Issuer::discover(rig.idp.url()).audience(AUDIENCE);
        let service = service(issuer.danger_allow_plain_http()).await;
        let code = rig.code(&[("scope", "read")]).await;
        let token = rig.redeem(&rig.client, &code).await.text("access_token");
        let answer = call(service, &rig.client, &token).await;
        assert_eq!(answer, (200, "alice [\"read\"]".to_owned()), "{algorithm}");
        assert_eq!(call(service, &rig.thief(), &token).await.0, 401);
        let other = [
            OF_API[0],
            OF_API[1],
            OF_API[2],
            ("resource", "https://other.test"),
        ];
        let for_another = rig.token(&other).await.text("access_token");
        assert_eq!(call(service, &rig.client, &for_another).await.0, 401);
    }
}

#[tokio::test]
async fn the_gateway_accepts_tokens_of_the_issuer() {
    let rig = Rig::new().await;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("gateway.toml");
    let file = format!(
        "listen = '127.0.0.1:0'\nupstream = '{}'\npublic_origins = ['{AUDIENCE}']\n[[issuer]]\n\
         url = '{}'\naudiences = ['{AUDIENCE}']\ndanger_allow_plain_http = true\n",
        serve(mirror()).await,
        rig.idp.url()
    );
    std::fs::write(&path, file).unwrap();
    let gateway = serve_gateway(GatewaySettings::read(&path).unwrap()).await;
    let token = rig.token(&OF_API).await.text("access_token");
    let request = rig
        .client
        .get(API, &token)
        .map(|()| axum::body::Body::empty());
    let response = send(gateway, request).await;
    assert_eq!(response.status(), 200);
    let seen = Seen(crate::json(response).await);
    assert_eq!(seen.header("x-dpop-subject"), Some("api"));
}

#[tokio::test]
async fn an_opaque_token_is_accepted_until_it_is_revoked() {
    let rig = Rig::with(json!({ "access_token_format": "opaque" })).await;
    let tokens = || {
        Introspection::discover(rig.idp.url())
            .client_secret_basic("api", ClientSecret::new("s3cret").unwrap())
            .audience(AUDIENCE)
            .danger_allow_plain_http()
    };
    let service_before = service(tokens()).await;
    let token = rig.token(&OF_API).await.text("access_token");
    assert!(!token.contains('.'), "{token}");
    let answer = call(service_before, &rig.client, &token).await;
    assert_eq!(answer, (200, "api [\"read\", \"write\"]".to_owned()));
    assert_eq!(call(service_before, &rig.thief(), &token).await.0, 401);

    let of_api = [OF_API[1], OF_API[2], ("token", &*token)];
    let about = rig.post("/introspect", &of_api).await.json();
    assert_eq!(
        (&about["active"], &about["token_type"]),
        (&json!(true), &json!("DPoP"))
    );
    assert_eq!(about["cnf"]["jkt"], rig.client.thumbprint().to_string());
    // A public client learns nothing.
    let of_app = [("client_id", "app"), ("token", &*token)];
    assert_eq!(rig.post("/introspect", &of_app).await.status, 401);

    assert_eq!(rig.post("/revoke", &of_api).await.status, 200);
    let about = rig.post("/introspect", &of_api).await.json();
    assert_eq!(about, json!({ "active": false }));
    let service_after = service(tokens()).await;
    assert_eq!(call(service_after, &rig.client, &token).await.0, 401);
}
