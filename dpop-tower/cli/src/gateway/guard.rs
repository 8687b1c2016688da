//! The route: method, URI, headers and peer in, a verdict out.
//!
//! Whatever passes requests on goes through a [`Guard`]: the proxy has it in front of itself
//! ([`Guard::protect`]), and what only answers whether a request may pass asks [`Guard::check`].

use std::{convert::Infallible, fmt, future::Future, sync::Arc};

use axum::body::Body;
use dpop_tower::{
    Dpop, DpopConfig, DpopLayer, RequestHead, Verifier, policy::PolicyTable,
    rejection::DefaultRejectionResponse, target::PeerAddr, token::Readiness,
};
use http::{Extensions, HeaderMap, Request, Response, StatusCode};
use tokio::task::JoinSet;
use tower::{Layer as _, Service, ServiceExt as _};
use tracing::debug;

use crate::gateway::identity::Identity;

mod issuer;

/// A layer for each issuer, and what the upstream learns of who was admitted. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Guard {
    routes: Vec<IssuerRoute<Checks>>,
    identity: Arc<Identity>,
}

#[derive(Clone, Debug)]
struct IssuerRoute<T> {
    issuer: Arc<str>,
    way: T,
}

/// The same checks with a service behind them and without.
#[derive(Clone, Debug)]
struct Checks {
    layer: DpopLayer,
    verifier: Verifier,
    config: Arc<DpopConfig>,
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
            let layer = DpopLayer::new(Arc::clone(&config));
            let verifier = Verifier::new(Arc::clone(&config));
            let (layer, verifier) = match policies {
                None => (layer, verifier),
                Some(table) => (
                    layer.with_policy(table.clone()),
                    verifier.with_policy(table.clone()),
                ),
            };
            IssuerRoute {
                issuer: issuer.into(),
                way: Checks {
                    layer,
                    verifier,
                    config,
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

    /// What is at hand of the keys of each issuer, once those that are missing have been fetched, or not, and
    /// the fetching of those that are due has begun.
    pub async fn readiness(&self) -> Readiness {
        let mut warm_ups = JoinSet::new();
        for route in &self.routes {
            let config = Arc::clone(&route.way.config);
            warm_ups.spawn(async move { config.warm_up().await });
        }
        while let Some(warm_up) = warm_ups.join_next().await {
            if let Ok(Err(error)) = warm_up {
                debug!(target: "gateway", "{error}");
            }
        }
        (self.routes.iter())
            .map(|route| route.way.config.readiness())
            .fold(Readiness::default(), Readiness::and)
    }

    /// `inner`, for those that are admitted. It has to be ready at all times.
    pub fn protect<S: Clone>(&self, inner: &S) -> Guarded<S> {
        let route = |route: &IssuerRoute<Checks>| IssuerRoute {
            issuer: Arc::clone(&route.issuer),
            way: route.way.layer.layer(inner.clone()),
        };
        Guarded {
            routes: self.routes.iter().map(route).collect(),
        }
    }

    /// The verdict on a request, of which the method, the URI as the client sent it, the headers and,
    /// in the extensions, the [peer](dpop_tower::target::PeerAddr) count. A proof that is admitted
    /// counts as used.
    pub async fn check(&self, request: Request<()>) -> Verdict {
        let Some(checks) = chosen(&self.routes, request.headers()) else {
            return Verdict::Rejected(nobody());
        };
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let head = match request.extensions().get::<PeerAddr>() {
            Some(peer) => head.peer(peer.0),
            None => head,
        };
        match checks.verifier.verify_request(head).await {
            dpop_tower::Verdict::Admitted(admitted) => {
                let response_headers = admitted.response_headers();
                let mut extensions = Extensions::new();
                admitted.record(&mut extensions);
                Verdict::Admitted {
                    identity: self.identity.headers(&extensions),
                    response_headers,
                }
            }
            dpop_tower::Verdict::Rejected(rejection) => {
                let response = rejection.into_response(&DefaultRejectionResponse);
                Verdict::Rejected(response.map(Body::from))
            }
        }
    }
}

/// What is for the issuer that the token names, or the first.
fn chosen<'r, T>(routes: &'r [IssuerRoute<T>], headers: &HeaderMap) -> Option<&'r T> {
    let iss = match routes {
        // There is nothing to choose.
        [] | [_] => None,
        _ => issuer::unverified(headers),
    };
    let named = iss.and_then(|iss| routes.iter().find(|route| *route.issuer == *iss));
    named.or(routes.first()).map(|route| &route.way)
}

/// Anyone who configures no issuer admits nobody.
fn nobody() -> Response<Body> {
    crate::gateway::proxy::problem(StatusCode::SERVICE_UNAVAILABLE)
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
        let route = chosen(&self.routes, request.headers()).cloned();
        async move {
            match route {
                Some(route) => match route.oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                },
                None => nobody(),
            }
        }
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}
