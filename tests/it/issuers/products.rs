//! Tokens in the shapes of real issuers, with the settings of docs/issuers.md.

use std::{fs, path::Path};

use axum::{Json, Router, routing::get};
use dpop_tower::{
    BoundToken, DpopConfig, DpopLayer, Issuer, Policy, PublicOrigin,
    test_util::{TestClient, TestIssuer},
    token::BearerToken,
};
use http::{Extensions, Request, header::AUTHORIZATION};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::issuer;
use crate::support::{ORIGIN, URL, Why, send};

const API: &str = "https://api.example.com";

/// A setting as the documentation shows it, and what it does.
type Setting = (&'static str, fn(Issuer) -> Issuer);

macro_rules! settings {
    ($(.$setter:ident($($argument:expr),+))*) => {
        &[$((
            concat!(".", stringify!($setter), "(", stringify!($($argument),+), ")"),
            |tokens: Issuer| tokens.$setter($($argument),+),
        )),*]
    };
}

/// An issuer of a kind, and its tokens.
struct Product {
    /// The heading in the documentation.
    name: &'static str,
    issuer: &'static str,
    audience: &'static str,
    settings: &'static [Setting],
    typ: Option<&'static str>,
    /// The claims of an access token, apart from its times, `iss` and `cnf`.
    access: Value,
    /// Whether it is bound to a DPoP key. A bearer token needs the mode `optional`.
    is_bound: bool,
    scopes: &'static [&'static str],
    client: Option<&'static str>,
    /// Other tokens of the same issuer. Each is tested with its own audience and with that of the API.
    others: Vec<(Option<&'static str>, Value)>,
}

fn keycloak() -> Product {
    let other = |typ| json!({"aud": "shop", "azp": "shop", "sub": "alice", "typ": typ, "sid": "s"});
    let mut logout = other("Logout");
    logout["events"] = json!({"http://schemas.openid.net/event/backchannel-logout": {}});
    Product {
        name: "Keycloak",
        issuer: "https://idp.example.com/realms/shop",
        audience: API,
        settings: settings! {
            .accept_typ_jwt_if("typ", ["Bearer", "DPoP"])
            .client_id_claim("azp")
        },
        typ: Some("JWT"),
        access: json!({
            "jti": "onrtac:1", "aud": [API, "account"], "sub": "alice", "typ": "DPoP", "azp": "shop", "sid": "s",
            "acr": "1", "realm_access": {"roles": ["customer"]}, "scope": "openid orders:read",
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![
            (Some("JWT"), other("ID")),
            (Some("JWT"), other("Refresh")),
            (Some("JWT"), other("Offline")),
            (Some("JWT"), other("Serialized-ID")),
            (Some("JWT"), logout.clone()),
            (Some("logout+jwt"), logout),
        ],
    }
}

fn auth0() -> Product {
    Product {
        name: "Auth0",
        issuer: "https://shop.eu.auth0.com/",
        audience: API,
        settings: &[],
        typ: Some("at+jwt"),
        access: json!({
            "aud": [API, "https://shop.eu.auth0.com/userinfo"], "sub": "auth0|alice", "jti": "j",
            "client_id": "shop", "scope": "openid orders:read", "permissions": ["orders:read"],
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![
            (
                Some("JWT"),
                json!({"aud": "shop", "sub": "auth0|alice", "nonce": "n", "email": "a@b.test"}),
            ),
            // An access token in the profile that is the default.
            (
                Some("JWT"),
                json!({"aud": [API], "sub": "auth0|alice", "azp": "shop", "scope": "orders:read"}),
            ),
        ],
    }
}

fn okta() -> Product {
    Product {
        name: "Okta",
        issuer: "https://shop.okta.com/oauth2/default",
        audience: API,
        settings: settings! {
            .accept_typ_jwt_if("token_use", ["access"])
            .scope_claim("scp")
            .client_id_claim("cid")
        },
        typ: None,
        access: json!({
            "ver": 1, "jti": "AT.j", "aud": API, "cid": "shop", "uid": "u", "scp": ["openid", "orders:read"],
            "auth_time": 1_799_999_000, "sub": "alice@example.com", "token_use": "access",
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![(
            None,
            json!({
                "ver": 1, "jti": "ID.j", "aud": "shop", "sub": "u", "idp": "i", "nonce": "n",
                "amr": ["pwd"], "auth_time": 1_799_999_000, "at_hash": "h",
            }),
        )],
    }
}

/// Tokens of Okta that have a type of their own.
fn okta_typed() -> Product {
    let mut product = okta();
    product.settings = settings! {
        .accept_typ("application/okta-internal-at+jwt")
        .scope_claim("scp")
        .client_id_claim("cid")
    };
    product.typ = Some("application/okta-internal-at+jwt");
    if let Some(claims) = product.access.as_object_mut() {
        claims.remove("token_use");
    }
    product
}

const ENTRA_API: &str = "8a6f3f2e-6d2c-4f57-9d43-5a3f0d1a7b11";

fn entra() -> Product {
    Product {
        name: "Microsoft Entra",
        issuer: "https://login.microsoftonline.com/72f988bf-0000-4000-8000-2d7cd011db47/v2.0",
        audience: ENTRA_API,
        settings: settings! {
            .accept_typ_jwt_if("idtyp", ["user", "app"])
            .scope_claim("scp")
            .client_id_claim("azp")
        },
        typ: Some("JWT"),
        access: json!({
            "aud": ENTRA_API, "sub": "pairwise", "oid": "o", "tid": "72f988bf-0000-4000-8000-2d7cd011db47",
            "azp": "shop", "azpacr": "1", "idtyp": "user", "scp": "orders:read orders:write", "ver": "2.0",
            "roles": ["Orders.Admin"], "uti": "u",
        }),
        is_bound: false,
        scopes: &["orders:read", "orders:write"],
        client: Some("shop"),
        others: vec![(
            Some("JWT"),
            json!({
                "aud": ENTRA_API, "sub": "pairwise", "oid": "o", "nonce": "n", "ver": "2.0", "uti": "u",
                "preferred_username": "alice@example.com", "roles": ["Orders.Admin"],
            }),
        )],
    }
}

fn pingfederate() -> Product {
    Product {
        name: "PingFederate",
        issuer: "https://sso.example.com",
        audience: API,
        settings: &[],
        typ: Some("at+jwt"),
        access: json!({
            "aud": API, "sub": "alice", "client_id": "shop", "scope": ["openid", "orders:read"], "jti": "j",
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![(
            None,
            json!({"aud": "shop", "sub": "alice", "jti": "j", "nonce": "n"}),
        )],
    }
}

fn pingone() -> Product {
    Product {
        name: "PingOne",
        issuer: "https://auth.pingone.eu/5f2d1a1e-0000-4000-8000-0c5b3e8e3f10/as",
        audience: API,
        settings: &[],
        typ: Some("at+jwt"),
        access: json!({
            "aud": [API], "sub": "alice", "client_id": "shop", "scope": "orders:read", "sid": "s", "acr": "Login",
        }),
        is_bound: false,
        scopes: &["orders:read"],
        client: Some("shop"),
        others: vec![(
            None,
            json!({"aud": "shop", "sub": "alice", "acr": "Login", "amr": ["pwd"], "sid": "s"}),
        )],
    }
}

fn zitadel() -> Product {
    Product {
        name: "ZITADEL",
        issuer: "https://shop.zitadel.cloud",
        audience: "252855702316398078",
        settings: settings! { .accept_typ_jwt_if("token_use", ["access"]) },
        typ: Some("JWT"),
        access: json!({
            "aud": ["252856053933356542", "252855702316398078"], "sub": "345377791925026818", "jti": "j",
            "client_id": "252856053933356542", "token_use": "access",
            "urn:zitadel:iam:org:project:roles": {"customer": {"1": "shop"}},
        }),
        is_bound: false,
        scopes: &[],
        client: Some("252856053933356542"),
        others: vec![(
            Some("JWT"),
            json!({
                "aud": ["252856053933356542", "252855702316398078"], "sub": "345377791925026818",
                "azp": "252856053933356542", "client_id": "252856053933356542", "at_hash": "h", "amr": ["pwd"],
            }),
        )],
    }
}

fn curity() -> Product {
    Product {
        name: "Curity",
        issuer: "https://idsvr.example.com/oauth/v2/oauth-anonymous",
        audience: API,
        settings: settings! { .accept_typ_jwt_if("purpose", ["access_token"]) },
        typ: Some("JWT"),
        access: json!({
            "jti": "j", "delegationId": "d", "scope": "openid orders:read", "sub": "alice", "aud": API,
            "purpose": "access_token", "client_id": "shop",
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![(
            Some("JWT"),
            json!({
                "jti": "j", "delegationId": "d", "sub": "alice", "aud": "shop", "azp": "shop", "purpose": "id",
                "nonce": "n", "at_hash": "h",
            }),
        )],
    }
}

fn oidc_provider() -> Product {
    Product {
        name: "oidc-provider",
        issuer: "https://op.example.com",
        audience: API,
        settings: &[],
        typ: Some("at+jwt"),
        access: json!({
            "jti": "j", "sub": "alice", "scope": "orders:read", "client_id": "shop", "aud": API,
        }),
        is_bound: true,
        scopes: &["orders:read"],
        client: Some("shop"),
        others: vec![
            (
                None,
                json!({"sub": "alice", "aud": "shop", "nonce": "n", "at_hash": "h"}),
            ),
            (Some("JWT"), json!({"sub": "alice", "aud": "shop"})),
        ],
    }
}

fn glewlwyd() -> Product {
    Product {
        name: "Glewlwyd",
        issuer: "https://sso.example.com/api/oidc",
        audience: API,
        settings: &[],
        typ: Some("at+jwt"),
        access: json!({
            "client_id": "shop", "aud": API, "sub": "alice", "jti": "j", "type": "access_token", "nbf": 1_799_999_990,
            "scope": "openid orders:read",
        }),
        is_bound: true,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![
            (
                None,
                json!({"aud": "shop", "azp": "shop", "sub": "alice", "nonce": "n"}),
            ),
            (
                Some("JWT"),
                json!({"aud": "shop", "azp": "shop", "sub": "alice", "nonce": "n"}),
            ),
        ],
    }
}

fn cognito() -> Product {
    Product {
        name: "Amazon Cognito",
        issuer: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Shop12345",
        audience: API,
        settings: settings! { .accept_typ_jwt_if("token_use", ["access"]) },
        typ: None,
        access: json!({
            "sub": "a", "cognito:groups": ["customers"], "token_use": "access", "scope": "orders/read", "aud": API,
            "auth_time": 1_799_999_000, "jti": "j", "client_id": "shop", "username": "alice", "version": 2,
        }),
        is_bound: false,
        scopes: &["orders/read"],
        client: Some("shop"),
        others: vec![(
            None,
            json!({
                "sub": "a", "aud": "shop", "token_use": "id", "cognito:username": "alice", "at_hash": "h", "jti": "j",
            }),
        )],
    }
}

fn hydra() -> Product {
    Product {
        name: "Ory Hydra",
        issuer: "https://auth.example.com/",
        audience: API,
        settings: settings! {
            .accept_typ_jwt_if("token_use", ["access"])
            .scope_claim("scp")
        },
        typ: Some("JWT"),
        access: json!({
            "aud": [API], "client_id": "shop", "ext": {}, "jti": "j", "scp": ["openid", "orders:read"], "sub": "alice",
            "token_use": "access",
        }),
        is_bound: false,
        scopes: &["openid", "orders:read"],
        client: Some("shop"),
        others: vec![(
            Some("JWT"),
            json!({"aud": ["shop"], "sub": "alice", "at_hash": "h", "sid": "s"}),
        )],
    }
}

/// An issuer that follows RFC 9068, with its scopes in this form.
fn rfc_9068(name: &'static str, issuer: &'static str, scope: &Value) -> Product {
    Product {
        access: json!({"aud": API, "client_id": "shop", "jti": "j", "scope": scope, "sub": "alice"}),
        name,
        issuer,
        ..oidc_provider()
    }
}

fn products() -> Vec<Product> {
    vec![
        keycloak(),
        auth0(),
        okta(),
        okta_typed(),
        entra(),
        pingfederate(),
        pingone(),
        zitadel(),
        curity(),
        oidc_provider(),
        glewlwyd(),
        hydra(),
        rfc_9068(
            "Spring Authorization Server",
            "https://auth.example.com",
            &json!(["orders:read"]),
        ),
        rfc_9068(
            "Duende IdentityServer",
            "https://auth.example.com",
            &json!(["orders:read"]),
        ),
        rfc_9068("Authlete", "https://as.example.com", &json!("orders:read")),
        cognito(),
    ]
}

/// What became of a token: the reason of its rejection, or its scopes and its client.
type Outcome = Result<(Vec<String>, Option<String>), &'static str>;

impl Product {
    fn test_issuer(&self) -> TestIssuer {
        issuer(self.issuer).audience(self.audience)
    }

    async fn present(
        &self,
        settings: impl IntoIterator<Item = &Setting>,
        typ: Option<&str>,
        claims: &Value,
        is_bound: bool,
    ) -> Outcome {
        let issuer = self.test_issuer();
        let mut tokens = issuer.tokens();
        for (_, setting) in settings {
            tokens = setting(tokens);
        }
        let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), tokens)
            .clock(super::clock())
            .policy(if is_bound {
                Policy::strict()
            } else {
                Policy::optional()
            })
            .build()
            .unwrap();
        let router = Router::new()
            .route("/orders", get(orders))
            .layer(DpopLayer::new(config));
        let client = TestClient::new().clock(super::clock());
        let mut token = issuer.token();
        for name in ["sub", "client_id", "jti", "aud"] {
            token = token.without_claim(name);
        }
        for (name, value) in claims.as_object().unwrap() {
            token = token.claim(name, value.clone());
        }
        token = match typ {
            Some(typ) => token.header("typ", typ),
            None => token.without_header("typ"),
        };
        let request = if is_bound {
            client.get(URL, &token.bound_to(&client).mint())
        } else {
            let credentials = format!("Bearer {}", token.mint());
            let request = Request::get("/orders").header(AUTHORIZATION, credentials);
            request.body(()).unwrap()
        };
        let response = send(router, request).await;
        if let Some(why) = Why::of(&response) {
            return Err(why.reason);
        }
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Ok(serde_json::from_slice(&body).unwrap())
    }
}

async fn orders(extensions: Extensions) -> Json<Value> {
    let bound = extensions.get::<BoundToken>().map(BoundToken::claims);
    let bearer = extensions.get::<BearerToken>().map(BearerToken::claims);
    let claims = bound.or(bearer).unwrap();
    let scopes: Vec<&str> = claims.scopes().collect();
    Json(json!([scopes, claims.client_id()]))
}

#[tokio::test]
async fn access_tokens_of_each_issuer_are_admitted_with_its_settings() {
    for product in products() {
        let (typ, access) = (product.typ, &product.access);
        let all = product
            .present(product.settings, typ, access, product.is_bound)
            .await;
        let scopes = product.scopes.iter().map(|scope| (*scope).to_owned());
        let expected = (scopes.collect(), product.client.map(str::to_owned));
        assert_eq!(all, Ok(expected), "{}", product.name);
        // Each setting is needed.
        for (left_out, _) in product.settings {
            let settings = product.settings.iter().filter(|(it, _)| it != left_out);
            let without = product.present(settings, typ, access, product.is_bound);
            assert_ne!(without.await, all, "{}: {left_out}", product.name);
        }
    }
}

#[tokio::test]
async fn id_tokens_and_others_of_each_issuer_are_rejected() {
    for product in products() {
        for (typ, claims) in &product.others {
            // An audience that is this API's, and a key, as if the issuer had bound the token.
            let mut ours = claims.clone();
            ours["aud"] = json!([product.audience]);
            for claims in [&ours, claims] {
                for is_bound in [true, false] {
                    let outcome = product
                        .present(product.settings, *typ, claims, is_bound)
                        .await;
                    let what = format!("{}: {typ:?} {claims}", product.name);
                    assert_eq!(outcome, Err("token_typ_invalid"), "{what}");
                }
            }
        }
    }
}

/// A marked token whose mark has another JSON type is not an access token.
#[tokio::test]
async fn marks_of_another_json_type_are_rejected() {
    for product in products() {
        for claim in ["typ", "token_use", "idtyp", "purpose"] {
            if product.typ == Some("at+jwt") || product.access.get(claim).is_none() {
                continue;
            }
            let mark = &product.access[claim];
            for wrong in [json!([mark]), json!({"a": mark}), json!(1), json!(null)] {
                let mut claims = product.access.clone();
                claims[claim] = wrong;
                let settings = product.settings;
                let outcome = product.present(settings, product.typ, &claims, product.is_bound);
                assert_eq!(outcome.await, Err("token_typ_invalid"), "{}", product.name);
            }
        }
    }
}

/// The section of an issuer in the documentation.
fn section(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/issuers.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, rest) = page.split_once(&format!("\n### {name}\n")).expect(name);
    let end = rest.find("\n##").unwrap_or(rest.len());
    rest[..end].to_owned()
}

#[test]
fn the_documentation_has_the_settings_of_each_issuer() {
    for product in products() {
        let section = section(product.name);
        let blocks: Vec<&str> = section.split("```").skip(1).step_by(2).collect();
        let rust = blocks
            .iter()
            .find(|block| block.starts_with("rust"))
            .unwrap();
        let toml = blocks
            .iter()
            .find(|block| block.starts_with("toml"))
            .unwrap();
        for text in [product.issuer, product.audience] {
            assert!(
                rust.contains(&format!("{text:?}")),
                "{}: {text}",
                product.name
            );
            assert!(
                toml.contains(&format!("{text:?}")),
                "{}: {text}",
                product.name
            );
        }
        for (setting, _) in product.settings {
            let setting = setting.trim_start_matches('.');
            assert!(section.contains(setting), "{}: {setting}", product.name);
        }
    }
}

/// Every setter that a section shows is one that the test of this issuer uses.
#[test]
fn every_setting_in_the_documentation_is_tested() {
    for product in products() {
        let section = section(product.name);
        let tested: Vec<&str> = (products().iter())
            .filter(|other| other.name == product.name)
            .flat_map(|other| other.settings.iter().map(|(setting, _)| *setting))
            .collect();
        let blocks = section.split("```").skip(1).step_by(2);
        for block in blocks.filter(|block| block.starts_with("rust")) {
            for line in block
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with('.'))
            {
                let setting = line.trim_end_matches(';');
                let is_tested = tested.contains(&setting) || setting.starts_with(".audience(");
                assert!(is_tested, "{}: {setting}", product.name);
            }
        }
    }
}
