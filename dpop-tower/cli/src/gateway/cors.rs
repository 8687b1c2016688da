//! CORS: which pages of other origins may use the service.
//!
//! CORS decides which pages may read a response. It does not restrict who may call the service.
//! Requests with cookies are never allowed.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::body::Body;
use dpop_tower::cors::{REQUEST_HEADERS, RESPONSE_HEADERS, cors_layer};
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{Any, CorsLayer};

/// The allowed pages, and what they may do.
#[derive(Clone, Debug)]
pub(crate) struct Cors(CorsLayer);

/// The allowed origins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    /// Every origin.
    Any,
    /// These origins, as browsers write them.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    /// Allows pages of `origins` to use `methods`, send `headers` and read `exposed`, in addition to
    /// what DPoP needs. Browsers may cache this for `max_age`.
    pub(crate) fn new(
        origins: Origins,
        methods: Vec<Method>,
        headers: &[HeaderName],
        exposed: &[HeaderName],
        max_age: Duration,
    ) -> Self {
        let layer = match origins {
            Origins::Any => cors_layer(Any),
            Origins::Listed(listed) => cors_layer(listed),
        };
        let sent = [&REQUEST_HEADERS[..], &[header::CONTENT_TYPE], headers].concat();
        let read = [&RESPONSE_HEADERS[..], exposed].concat();
        Self(
            layer
                .allow_methods(methods)
                .allow_headers(without_repetitions(sent))
                .expose_headers(without_repetitions(read))
                .max_age(max_age),
        )
    }

    /// Answers a preflight, or adds the CORS headers to the response of `inner`.
    pub(crate) async fn answer<F>(
        &self,
        request: Request<Body>,
        mut inner: impl FnMut(Request<Body>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        // `CorsLayer` answers every `OPTIONS` request, even one that is not a preflight.
        if request.method() == Method::OPTIONS && !is_preflight(&request) {
            return inner(request).await;
        }
        let service = service_fn(|request| {
            let answer = inner(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        match self.0.layer(service).oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Adds the CORS headers to a response for another proxy's request, made by a page of `origin`.
    pub(crate) async fn mark(
        &self,
        origin: Option<&HeaderValue>,
        response: Response<Body>,
    ) -> Response<Body> {
        let mut request = Request::new(Body::empty());
        if let Some(origin) = origin {
            let origin = origin.clone();
            request.headers_mut().insert(header::ORIGIN, origin);
        }
        let mut response = Some(response);
        let inner = |_| std::future::ready(response.take().unwrap_or_default());
        self.answer(request, inner).await
    }
}

/// Whether this is a preflight as browsers send it
/// (<https://fetch.spec.whatwg.org/#cors-preflight-request>).
fn is_preflight(request: &Request<Body>) -> bool {
    let headers = request.headers();
    headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn without_repetitions(names: Vec<HeaderName>) -> Vec<HeaderName> {
    let mut kept: Vec<HeaderName> = Vec::new();
    for name in names {
        if !kept.contains(&name) {
            kept.push(name);
        }
    }
    kept
}
