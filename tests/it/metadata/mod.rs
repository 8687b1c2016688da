//! The metadata of a protected resource (RFC 9728): the document, its place, and the challenges that name it.

mod challenges;
mod document;
mod serving;
mod settings;

use dpop_tower::{
    DpopConfig, DpopConfigBuilder, PublicOrigin, Verifier,
    metadata::{ResourceMetadata, ResourceMetadataService},
    test_util::TestIssuer,
};
use http::Request;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::support::ORIGIN;

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// Returns a configuration with this metadata.
fn with(metadata: ResourceMetadata) -> DpopConfigBuilder {
    let origin = PublicOrigin::new(ORIGIN).unwrap();
    DpopConfig::builder(origin, TestIssuer::new().tokens()).resource_metadata(metadata)
}

/// Returns the document at the path of a resource without a path.
pub(crate) async fn document(protected_by: impl Into<Verifier>) -> Value {
    document_at(WELL_KNOWN, None, protected_by).await
}

/// Returns the document at a path, as a client of this host gets it.
async fn document_at(path: &str, host: Option<&str>, protected_by: impl Into<Verifier>) -> Value {
    let service = ResourceMetadataService::new(protected_by).unwrap();
    let request = Request::get(path);
    let request = match host {
        Some(host) => request.header("host", host),
        None => request,
    };
    let response = service.oneshot(request.body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    serde_json::from_str(response.body()).unwrap()
}
