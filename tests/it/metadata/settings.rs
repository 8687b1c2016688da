//! Settings that are not usable, and what the text of a configuration says.

use std::sync::Arc;

use dpop_tower::{
    ConfigErrorKind, DpopConfig, PublicOrigin,
    metadata::{ResourceMetadata, ResourceMetadataService},
    proof::{Htu, HtuError, Origin},
    target::{ForwardedTarget, TargetRequest, TargetUri},
    test_util::TestIssuer,
};
use serde_json::{Value, json};

use super::with;
use crate::support::ORIGIN;

/// Returns the text of the error for this metadata.
fn error(metadata: ResourceMetadata) -> String {
    let error = with(metadata).build().unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::ResourceMetadata, "{error}");
    error.to_string()
}

#[test]
fn rfc_9728_section_1_2_a_resource_is_an_https_url_without_query_and_fragment() {
    for (wrong, told) in [
        ("https://api.test/a#b", "fragment"),
        ("https://api.test#", "fragment"),
        ("https://api.test/a?b=c", "query"),
        ("http://api.test/a", "https URL"),
        ("api.test", "https URL"),
        ("/a", "https URL"),
        ("urn:api", "https URL"),
        ("", "https URL"),
        ("https://user@api.test/", "https URL"),
        ("https://API.test/a", "write \"https://api.test/a\""),
        ("https://api.test:443/a", "write \"https://api.test/a\""),
        ("https://api.test/a/../b", "write \"https://api.test/b\""),
        ("https://api.test/%61", "write \"https://api.test/a\""),
        ("https://api.test/{id}", "character"),
        ("https://api.test/a|b", "character"),
        ("https://api.test/\"a", "https URL"),
        ("https://api.test/a b", "https URL"),
        ("https://api.test/a\r\nb", "https URL"),
    ] {
        let text = error(ResourceMetadata::new().resource(wrong));
        assert!(text.contains(told), "{wrong:?}: {text}");
    }
}

#[test]
fn a_resource_is_on_a_public_origin_and_given_once() {
    let elsewhere = ResourceMetadata::new().resource("https://api.example/mcp");
    let text = error(elsewhere);
    assert!(
        text.contains("not on a public origin: https://api.test"),
        "{text}"
    );
    let twice = ["https://api.test/", "https://api.test"];
    let twice = twice
        .into_iter()
        .fold(ResourceMetadata::new(), ResourceMetadata::resource);
    assert!(error(twice).contains("given twice"));
}

#[test]
fn plain_http_is_for_this_machine_and_named_danger() {
    let built = |origin: &str, issuer: &str, metadata: ResourceMetadata| {
        let tokens = TestIssuer::new().issuer(issuer).tokens();
        DpopConfig::builder(PublicOrigin::new(origin).unwrap(), tokens)
            .resource_metadata(metadata)
            .build()
    };
    let plain = ResourceMetadata::new;
    let danger = || plain().danger_allow_plain_http();
    for (origin, issuer) in [
        ("http://127.0.0.1:8080", "http://127.0.0.1:9000"),
        ("http://[::1]:8080", "https://issuer.test"),
        ("http://localhost", "http://localhost:9000"),
    ] {
        assert!(built(origin, issuer, plain()).is_err(), "{origin}");
        let built = built(origin, issuer, danger());
        assert!(built.is_ok(), "{built:?}");
    }
    for (origin, issuer) in [
        ("http://api.test", "https://issuer.test"),
        ("http://128.0.0.1", "https://issuer.test"),
        ("http://localhost.example", "https://issuer.test"),
        ("https://api.test", "http://issuer.test"),
    ] {
        assert!(
            built(origin, issuer, danger()).is_err(),
            "{origin} {issuer}"
        );
    }
}

#[test]
fn rfc_8414_section_2_an_authorization_server_is_an_https_url_and_a_configured_issuer() {
    let unknown = ResourceMetadata::new().authorization_servers(["https://other.test"]);
    assert!(error(unknown).contains("not a configured issuer"));
    for issuer in [
        "accounts.test",
        "https://issuer.test/?a=b",
        "https://issuer.test/#a",
        "https://u@issuer.test/",
    ] {
        let built = |metadata| {
            let tokens = TestIssuer::new().issuer(issuer).tokens();
            let origin = PublicOrigin::new(ORIGIN).unwrap();
            DpopConfig::builder(origin, tokens)
                .resource_metadata(metadata)
                .build()
        };
        let text = built(ResourceMetadata::new()).unwrap_err().to_string();
        assert!(text.contains("authorization_servers"), "{text}");
        assert!(!text.contains("u@"), "{text}");
        // Clients find it in another way.
        let none: [&str; 0] = [];
        let silent = ResourceMetadata::new().authorization_servers(none);
        assert!(built(silent).is_ok());
    }
}

#[test]
fn pages_are_https_urls_and_scopes_have_no_spaces() {
    type Set = fn(ResourceMetadata, &'static str) -> ResourceMetadata;
    let pages: [(&str, Set); 3] = [
        ("resource_documentation", |it, url| {
            it.resource_documentation(url)
        }),
        ("resource_policy_uri", |it, url| it.resource_policy_uri(url)),
        ("resource_tos_uri", |it, url| it.resource_tos_uri(url)),
    ];
    for (name, set) in pages {
        for wrong in [
            "",
            "docs",
            "/docs",
            "http://docs.test",
            "javascript:x",
            "https://",
        ] {
            let text = error(set(ResourceMetadata::new(), wrong));
            assert!(text.contains(name), "{wrong:?}: {text}");
        }
    }
    for wrong in ["", "a b", "\"", "\\", "ä", "a\n"] {
        let text = error(ResourceMetadata::new().scopes_supported([wrong]));
        assert!(text.contains("not a scope"), "{text}");
    }
}

#[test]
fn a_member_that_the_configuration_decides_cannot_be_set() {
    for (name, value, told) in [
        (
            "dpop_bound_access_tokens_required",
            json!(false),
            "other settings",
        ),
        (
            "authorization_servers",
            json!(["https://evil.test"]),
            "other settings",
        ),
        ("resource", json!("https://evil.test"), "other settings"),
        ("scopes_supported", json!(["a"]), "other settings"),
        (
            "bearer_methods_supported",
            json!(["query"]),
            "other settings",
        ),
        (
            "dpop_signing_alg_values_supported",
            json!(["none"]),
            "other settings",
        ),
        (
            "tls_client_certificate_bound_access_tokens",
            json!(true),
            "other settings",
        ),
        ("signed_metadata", json!("e30.e30."), "other settings"),
        ("resource_name#de", Value::Null, "no value"),
        (
            "authorization_details_types_supported",
            json!([]),
            "no element",
        ),
    ] {
        let text = error(ResourceMetadata::new().parameter(name, value));
        assert!(text.contains(name) && text.contains(told), "{text}");
    }
    let twice = ResourceMetadata::new()
        .resource_name("a")
        .resource_name("b");
    assert!(error(twice).contains("set twice"));
}

/// A target whose origins are not known in advance.
#[derive(Debug)]
struct Any(Origin);

impl TargetUri for Any {
    fn expected(&self, request: TargetRequest<'_>) -> Result<Htu, HtuError> {
        self.0.with_path(request.uri().path())
    }
}

#[test]
fn where_the_origins_are_not_known_the_resource_has_to_be_given() {
    let built = |metadata| {
        let target = Arc::new(Any(Origin::parse(ORIGIN).unwrap()));
        DpopConfig::builder(target, TestIssuer::new().tokens())
            .resource_metadata(metadata)
            .build()
    };
    let text = built(ResourceMetadata::new()).unwrap_err().to_string();
    assert!(text.contains("`ResourceMetadata::resource`"), "{text}");
    let given = ResourceMetadata::new().resource("https://any.test/mcp");
    assert!(built(given).is_ok());
}

#[test]
fn a_configuration_without_metadata_has_no_document() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let config = DpopConfig::builder(origin, TestIssuer::new().tokens());
    let config = config.build().unwrap();
    let error = ResourceMetadataService::new(&config).unwrap_err();
    assert_eq!(error.kind(), ConfigErrorKind::ResourceMetadata);
    assert!(error.to_string().contains("resource_metadata"), "{error}");
    assert!(dpop_tower::metadata::router::<()>(&config).is_err());
}

#[test]
fn the_text_of_a_configuration_has_each_resource_and_its_metadata() {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    let origin = origin.with_alias("https://api.example:8443").unwrap();
    let target = ForwardedTarget::x_forwarded(origin, ["10.0.0.0/8"]).unwrap();
    let config = DpopConfig::builder(target, TestIssuer::new().tokens())
        .resource_metadata(ResourceMetadata::new())
        .build()
        .unwrap();
    let expected = "\
resource              https://api.test
  metadata            https://api.test/.well-known/oauth-protected-resource
resource              https://api.example:8443
  metadata            https://api.example:8443/.well-known/oauth-protected-resource
";
    let text = config.to_string();
    assert!(text.contains(expected), "{text}");
    let service = ResourceMetadataService::new(&config).unwrap();
    let debug = format!("{service:?}");
    assert!(
        debug.contains("https://api.example:8443/.well-known/"),
        "{debug}"
    );
}
