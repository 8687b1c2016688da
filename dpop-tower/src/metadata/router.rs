use std::collections::BTreeSet;

use axum::Router;

use super::ResourceMetadataService;
use crate::{
    error::{ConfigError, ConfigErrorKind},
    verifier::Verifier,
};

/// Returns a router with the documents of a [configuration](crate::DpopConfig), or of a
/// [`DpopLayer`](crate::DpopLayer) or a [`Verifier`] with policies of its own.
///
/// Its routes are absolute, so [merge](Router::merge) it into the outermost router, behind the
/// [`layer`](Router::layer) that protects the others. See [`metadata`](crate::metadata) for an example, and
/// [`ResourceMetadataService`] for the responses.
///
/// # Errors
///
/// Returns the same error as [`ResourceMetadataService::new`], and one if a segment of a resource's path begins with
/// `:` or `*`, for which axum has no routes.
pub fn router<S>(protected_by: impl Into<Verifier>) -> Result<Router<S>, ConfigError>
where
    S: Clone + Send + Sync + 'static,
{
    let service = ResourceMetadataService::new(protected_by)?;
    let paths: BTreeSet<&str> = service.paths().collect();
    // axum panics if a segment begins like a capture of its older versions.
    let is_like_capture = |path: &&&str| path.contains("/:") || path.contains("/*");
    if let Some(path) = paths.iter().find(is_like_capture) {
        let message = format!(
            "axum has no route for {path:?}, since a segment begins with a colon or an asterisk: serve it with \
             `ResourceMetadataService`"
        );
        return Err(ConfigError::new(ConfigErrorKind::ResourceMetadata, message));
    }
    Ok((paths.into_iter()).fold(Router::new(), |router, path| {
        router.route_service(path, service.clone())
    }))
}
