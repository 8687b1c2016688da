use std::{fmt, sync::Arc};

use tower_layer::Layer;

use super::{ApiOrigin, DpopClient, DpopClientService, TokenSource, nonce::NewestNonce};
use crate::proof::Origin;

/// Bytes of a request's body that are kept by default.
const DEFAULT_RESEND_LIMIT: usize = 64 * 1024;

/// Sends the access token with every request, and a proof for it that is made for this request.
///
/// See the [module](super#calling-a-protected-api) for an example.
#[derive(Clone)]
pub struct DpopClientLayer {
    pub(super) shared: Arc<Shared>,
    pub(super) resend_limit: usize,
}

/// What all clones of a layer share.
pub(super) struct Shared {
    pub(super) client: DpopClient,
    pub(super) tokens: Box<dyn TokenSource>,
    pub(super) apis: Vec<Arc<Api>>,
}

/// An origin that gets the token, with the nonce of its server.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) origin: Origin,
    pub(super) nonce: NewestNonce,
}

impl DpopClientLayer {
    /// Returns a layer that sends tokens of this source to this API only.
    ///
    /// The tokens have to be bound to the key of the client. A single token that is never renewed is an
    /// [`AccessToken`](super::AccessToken). Clones of the layer and their services share the nonces of the
    /// servers, so make one layer for each API and clone it.
    pub fn new(client: DpopClient, tokens: impl TokenSource, origin: ApiOrigin) -> Self {
        let apis = origin.into_origins().map(|origin| {
            Arc::new(Api {
                origin,
                nonce: NewestNonce::default(),
            })
        });
        Self {
            shared: Arc::new(Shared {
                client,
                tokens: Box::new(tokens),
                apis: apis.collect(),
            }),
            resend_limit: DEFAULT_RESEND_LIMIT,
        }
    }

    /// Sets how many bytes of a request's body are kept until the response arrives. Defaults to 64 KiB.
    ///
    /// If a server requires a nonce after it has received more than that, the caller gets the response of the
    /// server, and the next request has the nonce. With 0, only requests without a body are sent again.
    #[must_use]
    pub const fn resend_limit(mut self, bytes: usize) -> Self {
        self.resend_limit = bytes;
        self
    }
}

impl<S> Layer<S> for DpopClientLayer {
    type Service = DpopClientService<S>;

    fn layer(&self, inner: S) -> DpopClientService<S> {
        DpopClientService::new(inner, self.clone())
    }
}

impl fmt::Debug for DpopClientLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins: Vec<_> = self.shared.apis.iter().map(|api| &api.origin).collect();
        f.debug_struct("DpopClientLayer")
            .field("client", &self.shared.client)
            .field("tokens", &self.shared.tokens)
            .field("origins", &origins)
            .field("resend_limit", &self.resend_limit)
            .finish()
    }
}
