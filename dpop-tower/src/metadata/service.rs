use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use tower_service::Service;

use super::document;
use crate::{
    config::Resource,
    error::{ConfigError, ConfigErrorKind},
    middleware::{original_uri, peer_address},
    target::{TargetRequest, TargetUri},
    verifier::Verifier,
};

/// How long caches may keep the document.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=600");

/// A service that answers with the metadata of a protected resource; see [`metadata`](crate::metadata).
///
/// It answers any path but those of its documents with 404, and any method but `GET` and `HEAD` with 405. It is always
/// ready. Clones are cheap.
///
/// ```
/// # #[cfg(feature = "test-util")]
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dpop_tower::{
///     DpopConfig, PublicOrigin,
///     metadata::{ResourceMetadata, ResourceMetadataService},
/// };
/// # use dpop_tower::test_util::TestIssuer;
/// use http::Request;
/// use tower::ServiceExt;
///
/// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
/// let config = DpopConfig::builder(origin, issuer)
///     .resource_metadata(ResourceMetadata::new())
///     .build()?;
/// let metadata = ResourceMetadataService::new(&config)?;
///
/// let request = Request::get("/.well-known/oauth-protected-resource").body(())?;
/// assert!(metadata.is_for(request.uri()));
/// let response = metadata.oneshot(request).await?;
/// assert!(response.body().contains(r#""resource":"https://api.example.com""#));
/// # Ok(()) }
/// # #[cfg(not(feature = "test-util"))] fn main() {}
/// ```
#[derive(Clone)]
pub struct ResourceMetadataService(Arc<Shared>);

struct Shared {
    /// Each resource with its document.
    documents: Vec<(Resource, String)>,
    target: Arc<dyn TargetUri>,
}

impl ResourceMetadataService {
    /// Returns the service of a [configuration](crate::DpopConfig), or of a [`DpopLayer`](crate::DpopLayer) or a
    /// [`Verifier`] with policies of its own.
    ///
    /// The policies decide which scopes the document names, and whether it says that DPoP is required. Give a
    /// reference to what protects the routes.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if the configuration has no
    /// [`resource_metadata`](crate::DpopConfigBuilder::resource_metadata).
    pub fn new(protected_by: impl Into<Verifier>) -> Result<Self, ConfigError> {
        let verifier = protected_by.into();
        let config = verifier.config();
        let Some(resources) = &config.resources else {
            let message =
                "there is no metadata to serve: set `DpopConfigBuilder::resource_metadata`";
            return Err(ConfigError::new(ConfigErrorKind::ResourceMetadata, message));
        };
        let documents = resources.resources.iter().map(|resource| {
            let text = document::text(&verifier, resources, resource);
            (resource.clone(), text)
        });
        Ok(Self(Arc::new(Shared {
            documents: documents.collect(),
            target: Arc::clone(&config.target),
        })))
    }

    /// Returns whether a request for this URI gets a document, and not 404.
    ///
    /// Only an exact path is that of a document.
    pub fn is_for(&self, uri: &Uri) -> bool {
        self.paths().any(|path| path == uri.path())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let Shared { documents, .. } = &*self.0;
        documents
            .iter()
            .map(|(resource, _)| &*resource.metadata_path)
    }

    /// Returns the document at this URI. If several origins have one at the same path, it is that of the origin that
    /// the client called, or else the first one.
    fn document(&self, request: TargetRequest<'_>) -> Option<&str> {
        let Shared { documents, target } = &*self.0;
        let path = request.uri().path();
        let mut here = (documents.iter())
            .filter(|(resource, _)| resource.metadata_path == path)
            .peekable();
        let (_, first) = here.peek()?;
        let called = target.expected(request).ok();
        let own = called.and_then(|uri| here.find(|(it, _)| it.is_on_origin_of(&uri)));
        Some(own.map_or(first, |(_, document)| document))
    }

    fn answer<B>(&self, mut request: Request<B>) -> Response<String> {
        let peer = peer_address(request.extensions_mut());
        let uri = original_uri(&request);
        let target = TargetRequest::new(uri, request.headers(), peer);
        let Some(document) = self.document(target) else {
            return response(StatusCode::NOT_FOUND);
        };
        match *request.method() {
            Method::GET | Method::HEAD => {}
            // Clients of MCP send a header of their own, for which browsers ask first.
            Method::OPTIONS if is_preflight(&request) => return preflight(),
            _ => {
                let mut response = response(StatusCode::METHOD_NOT_ALLOWED);
                let allowed = HeaderValue::from_static("GET, HEAD");
                response.headers_mut().insert(header::ALLOW, allowed);
                return response;
            }
        }
        let mut response = response(StatusCode::OK);
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
        headers.insert(header::CONTENT_LENGTH, document.len().into());
        if request.method() == Method::GET {
            document.clone_into(response.body_mut());
        }
        response
    }
}

/// Returns an empty response that every page may read.
fn response(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    let any = HeaderValue::from_static("*");
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
    response
}

fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response<String> {
    let mut response = response(StatusCode::NO_CONTENT);
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ] {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

impl<B> Service<Request<B>> for ResourceMetadataService {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request)))
    }
}

impl fmt::Debug for ResourceMetadataService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let documents = self.0.documents.iter();
        let urls = documents.map(|(resource, _)| &resource.url);
        f.debug_tuple("ResourceMetadataService")
            .field(&urls.collect::<Vec<_>>())
            .finish()
    }
}
