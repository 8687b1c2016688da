//! Extractors for axum: [`BoundToken`] and [`BearerToken`], with claims of your own type, and
//! [`Scopes`] for handlers that need no more than that.
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

use std::{any::type_name, fmt, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use serde::de::DeserializeOwned;

#[cfg(feature = "lifetime")]
use crate::lifetime::TokenLifetime;
use crate::{
    rejection::Rejection,
    token::{BearerToken, BoundToken, ClaimSet, ClaimsMismatch, TokenError, TokenErrorKind},
    verifier::{Admitted, RequestShape, Rule},
};

/// Why a handler did not get the token it asked for.
///
/// As a response it is what the layer would have answered: with the same headers, with the body of
/// [`with_rejection_response`](crate::DpopLayer::with_rejection_response), or of headers alone to a gRPC
/// request. The [`Rejection`] is in the response's extensions.
#[derive(Clone, Debug)]
pub struct TokenRejection(Reason);

#[derive(Clone, Debug)]
enum Reason {
    LayerMissing,
    Rejected(Box<Rejection>, Arc<Rule>),
}

impl TokenRejection {
    /// The status of the response: 500 if no [`DpopLayer`](crate::DpopLayer) was in front of the
    /// handler, 401 if the token is not of the kind, or does not have the claims, that the handler
    /// asks for. A gRPC response has 200, and says it in `grpc-status`.
    pub const fn status(&self) -> StatusCode {
        match &self.0 {
            Reason::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR,
            Reason::Rejected(rejection, _) => rejection.status(),
        }
    }
}

impl fmt::Display for TokenRejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Reason::LayerMissing => "no DpopLayer in front of the handler",
            Reason::Rejected(rejection, _) => rejection.description(),
        })
    }
}

impl std::error::Error for TokenRejection {}

impl IntoResponse for TokenRejection {
    fn into_response(self) -> Response {
        match self.0 {
            // That the layer is missing is none of the client's business.
            Reason::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Reason::Rejected(rejection, rule) => rule.respond(*rejection).map(Body::from),
        }
    }
}

/// What the layer has left in a request that a handler extracts a token from.
struct Inside<'a> {
    admitted: &'a Admitted,
    parts: &'a Parts,
}

impl Inside<'_> {
    fn reject(&self, only_bound: bool, error: impl Into<TokenError>) -> TokenRejection {
        let shape = RequestShape::of(&self.parts.method, &self.parts.headers);
        let (rejection, rule) = self.admitted.reject(error, only_bound, shape);
        TokenRejection(Reason::Rejected(Box::new(rejection), rule))
    }

    fn other_kind(&self, only_bound: bool) -> TokenRejection {
        let kind = if only_bound {
            TokenErrorKind::SchemeNotAccepted
        } else {
            TokenErrorKind::UnboundNeeded
        };
        self.reject(only_bound, kind)
    }

    fn claims_mismatch<C>(&self, only_bound: bool, mismatch: &ClaimsMismatch) -> TokenRejection {
        self.reject(only_bound, mismatch.explained(type_name::<C>()))
    }
}

/// The extension `T`, or why there is none. A missing layer must never look like a request that was
/// admitted without a token.
fn extension<T: Clone + Send + Sync + 'static>(
    parts: &Parts,
) -> Result<(Inside<'_>, Option<&T>), TokenRejection> {
    match parts.extensions.get::<Admitted>() {
        Some(admitted) => Ok((Inside { admitted, parts }, parts.extensions.get::<T>())),
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

macro_rules! extractor {
    ($token:ident, only_bound: $only_bound:literal) => {
        /// Gives the token that the layer has verified, its claims read into `C`.
        impl<S: Send + Sync, C: DeserializeOwned> FromRequestParts<S> for $token<C> {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (inside, token) = extension::<$token>(parts)?;
                let token = token.ok_or_else(|| inside.other_kind($only_bound))?;
                token
                    .typed()
                    .map_err(|error| inside.claims_mismatch::<C>($only_bound, &error))
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
                let (inside, token) = extension::<$token>(parts)?;
                token
                    .map(|token| {
                        token
                            .typed()
                            .map_err(|error| inside.claims_mismatch::<C>($only_bound, &error))
                    })
                    .transpose()
            }
        }

        /// Gives the token that the layer has verified.
        impl<S: Send + Sync> FromRequestParts<S> for $token {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (inside, token) = extension::<$token>(parts)?;
                token.cloned().ok_or_else(|| inside.other_kind($only_bound))
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
                let (_, token) = extension::<$token>(parts)?;
                Ok(token.cloned())
            }
        }
    };
}

extractor!(BoundToken, only_bound: true);
extractor!(BearerToken, only_bound: false);

/// An extractor for the scopes of the token, bound or not.
///
/// If a route requires a scope, set [`Policy::require_scope`](crate::Policy::require_scope), which also tells
/// the client which scope is missing.
#[derive(Clone)]
pub struct Scopes(ClaimSet);

impl Scopes {
    /// Returns the scopes in the order of the token.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.scopes()
    }

    /// Returns whether the token has this scope.
    pub fn contains(&self, scope: &str) -> bool {
        self.iter().any(|granted| granted == scope)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scopes {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (inside, bound) = extension::<BoundToken>(parts)?;
        let bearer = parts.extensions.get::<BearerToken>();
        bound
            .map(BoundToken::claims)
            .or(bearer.map(BearerToken::claims))
            .map(|claims| Self(claims.clone()))
            .ok_or_else(|| inside.other_kind(true))
    }
}

/// How long the token is good for that the request was admitted with, bound or not.
#[cfg(feature = "lifetime")]
impl<S: Send + Sync> FromRequestParts<S> for TokenLifetime {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (inside, _) = extension::<Self>(parts)?;
        Ok(Self::new(inside.admitted.limit()))
    }
}
