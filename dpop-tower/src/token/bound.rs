use std::fmt;

use super::{ClaimSet, ClaimsMismatch};
use crate::{clock::UnixTime, jwk::Thumbprint};
use serde::de::DeserializeOwned;

/// Proof that the request was made by the holder of the key its access token is bound to.
///
/// The layer puts a `BoundToken` into the request's extensions; only the layer can make one. With
/// the `axum` feature it is an extractor, also of a type of your own: `BoundToken<MyClaims>`.
#[derive(Clone)]
pub struct BoundToken<C = ClaimSet> {
    thumbprint: Thumbprint,
    set: ClaimSet,
    claims: C,
}

impl BoundToken {
    pub(crate) fn new(thumbprint: Thumbprint, set: ClaimSet) -> Self {
        Self {
            thumbprint,
            claims: set.clone(),
            set,
        }
    }

    /// Reads the claims into a type of your own.
    ///
    /// # Errors
    ///
    /// [`ClaimsMismatch`] if they do not fit it.
    pub fn typed<C: DeserializeOwned>(&self) -> Result<BoundToken<C>, ClaimsMismatch> {
        Ok(BoundToken {
            thumbprint: self.thumbprint,
            claims: self.set.deserialize()?,
            set: self.set.clone(),
        })
    }
}

impl<C> BoundToken<C> {
    /// The thumbprint of the client's key (RFC 7638): the same for every request of this client with
    /// this key, whatever the token.
    #[doc(alias = "jkt")]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }
}

impl<C> fmt::Debug for BoundToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundToken")
            .field("thumbprint", &self.thumbprint)
            .field("claims", &self.set)
            .finish()
    }
}

/// An access token that is bound to nothing and came with the `Bearer` scheme: what an
/// [optional](crate::Policy::optional) layer lets through beside bound ones.
///
/// Whoever holds such a token can use it.
#[derive(Clone)]
pub struct BearerToken<C = ClaimSet> {
    set: ClaimSet,
    claims: C,
}

impl BearerToken {
    pub(crate) fn new(set: ClaimSet) -> Self {
        Self {
            claims: set.clone(),
            set,
        }
    }

    /// Reads the claims into a type of your own.
    ///
    /// # Errors
    ///
    /// [`ClaimsMismatch`] if they do not fit it.
    pub fn typed<C: DeserializeOwned>(&self) -> Result<BearerToken<C>, ClaimsMismatch> {
        Ok(BearerToken {
            claims: self.set.deserialize()?,
            set: self.set.clone(),
        })
    }
}

impl<C> fmt::Debug for BearerToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BearerToken")
            .field("claims", &self.set)
            .finish()
    }
}

macro_rules! accessors {
    ($token:ident) => {
        impl<C> $token<C> {
            /// The token's claims.
            pub const fn claims(&self) -> &C {
                &self.claims
            }

            /// The token's claims, by value.
            pub fn into_claims(self) -> C {
                self.claims
            }

            /// The token's issuer (`iss`).
            pub fn issuer(&self) -> Option<&str> {
                self.set.issuer()
            }

            /// The token's scopes.
            pub fn scopes(&self) -> impl Iterator<Item = &str> {
                self.set.scopes()
            }

            /// Whether the token has this scope.
            pub fn has_scope(&self, scope: &str) -> bool {
                self.scopes().any(|granted| granted == scope)
            }

            /// When the token expires.
            pub fn expires_at(&self) -> UnixTime {
                self.set.expires_at()
            }
        }
    };
}

accessors!(BoundToken);
accessors!(BearerToken);
