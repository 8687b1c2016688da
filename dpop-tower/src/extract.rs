//! Extractors for axum: [`BoundToken`], [`BearerToken`], [`CertificateBoundToken`] and [`Scopes`].
//!
//! | extractor | handlers that use it get |
//! |---|---|
//! | `BoundToken` | the token, with all claims; other requests are rejected with 401 |
//! | `BoundToken<Claims>` | the token, with the claims in your own type |
//! | `Option<BoundToken>` | the token if it is bound to the client's key |
//! | `BearerToken`, `Option<BearerToken>` | the token if it is not bound; only [optional] layers admit it |
//! | `CertificateBoundToken`, `Option<CertificateBoundToken>` | the token if it is bound to the client's certificate and to no key; only layers that [accept] such tokens admit it |
//! | [`Scopes`] | the scopes of any kind of token |
//! | `Result<BoundToken, TokenRejection>` | the token, or the reason why there is none |
//!
//! [optional]: crate::Policy::optional
//! [accept]: crate::Policy::accept_certificate_bound
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
//! # Both kinds of token
//!
//! A layer with [`Policy::optional`](crate::Policy::optional) also admits unbound tokens. A handler tells
//! the two kinds apart with `Option`:
//!
//! ```
//! # #[cfg(feature = "test-util")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{Router, body::Body, routing::get};
//! use dpop_tower::{BearerToken, BoundToken, DpopConfig, DpopLayer, Policy, PublicOrigin};
//! use dpop_tower::test_util::TestIssuer;
//! use http::Request;
//! use tower::ServiceExt as _;
//!
//! async fn orders(bound: Option<BoundToken>, bearer: Option<BearerToken>) -> &'static str {
//!     match (bound, bearer) {
//!         (Some(_), _) => "all orders",
//!         (None, Some(_)) => "the last order",
//!         (None, None) => "nothing",
//!     }
//! }
//!
//! let issuer = TestIssuer::new();
//! let config = DpopConfig::builder(PublicOrigin::new("https://api.example.com")?, issuer.tokens());
//! let layer = DpopLayer::new(config.build()?).with_policy(Policy::optional());
//! let app = Router::new().route("/orders", get(orders)).layer(layer);
//!
//! let bearer = format!("Bearer {}", issuer.token().mint());
//! let request = Request::get("/orders").header("authorization", bearer).body(Body::empty())?;
//! let response = app.oneshot(request).await?;
//! let body = axum::body::to_bytes(response.into_body(), 1024).await?;
//! assert_eq!(body, "the last order");
//! # Ok(()) }
//! # #[cfg(not(feature = "test-util"))] fn main() {}
//! ```
//!
//! # Where to put the layer
//!
//! - `Router::layer` also covers the fallback of the router, and `route_layer` covers only its routes.
//!   Prefer `layer`, so that strangers cannot find out which paths exist.
//! - Add the layer last. It covers only what was added to the router before it. A route that is added
//!   later, also with `merge` or `nest`, is open to everyone.
//! - The same is true of a method router. In `get(a).layer(dpop).post(b)`, the `POST` is open.
//! - Inside `nest`, you need not configure the prefix. The layer uses axum's `OriginalUri`.
//! - Put a layer that rewrites the URI inside this one. Any other layer of axum or tower-http can be
//!   inside or outside.
//! - Put a CORS layer outside, so that it answers preflight requests, which have no token.

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
    rejection::{Rejection, TokenRequestRejection},
    token::{
        BearerToken, BoundToken, CertificateBoundToken, ClaimSet, ClaimsMismatch, TokenError,
        TokenErrorKind,
    },
    verifier::{Admitted, RequestShape, Rule, TokenRequest},
};

/// The rejection of the extractors.
///
/// It makes the same response as the layer: with the same headers, and with the body of
/// [`with_rejection_response`](crate::DpopLayer::with_rejection_response). A gRPC request gets a response
/// without a body. The [`Rejection`] is in the response's extensions.
///
/// ```
/// use axum::{http::StatusCode, response::{IntoResponse, Response}};
/// use dpop_tower::{BoundToken, extract::TokenRejection};
///
/// /// Shows a public page to everyone whose token is not bound.
/// async fn page(token: Result<BoundToken, TokenRejection>) -> Response {
///     match token {
///         Ok(token) => format!("key {}", token.thumbprint()).into_response(),
///         Err(rejection) if rejection.status() == StatusCode::UNAUTHORIZED => "hello".into_response(),
///         Err(rejection) => rejection.into_response(),
///     }
/// }
/// # let _: axum::Router = axum::Router::new().route("/", axum::routing::get(page));
/// ```
#[derive(Clone, Debug)]
pub struct TokenRejection(Reason);

#[derive(Clone, Debug)]
enum Reason {
    LayerMissing,
    Rejected(Box<Rejection>, Arc<Rule>),
}

impl TokenRejection {
    /// Returns the status of the response.
    ///
    /// | status | reason |
    /// |---|---|
    /// | 401 | the token is not of the kind that the handler needs, or its claims do not fit the type |
    /// | 500 | the layer in front of the handler is missing: [`DpopLayer`](crate::DpopLayer) or [`TokenEndpointLayer`](crate::token_endpoint::TokenEndpointLayer) |
    ///
    /// A gRPC response has the status 200 and an equivalent code in `grpc-status`.
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
            Reason::LayerMissing => "no layer of dpop-tower in front of the handler",
            Reason::Rejected(rejection, _) => rejection.description(),
        })
    }
}

impl std::error::Error for TokenRejection {}

impl IntoResponse for TokenRejection {
    fn into_response(self) -> Response {
        match self.0 {
            // A client need not know that the layer is missing.
            Reason::LayerMissing => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            Reason::Rejected(rejection, rule) => rule.respond(*rejection).map(Body::from),
        }
    }
}

/// The verdict of the layer, and the request that a handler extracts a token from.
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

    /// Rejects a token of another kind than `needed`, which is the reason.
    fn other_kind(&self, needed: TokenErrorKind) -> TokenRejection {
        self.reject(is_only_bound(needed), needed)
    }

    fn claims_mismatch<C>(
        &self,
        needed: TokenErrorKind,
        mismatch: &ClaimsMismatch,
    ) -> TokenRejection {
        self.reject(is_only_bound(needed), mismatch.explained(type_name::<C>()))
    }
}

/// Returns whether a handler that rejects other tokens for this reason needs a proof.
const fn is_only_bound(needed: TokenErrorKind) -> bool {
    matches!(needed, TokenErrorKind::SchemeNotAccepted)
}

/// Returns the extension `T`.
///
/// A missing layer is an error, so that it never looks like a request that was admitted without a token.
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

/// Extracts the request that a [`TokenEndpointLayer`](crate::token_endpoint::TokenEndpointLayer) has verified.
impl<S: Send + Sync> FromRequestParts<S> for TokenRequest {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let request = parts.extensions.get().cloned();
        request.ok_or_else(|| {
            tracing::error!(
                "no TokenEndpointLayer in front of a handler that extracts a TokenRequest: add \
                 `.layer(TokenEndpointLayer::new(config))` to its router"
            );
            TokenRejection(Reason::LayerMissing)
        })
    }
}

impl IntoResponse for TokenRequestRejection {
    fn into_response(self) -> Response {
        Self::into_response(self).map(Body::from)
    }
}

macro_rules! extractor {
    ($token:ident, otherwise: $needed:ident) => {
        /// Extracts the token that the layer has verified, and reads its claims into `C`.
        impl<S: Send + Sync, C: DeserializeOwned> FromRequestParts<S> for $token<C> {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (inside, token) = extension::<$token>(parts)?;
                let token = token.ok_or_else(|| inside.other_kind(TokenErrorKind::$needed))?;
                token
                    .typed()
                    .map_err(|error| inside.claims_mismatch::<C>(TokenErrorKind::$needed, &error))
            }
        }

        /// Extracts `None` if the request was admitted with a token of another kind.
        ///
        /// Only some policies admit several kinds; see [`Policy`](crate::Policy).
        impl<S: Send + Sync, C: DeserializeOwned> OptionalFromRequestParts<S> for $token<C> {
            type Rejection = TokenRejection;

            async fn from_request_parts(
                parts: &mut Parts,
                _: &S,
            ) -> Result<Option<Self>, TokenRejection> {
                let (inside, token) = extension::<$token>(parts)?;
                let typed = token.map($token::typed).transpose();
                typed.map_err(|error| inside.claims_mismatch::<C>(TokenErrorKind::$needed, &error))
            }
        }

        /// Extracts the token that the layer has verified.
        impl<S: Send + Sync> FromRequestParts<S> for $token {
            type Rejection = TokenRejection;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
                let (inside, token) = extension::<$token>(parts)?;
                token
                    .cloned()
                    .ok_or_else(|| inside.other_kind(TokenErrorKind::$needed))
            }
        }

        /// Extracts `None` if the request was admitted with a token of another kind.
        ///
        /// Only some policies admit several kinds; see [`Policy`](crate::Policy).
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

extractor!(BoundToken, otherwise: SchemeNotAccepted);
extractor!(BearerToken, otherwise: UnboundNeeded);
extractor!(CertificateBoundToken, otherwise: CertificateBoundNeeded);

/// An extractor for the scopes of the token, of whatever kind.
///
/// Use it if a response depends on the scopes. If a route requires a scope, set
/// [`Policy::require_scope`](crate::Policy::require_scope) instead. The policy also tells the client which
/// scope is missing.
///
/// ```
/// use dpop_tower::extract::Scopes;
///
/// async fn menu(scopes: Scopes) -> &'static str {
///     if scopes.contains("orders:write") { "list, add" } else { "list" }
/// }
/// # let _: axum::Router = axum::Router::new().route("/menu", axum::routing::get(menu));
/// ```
#[derive(Clone)]
pub struct Scopes(ClaimSet);

impl Scopes {
    /// Returns the scopes in the order of the token.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.scopes()
    }

    /// Returns whether the token has this scope.
    ///
    /// Scopes are compared byte by byte, with regard to case (RFC 6749 section 3.3).
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
        let certificate_bound = parts.extensions.get::<CertificateBoundToken>();
        bound
            .map(BoundToken::claims)
            .or(bearer.map(BearerToken::claims))
            .or(certificate_bound.map(CertificateBoundToken::claims))
            .map(|claims| Self(claims.clone()))
            .ok_or_else(|| inside.other_kind(TokenErrorKind::SchemeNotAccepted))
    }
}

/// Extracts the remaining time of the token, bound or not.
#[cfg(feature = "lifetime")]
impl<S: Send + Sync> FromRequestParts<S> for TokenLifetime {
    type Rejection = TokenRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, TokenRejection> {
        let (inside, _) = extension::<Self>(parts)?;
        Ok(Self::new(inside.admitted.limit()))
    }
}
