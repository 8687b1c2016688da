//! The route: method, URI, headers and peer in, a verdict out.
//!
//! Whatever passes requests on goes through a [`Guard`]: the proxy has it in front of itself
//! ([`Guard::protect`]), and what only answers whether a request may pass asks [`Guard::check`].

use std::{
    convert::Infallible,
    fmt,
    future::{Future, Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use dpop_tower::{Dpop, DpopConfig, DpopLayer, policy::PolicyTable};
use http::{HeaderMap, Request, Response};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::identity::Identity;

mod issuer;

/// A layer for each issuer, and what the upstream learns of who was admitted. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Guard {
    routes: Vec<IssuerRoute<DpopLayer>>,
    identity: Arc<Identity>,
}

#[derive(Clone, Debug)]
struct IssuerRoute<T> {
    issuer: Arc<str>,
    way: T,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may pass.
    Admitted {
        /// The headers that tell the upstream who called. Those of the same names that came with the
        /// request have to be dropped: see [`Identity::is_reserved`].
        identity: HeaderMap,
        /// Headers for the client, to be added to those of the upstream: a new nonce, perhaps.
        response_headers: HeaderMap,
    },
    /// It may not; this is the answer.
    Rejected(Response<Body>),
}

impl Guard {
    /// Enforces this configuration, with this table of policies if there is one.
    pub fn new(
        config: impl Into<Arc<DpopConfig>>,
        policies: Option<&PolicyTable>,
        identity: Identity,
    ) -> Self {
        Self::of_issuers([("", config.into())], policies, identity)
    }

    /// Enforces for the tokens of each issuer its configuration. They have to share a replay store
    /// and the nonces.
    ///
    /// Which one it is, the token says, unverified; a token of none of them gets to the first. That
    /// is safe, since each verifies everything, `iss` included.
    pub fn of_issuers<'i>(
        configs: impl IntoIterator<Item = (&'i str, Arc<DpopConfig>)>,
        policies: Option<&PolicyTable>,
        identity: Identity,
    ) -> Self {
        let route = |(issuer, config): (&str, Arc<DpopConfig>)| {
            let layer = DpopLayer::new(config);
            IssuerRoute {
                issuer: issuer.into(),
                way: match policies {
                    None => layer,
                    Some(table) => layer.with_policy(table.clone()),
                },
            }
        };
        Self {
            routes: configs.into_iter().map(route).collect(),
            identity: Arc::new(identity),
        }
    }

    /// What the upstream learns.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// `inner`, for those that are admitted. It has to be ready at all times.
    pub fn protect<S: Clone>(&self, inner: &S) -> Guarded<S> {
        let route = |route: &IssuerRoute<DpopLayer>| IssuerRoute {
            issuer: Arc::clone(&route.issuer),
            way: route.way.layer(inner.clone()),
        };
        Guarded {
            routes: self.routes.iter().map(route).collect(),
        }
    }

    /// The verdict on a request, of which the method, the URI as the client sent it, the headers and,
    /// in the extensions, the [peer](dpop_tower::target::PeerAddr) count. A proof that is admitted
    /// counts as used.
    pub async fn check(&self, request: Request<()>) -> Verdict {
        let endpoint = Endpoint {
            identity: Arc::clone(&self.identity),
        };
        let guarded = self.protect(&endpoint);
        let mut response = guarded.call(request).await;
        match response.extensions_mut().remove::<Admitted>() {
            Some(Admitted(identity)) => Verdict::Admitted {
                identity,
                response_headers: std::mem::take(response.headers_mut()),
            },
            None => Verdict::Rejected(response),
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct Guarded<S> {
    routes: Vec<IssuerRoute<Dpop<S>>>,
}

impl<S> Guarded<S> {
    /// Passes the request on, or rejects it.
    pub fn call<B: 'static>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + use<S, B>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
    {
        let iss = match self.routes.as_slice() {
            // There is nothing to choose.
            [] | [_] => None,
            _ => issuer::unverified(request.headers()),
        };
        let named = iss.and_then(|iss| self.routes.iter().find(|route| *route.issuer == *iss));
        let route = named.or(self.routes.first()).map(|route| route.way.clone());
        async move {
            match route {
                Some(route) => match route.oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                },
                // Whoever configures no issuer admits nobody.
                None => crate::proxy::problem(http::StatusCode::SERVICE_UNAVAILABLE),
            }
        }
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}

/// Stands where the upstream would, and notes who gets there.
#[derive(Clone)]
struct Endpoint {
    identity: Arc<Identity>,
}

#[derive(Clone)]
struct Admitted(HeaderMap);

impl Service<Request<()>> for Endpoint {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        let admitted = Admitted(self.identity.headers(request.extensions()));
        response.extensions_mut().insert(admitted);
        ready(Ok(response))
    }
}
