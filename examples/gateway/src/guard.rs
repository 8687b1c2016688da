//! The door: method, URI, headers and peer in, a verdict out.
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

/// A layer for each issuer, and what the upstream learns of who was let in. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Guard {
    doors: Vec<Door<DpopLayer>>,
    identity: Arc<Identity>,
}

#[derive(Clone, Debug)]
struct Door<T> {
    issuer: Arc<str>,
    way: T,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Verdict {
    /// It may pass.
    LetIn {
        /// The headers that tell the upstream who called. Those of the same names that came with the
        /// request have to be dropped: see [`Identity::is_reserved`].
        identity: HeaderMap,
        /// Headers for the client, to be added to those of the upstream: a new nonce, perhaps.
        response_headers: HeaderMap,
    },
    /// It may not; this is the answer.
    Refused(Response<Body>),
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
        let door = |(issuer, config): (&str, Arc<DpopConfig>)| {
            let layer = DpopLayer::new(config);
            Door {
                issuer: issuer.into(),
                way: match policies {
                    None => layer,
                    Some(table) => layer.with_policies(table.clone()),
                },
            }
        };
        Self {
            doors: configs.into_iter().map(door).collect(),
            identity: Arc::new(identity),
        }
    }

    /// What the upstream learns.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// `inner`, for those that are let in. It has to be ready at all times.
    pub fn protect<S: Clone>(&self, inner: &S) -> Guarded<S> {
        let door = |door: &Door<DpopLayer>| Door {
            issuer: Arc::clone(&door.issuer),
            way: door.way.layer(inner.clone()),
        };
        Guarded {
            doors: self.doors.iter().map(door).collect(),
        }
    }

    /// The verdict on a request, of which the method, the URI as the client sent it, the headers and,
    /// in the extensions, the [peer](dpop_tower::target::PeerAddr) count. A proof that is let in
    /// counts as used.
    pub async fn check(&self, request: Request<()>) -> Verdict {
        let at_the_door = AtTheDoor {
            identity: Arc::clone(&self.identity),
        };
        let guarded = self.protect(&at_the_door);
        let mut response = guarded.call(request).await;
        match response.extensions_mut().remove::<LetIn>() {
            Some(LetIn(identity)) => Verdict::LetIn {
                identity,
                response_headers: std::mem::take(response.headers_mut()),
            },
            None => Verdict::Refused(response),
        }
    }
}

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct Guarded<S> {
    doors: Vec<Door<Dpop<S>>>,
}

impl<S> Guarded<S> {
    /// Passes the request on, or refuses it.
    pub fn call<B: 'static>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + use<S, B>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
    {
        let iss = match self.doors.as_slice() {
            // There is nothing to choose.
            [] | [_] => None,
            _ => issuer::unverified(request.headers()),
        };
        let named = iss.and_then(|iss| self.doors.iter().find(|door| *door.issuer == *iss));
        let door = named.or(self.doors.first()).map(|door| door.way.clone());
        async move {
            match door {
                Some(door) => match door.oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                },
                // Whoever configures no issuer lets nobody in.
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
struct AtTheDoor {
    identity: Arc<Identity>,
}

#[derive(Clone)]
struct LetIn(HeaderMap);

impl Service<Request<()>> for AtTheDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        let mut response = Response::new(Body::empty());
        let let_in = LetIn(self.identity.headers(request.extensions()));
        response.extensions_mut().insert(let_in);
        ready(Ok(response))
    }
}
