//! Pages of other origins: what browsers are told of who may use the service.
//!
//! CORS decides which pages may read an answer, and nothing about who may call the service. Cookies are
//! never allowed to come along.

use std::{convert::Infallible, future::Future, time::Duration};

use axum::body::Body;
use dpop_tower::cors::{REQUEST_HEADERS, RESPONSE_HEADERS, cors_layer};
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{Any, CorsLayer};

/// Which pages, and what they may do.
#[derive(Clone, Debug)]
pub(crate) struct Cors(CorsLayer);

/// Which pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origins {
    /// All of them.
    Any,
    /// Those of these origins, as browsers write them.
    Listed(Vec<HeaderValue>),
}

impl Cors {
    /// Pages of `origins` may use `methods`, send `headers` and read `exposed` beside what DPoP needs.
    /// Browsers may remember that for `max_age`.
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

    /// The answer to a preflight, or that of `inner` with what the browser of the page needs.
    pub(crate) async fn answer<F>(
        &self,
        request: Request<Body>,
        mut inner: impl FnMut(Request<Body>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        // The layer would answer any `OPTIONS`; a preflight says more of itself than that.
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

    /// A response to a request that somebody else got, from a page of this origin.
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

/// As browsers send it (<https://fetch.spec.whatwg.org/#cors-preflight-request>).
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
