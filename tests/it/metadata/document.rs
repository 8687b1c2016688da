//! The members of the document (RFC 9728 sections 2 and 3.2).

use dpop_tower::{
    DpopConfig, DpopLayer, Issuer, Policy, PolicyTable, PublicOrigin, Verifier,
    crypto::Algorithm,
    future::MaybeReady,
    metadata::ResourceMetadata,
    test_util::TestIssuer,
    token::{DynamicIssuers, IssuerSource, TokenError},
};
use serde_json::json;

use super::{document, document_at, with};
use crate::support::ORIGIN;

#[derive(Debug)]
struct NoIssuers;

impl IssuerSource for NoIssuers {
    fn issuer(&self, _: &str) -> MaybeReady<Result<Option<Issuer>, TokenError>> {
        MaybeReady::ready(Ok(None))
    }
}

#[tokio::test]
async fn by_default_it_says_what_the_configuration_does() {
    let config = with(ResourceMetadata::new()).build().unwrap();
    let expected = json!({
        "resource": "https://api.test",
        "authorization_servers": ["https://issuer.test"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "Ed25519", "EdDSA", "PS256", "RS256"],
        "dpop_bound_access_tokens_required": true,
    });
    assert_eq!(document(&config).await, expected);
}

#[tokio::test]
async fn each_setting_is_a_member() {
    let metadata = ResourceMetadata::new()
        .resource("https://api.test/")
        .authorization_servers(["https://b.test/tenant"])
        .scopes_supported(["read", "write", "read"])
        .resource_name("Orders")
        .resource_documentation("https://docs.test/orders?version=1")
        .resource_policy_uri("https://docs.test/policy")
        .resource_tos_uri("https://docs.test/terms")
        .parameter("resource_name#de", "Bestellungen")
        .parameter("authorization_details_types_supported", vec!["payment"])
        .parameter("jwks_uri", "https://api.test/jwks");
    let issuers = ["https://a.test", "https://b.test/tenant"]
        .map(|issuer| TestIssuer::new().issuer(issuer).tokens());
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), Vec::from(issuers))
        .algorithms([Algorithm::Ed25519])
        .policy(Policy::strict().require_scope("other"))
        .resource_metadata(metadata)
        .build()
        .unwrap();
    let expected = json!({
        "resource": "https://api.test/",
        "authorization_servers": ["https://b.test/tenant"],
        "scopes_supported": ["read", "write"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["Ed25519"],
        "dpop_bound_access_tokens_required": true,
        "resource_name": "Orders",
        "resource_documentation": "https://docs.test/orders?version=1",
        "resource_policy_uri": "https://docs.test/policy",
        "resource_tos_uri": "https://docs.test/terms",
        "resource_name#de": "Bestellungen",
        "authorization_details_types_supported": ["payment"],
        "jwks_uri": "https://api.test/jwks",
    });
    assert_eq!(document(&config).await, expected);
}

#[tokio::test]
async fn all_issuers_are_authorization_servers_in_their_order() {
    let issuers = ["https://b.test", "https://a.test"]
        .map(|issuer| TestIssuer::new().issuer(issuer).tokens());
    let config = DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), Vec::from(issuers))
        .resource_metadata(ResourceMetadata::new())
        .build()
        .unwrap();
    let servers = &document(&config).await["authorization_servers"];
    assert_eq!(*servers, json!(["https://b.test", "https://a.test"]));
}

#[tokio::test]
async fn issuers_that_are_not_known_in_advance_are_named_by_the_setting() {
    let built = |metadata| {
        let issuers = DynamicIssuers::new(NoIssuers);
        DpopConfig::builder(PublicOrigin::new(ORIGIN).unwrap(), issuers)
            .resource_metadata(metadata)
            .build()
            .unwrap()
    };
    let silent = document(&built(ResourceMetadata::new())).await;
    assert_eq!(silent.get("authorization_servers"), None);
    let told = ResourceMetadata::new().authorization_servers(["https://any.test"]);
    let servers = &document(&built(told)).await["authorization_servers"];
    assert_eq!(*servers, json!(["https://any.test"]));
}

#[tokio::test]
async fn an_empty_list_is_left_out() {
    let none: [&str; 0] = [];
    let metadata = ResourceMetadata::new()
        .authorization_servers(none)
        .scopes_supported(none);
    let policy = Policy::strict().require_scope("read");
    let config = with(metadata).policy(policy).build().unwrap();
    let document = document(&config).await;
    assert_eq!(document.get("authorization_servers"), None);
    assert_eq!(document.get("scopes_supported"), None);
}

/// Returns two members for a layer with this table.
async fn of_table(rows: impl IntoIterator<Item = Policy>) -> (bool, bool) {
    let mut table = PolicyTable::builder();
    for (number, policy) in rows.into_iter().enumerate() {
        table = table.route(format!("/{number}"), policy);
    }
    let table = table.otherwise(Policy::deny()).build().unwrap();
    let config = with(ResourceMetadata::new()).build().unwrap();
    let document = document(&DpopLayer::new(config).with_policy(table)).await;
    let is_true = |member: &str| document.get(member).is_some_and(|value| *value == true);
    (
        is_true("dpop_bound_access_tokens_required"),
        is_true("tls_client_certificate_bound_access_tokens"),
    )
}

#[tokio::test]
async fn dpop_is_required_only_if_no_policy_admits_another_token() {
    for (policies, expected) in [
        (vec![Policy::strict()], (true, false)),
        // Nobody needs a token for these.
        (
            vec![Policy::strict(), Policy::off(), Policy::deny()],
            (true, false),
        ),
        (vec![Policy::off()], (false, false)),
        (vec![Policy::strict(), Policy::optional()], (false, false)),
        (
            vec![Policy::strict(), Policy::report_only()],
            (false, false),
        ),
        (
            vec![
                Policy::strict(),
                Policy::strict().accept_certificate_bound(),
            ],
            (false, true),
        ),
        (
            vec![
                Policy::strict()
                    .require_certificate_bound()
                    .build()
                    .unwrap(),
            ],
            (true, true),
        ),
    ] {
        let told = format!("{policies:?}");
        assert_eq!(of_table(policies).await, expected, "{told}");
    }
}

#[tokio::test]
async fn the_scopes_are_those_of_all_policies_of_the_layer() {
    let table = PolicyTable::builder()
        .route("/a", Policy::strict().require_scope("a"))
        .route("/b", Policy::optional().require_any_scope(["b", "a", "c"]))
        .otherwise(Policy::strict().require_scope("d"))
        .build()
        .unwrap();
    let policy = Policy::strict().require_scope("of-the-configuration");
    let config = with(ResourceMetadata::new())
        .policy(policy)
        .build()
        .unwrap();
    let layer = DpopLayer::new(config.clone()).with_policy(table.clone());
    let expected = json!(["a", "b", "c", "d"]);
    assert_eq!(document(&layer).await["scopes_supported"], expected);
    let verifier = Verifier::new(config.clone()).with_policy(table);
    assert_eq!(document(verifier).await, document(&layer).await);
    let of_configuration = &document(&config).await["scopes_supported"];
    assert_eq!(*of_configuration, json!(["of-the-configuration"]));
}

#[tokio::test]
async fn rfc_9728_section_3_3_each_resource_has_a_document_with_its_own_identifier() {
    let metadata = ResourceMetadata::new()
        .resource("https://api.test/mcp")
        .resource("https://api.test/orders/v1");
    let config = with(metadata).build().unwrap();
    for (path, resource) in [
        ("/mcp", "https://api.test/mcp"),
        ("/orders/v1", "https://api.test/orders/v1"),
    ] {
        let path = format!("/.well-known/oauth-protected-resource{path}");
        let document = document_at(&path, None, &config).await;
        assert_eq!(document["resource"], resource);
    }
}
