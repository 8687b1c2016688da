//! Decides whether a request passes, by its method, URI, headers and peer.
//!
//! Every request goes through a [`Guard`]. The proxy is behind [`Guard::protect`]. The services that only
//! answer whether a request may pass call [`Guard::check`].

use std::{convert::Infallible, fmt, future::Future, sync::Arc};

use axum::body::Body;
use dpop_tower::{
    Dpop, DpopConfig, DpopLayer, RequestHead, Verifier,
    certificate::ClientCertificate,
    metadata::ResourceMetadataService,
    policy::PolicyTable,
    rejection::DefaultRejectionResponse,
    target::{CertificateHeader, PeerAddr},
    token::Readiness,
};
use http::{Extensions, HeaderMap, Request, Response, Uri};
use tower::{Layer as _, Service, ServiceExt as _};
use tracing::debug;

use crate::gateway::identity::Identity;

/// The checks of every request, and the headers that tell the upstream who called. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Guard {
    layer: DpopLayer,
    /// The same checks without a service behind them.
    verifier: Verifier,
    config: DpopConfig,
    /// `None` if the configuration has no metadata of the protected resource.
    metadata: Option<ResourceMetadataService>,
    identity: Arc<Identity>,
}

/// The verdict on a request.
#[derive(Debug)]
pub enum Verdict {
    /// The request may pass.
    Admitted {
        /// The headers that tell the upstream who called. Headers of the same names in the request have
        /// to be removed: see [`Identity::is_reserved`].
        identity: HeaderMap,
        /// Headers to add to the response of the upstream, such as a new nonce.
        response_headers: HeaderMap,
    },
    /// The request is rejected with this response.
    Rejected(Response<Body>),
}

/// Writes the settings in force: those of the configuration, and a line for each route.
impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.verifier.fmt(f)
    }
}

impl Guard {
    /// Returns the checks, which know the policies in force and what is often a mistake in them.
    pub(crate) const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Enforces this configuration and, if there is one, this table of policies.
    pub fn new(config: DpopConfig, policies: Option<&PolicyTable>, identity: Identity) -> Self {
        let layer = DpopLayer::new(config.clone());
        let layer = match policies {
            None => layer,
            Some(table) => layer.with_policy(table.clone()),
        };
        Self {
            verifier: layer.verifier(),
            metadata: ResourceMetadataService::new(&layer).ok(),
            layer,
            config,
            identity: Arc::new(identity),
        }
    }

    /// Returns what the upstream learns about the caller.
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// Fetches missing keys, starts to refresh keys that are due, and returns the state of each issuer's keys.
    pub async fn readiness(&self) -> Readiness {
        if let Err(error) = self.config.warm_up().await {
            debug!(target: "gateway", "{error}");
        }
        self.config.readiness()
    }

    /// Returns whether a request for this URI is for the metadata of the protected resource.
    pub fn has_metadata_at(&self, uri: &Uri) -> bool {
        (self.metadata.as_ref()).is_some_and(|metadata| metadata.is_for(uri))
    }

    /// Answers a request for the metadata of the protected resource, and nothing else. Everybody may read it.
    ///
    /// It depends on the method, the URI, the headers and the [peer](dpop_tower::target::PeerAddr).
    pub async fn metadata<B>(&self, request: Request<B>) -> Option<Response<Body>> {
        let metadata = self
            .metadata
            .as_ref()
            .filter(|it| it.is_for(request.uri()))?;
        match metadata.clone().oneshot(request).await {
            Ok(response) => Some(response.map(Body::from)),
            Err(never) => match never {},
        }
    }

    /// Returns `inner` behind the checks. `inner` has to be ready at all times.
    pub fn protect<S: Clone>(&self, inner: &S) -> Guarded<S> {
        Guarded(self.layer.layer(inner.clone()))
    }

    /// Returns the verdict on a request.
    ///
    /// It depends on the method, the URI as the client sent it, the headers, and three extensions: the
    /// [peer](dpop_tower::target::PeerAddr), the [`ClientCertificate`], and the [`CertificateHeader`] in which
    /// the proxy that asks has reported it instead. The proof of an admitted request counts as used.
    pub async fn check(&self, request: Request<()>) -> Verdict {
        let head = RequestHead::new(request.method(), request.uri(), request.headers());
        let head = match request.extensions().get::<PeerAddr>() {
            Some(peer) => head.peer(peer.0),
            None => head,
        };
        let extensions = request.extensions();
        let head = if let Some(header) = extensions.get::<CertificateHeader>() {
            head.client_certificate_in(header)
        } else if let Some(certificate) = extensions.get::<ClientCertificate>() {
            head.client_certificate(certificate)
        } else {
            head
        };
        match self.verifier.verify_request(head).await {
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

/// A service behind a [`Guard`].
#[derive(Clone)]
pub struct Guarded<S>(Dpop<S>);

impl<S> Guarded<S> {
    /// Passes the request to the service, or rejects it.
    pub fn call<B: 'static>(
        &self,
        request: Request<B>,
    ) -> impl Future<Output = Response<Body>> + use<S, B>
    where
        S: Service<Request<B>, Response = Response<Body>, Error = Infallible> + Clone,
    {
        let service = self.0.clone();
        async move {
            match service.oneshot(request).await {
                Ok(response) => response.map(Body::new),
                Err(never) => match never {},
            }
        }
    }
}

impl<S> fmt::Debug for Guarded<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded").finish_non_exhaustive()
    }
}
