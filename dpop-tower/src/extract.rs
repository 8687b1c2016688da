//! Extractors for axum: [`BoundToken`] and [`BearerToken`], with claims of your own type, and
//! [`Scopes`] and [`ProofKey`] for handlers that need no more than that.
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, routing::get};
//! use dpop_tower::{BoundToken, DpopConfig, DpopLayer, PublicOrigin};
//! use dpop_tower::test_util::{TestClient, TestIssuer};
//! use tower::ServiceExt as _;
//!
//! #[derive(serde::Deserialize)]
//! struct Claims {
//!     sub: String,
//! }
//!
//! async fn orders(token: BoundToken<Claims>) -> String {
//!     format!("{} with key {}", token.claims().sub, token.thumbprint())
//! }
//!
//! let issuer = TestIssuer::new();
//! let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer.tokens());
//! let app = Router::new()
//!     .route("/orders", get(orders))
//!     .layer(DpopLayer::new(config.build()?));
//!
//! let client = TestClient::new();
//! let token = issuer.token().subject("alice").bound_to(&client).mint();
//! let request = client.get("https://api.example.com/orders", &token);
//! let response = app.oneshot(request.map(axum::body::Body::from)).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Where to put the layer
//!
//! - `Router::layer` also covers the fallback of that router, `route_layer` only its routes. Prefer
//!   `layer`: with it a stranger cannot even tell which paths exist.
//! - Either covers what was added to the router before it. A route that is added after it, or comes with
//!   a later `merge` or `nest`, is open to everyone, so the layer comes last.
//! - Of a method router too, `layer` and `route_layer` cover what stands before them: of
//!   `get(a).layer(dpop).post(b)` the `POST` is open.
//! - Inside `nest`, the layer sees the path without its prefix; it uses axum's `OriginalUri` instead,
//!   so there is nothing to configure.
//! - A layer that rewrites the URI has to be inside this one. Any other layer, of axum or tower-http,
//!   may be inside or outside.
//! - A CORS layer has to be outside, so that preflight requests, which carry no token, get through.

use std::{any::type_name, fmt};

use axum::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{Extensions, StatusCode, request::Parts};
use serde::de::DeserializeOwned;

#[cfg(feature = "lifetime")]
use crate::lifetime::TokenLifetime;
use crate::{
    jwk::Thumbprint,
    middleware::Admitted,
    rejection::Rejection,
    token::{BearerToken, BoundToken, ClaimSet, ClaimsMismatch, TokenError, TokenErrorKind},
};

/// Why a handler did not get the token it asked for.
#[derive(Clone, Debug)]
pub struct TokenRejection(Reason);

#[derive(Clone, Debug)]
enum Reason {
    LayerMissing,
    Rejected {
        rejection: Rejection,
        nonce: Option<String>,
    },
}

impl TokenRejection {
    fn of(admitted: &Admitted, only_bound: bool, error: impl Into<TokenError>) -> Self {
        let (rejection, nonce) = admitted.reject(error, only_bound);
        Self(Reason::Rejected { rejection, nonce })
    }

    /// The status of the response: 500 if no [`DpopLayer`](crate::DpopLayer) was in front of the
    /// handler, 401 if the token is not of the kind, or does not have the claims, that the handler
    /// asks for.
    pub const fn status(&self) -> StatusCode {
        match &self.0 {
            Reason::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR,
            Reason::Rejected { .. } => StatusCode::UNAUTHORIZED,
        }
    }
}

impl fmt::Display for TokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Reason::LayerMissing => "no DpopLayer in front of the handler",
            Reason::Rejected { rejection, .. } => rejection.description(),
        })
    }
}

impl std::error::Error for TokenRejection {}

impl IntoResponse for TokenRejection {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        // That the layer is missing is none of the client's business.
        if let Reason::Rejected { rejection, nonce } = self.0 {
            rejection.write_headers(response.headers_mut(), nonce.as_deref());
            response.extensions_mut().insert(rejection);
        }
        response
    }
}

/// The extension `T`, or why there is none. A missing layer must never look like a request that was
/// admitted without a token.
fn extension<T: Clone + Send + Sync + 'static>(
    extensions: &Extensions,
) -> Result<(&Admitted, Option<&T>), TokenRejection> {
    match extensions.get::<Admitted>() {
        Some(admitted) => Ok((admitted, extensions.get::<T>())),
        None => {
            tracing::error!(
                extractor = type_name::<T>(),
                "no DpopLayer in front of a handler that extracts a token: add \
                 `.layer(DpopLayer::new(config))` to its router"
            );
            Err(TokenRejection(Reason::LayerMissing))
        }
    }
}

fn other_kind(admitted: &Admitted, only_bound: bool) -> TokenRejection {
    let kind = if only_bound {
        TokenErrorKind::SchemeNotAccepted
    } else {
        TokenErrorKind::UnboundNeeded
    };
    TokenRejection::of(admitted, only_bound, kind)
}

fn claims_mismatch<C>(
    admitted: &Admitted,
    only_bound: bool,
    mismatch: &ClaimsMismatch,
) -> TokenRejection {
    TokenRejection::of(admitted, only_bound, mismatch.explained(type_name::<C>()))
}

macro_rules! extractor {
    ($token:ident, only_bound: $only_bound:literal) => {
        /// Gives the token that the layer has verified, its claims read into `C`.
        impl<S: Send + Sync, C: DeserializeOwned> FromRequestParts<S> for $token<C> {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (admitted, token) = extension::<$token>(&parts.extensions)?;
                let token = token.ok_or_else(|| other_kind(admitted, $only_bound))?;
                token
                    .typed()
                    .map_err(|error| claims_mismatch::<C>(admitted, $only_bound, &error))
            }
        }

        /// `None` if the request was admitted with a token of the other kind, which only an
        /// [optional](crate::Policy::optional) layer does.
        impl<S: Send + Sync, C: DeserializeOwned> OptionalFromRequestParts<S> for $token<C> {
            type Rejection = TokenRejection;

            async fn from_request_parts(
                parts: &mut Parts,
                _: &S,
            ) -> Result<Option<Self>, TokenRejection> {
                let (admitted, token) = extension::<$token>(&parts.extensions)?;
                token
                    .map(|token| {
                        token
                            .typed()
                            .map_err(|error| claims_mismatch::<C>(admitted, $only_bound, &error))
                    })
                    .transpose()
            }
        }

        /// Gives the token that the layer has verified.
        impl<S: Send + Sync> FromRequestParts<S> for $token {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (admitted, token) = extension::<$token>(&parts.extensions)?;
                token
                    .cloned()
                    .ok_or_else(|| other_kind(admitted, $only_bound))
            }
        }

        /// `None` if the request was admitted with a token of the other kind, which only an
        /// [optional](crate::Policy::optional) layer does.
        impl<S: Send + Sync> OptionalFromRequestParts<S> for $token {
            type Rejection = TokenRejection;

            async fn from_request_parts(
                parts: &mut Parts,
                _: &S,
            ) -> Result<Option<Self>, TokenRejection> {
                let (_, token) = extension::<$token>(&parts.extensions)?;
                Ok(token.cloned())
            }
        }
    };
}

extractor!(BoundToken, only_bound: true);
extractor!(BearerToken, only_bound: false);

/// The scopes of the token that the request was admitted with, bound or not.
///
/// A route that needs a scope is better given a policy with [`Policy::require_scope`](crate::Policy::require_scope),
/// which also tells the client what is missing.
#[derive(Clone)]
pub struct Scopes(ClaimSet);

impl Scopes {
    /// The scopes, in the order of the token.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.scopes()
    }

    /// Whether the token has this scope.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|granted| granted == scope)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The thumbprint of the key that the client has proved to hold: the same for all of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProofKey(pub Thumbprint);

impl<S: Send + Sync> FromRequestParts<S> for Scopes {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (admitted, bound) = extension::<BoundToken>(&parts.extensions)?;
        let bearer = parts.extensions.get::<BearerToken>();
        bound
            .map(BoundToken::claims)
            .or(bearer.map(BearerToken::claims))
            .map(|claims| Self(claims.clone()))
            .ok_or_else(|| other_kind(admitted, true))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for ProofKey {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (admitted, token) = extension::<BoundToken>(&parts.extensions)?;
        token
            .map(|token| Self(*token.thumbprint()))
            .ok_or_else(|| other_kind(admitted, true))
    }
}

/// How long the token is good for that the request was admitted with, bound or not.
#[cfg(feature = "lifetime")]
impl<S: Send + Sync> FromRequestParts<S> for TokenLifetime {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (admitted, _) = extension::<Self>(&parts.extensions)?;
        Ok(Self::new(admitted.limit()))
    }
}

/// `None` if the request was admitted with a token that is bound to nothing.
impl<S: Send + Sync> OptionalFromRequestParts<S> for ProofKey {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, TokenRejection> {
        let (_, token) = extension::<BoundToken>(&parts.extensions)?;
        Ok(token.map(|token| Self(*token.thumbprint())))
    }
}
