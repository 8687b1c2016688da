use std::fmt;

use super::{ClaimSet, ClaimsMismatch, Principal};
use crate::{certificate::CertificateThumbprint, clock::UnixTime, jwk::Thumbprint};
use serde::de::DeserializeOwned;

/// The access token of a request that was made by the holder of the key it is bound to.
///
/// The layer puts a `BoundToken` into the request's extensions, and only the layer can make one. With
/// the feature `axum` it is an extractor. `BoundToken<MyClaims>` reads the claims into your own type.
///
/// `Debug` shows the thumbprint and the names of the claims, and hides their values.
///
/// # Example
///
/// A service that is not an axum handler takes the token from the extensions:
///
/// ```
/// use dpop_tower::BoundToken;
/// use http::{Request, StatusCode};
///
/// fn delete_order<B>(request: &Request<B>) -> StatusCode {
///     match request.extensions().get::<BoundToken>() {
///         Some(token) if token.has_scope("orders:write") => StatusCode::NO_CONTENT,
///         Some(_) => StatusCode::FORBIDDEN,
///         // There is no layer around this service, or its policy admitted the request without a token.
///         None => StatusCode::UNAUTHORIZED,
///     }
/// }
///
/// assert_eq!(delete_order(&Request::new(())), StatusCode::UNAUTHORIZED);
/// ```
#[derive(Clone)]
pub struct BoundToken<C = ClaimSet> {
    thumbprint: Thumbprint,
    certificate: Option<CertificateThumbprint>,
    set: ClaimSet,
    claims: C,
}

impl BoundToken {
    pub(crate) fn new(
        thumbprint: Thumbprint,
        certificate: Option<CertificateThumbprint>,
        set: ClaimSet,
    ) -> Self {
        Self {
            thumbprint,
            certificate,
            claims: set.clone(),
            set,
        }
    }

    /// Reads the claims into your own type.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsMismatch`] if the claims do not fit the type.
    pub fn typed<C: DeserializeOwned>(&self) -> Result<BoundToken<C>, ClaimsMismatch> {
        Ok(BoundToken {
            thumbprint: self.thumbprint,
            certificate: self.certificate,
            claims: self.set.deserialize()?,
            set: self.set.clone(),
        })
    }
}

impl<C> BoundToken<C> {
    /// Returns the thumbprint of the client's key (RFC 7638).
    ///
    /// It is the same for all requests that the client makes with this key, whatever the token. You can log
    /// it.
    #[doc(alias = "jkt")]
    pub const fn thumbprint(&self) -> &Thumbprint {
        &self.thumbprint
    }

    /// Returns the thumbprint of the client's certificate if the token is bound to one as well (RFC 8705
    /// section 3). The client has then proved that it has both keys.
    #[doc(alias = "x5t#S256")]
    pub const fn certificate_thumbprint(&self) -> Option<&CertificateThumbprint> {
        self.certificate.as_ref()
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

/// An unbound access token that came with the `Bearer` scheme.
///
/// Only an [optional](crate::Policy::optional) layer admits such tokens, and only if they are not bound to a
/// key or a certificate.
///
/// # Security
///
/// Anyone who obtains such a token can use it. Use this type while you migrate clients to DPoP.
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

    /// Reads the claims into your own type.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsMismatch`] if the claims do not fit the type.
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

/// The access token of a request from the client whose TLS certificate it is bound to, and which is bound to no
/// DPoP key (RFC 8705 section 3).
///
/// It came with the `Bearer` scheme. Only a policy that
/// [accepts certificate-bound tokens](crate::Policy::accept_certificate_bound) admits it. The layer puts it
/// into the request's extensions, and only the layer can make one. A token that is bound to a key as well
/// is a [`BoundToken`].
///
/// `Debug` shows the thumbprint and the names of the claims, and hides their values.
#[derive(Clone)]
pub struct CertificateBoundToken<C = ClaimSet> {
    certificate: CertificateThumbprint,
    set: ClaimSet,
    claims: C,
}

impl CertificateBoundToken {
    pub(crate) fn new(certificate: CertificateThumbprint, set: ClaimSet) -> Self {
        Self {
            certificate,
            claims: set.clone(),
            set,
        }
    }

    /// Reads the claims into your own type.
    ///
    /// # Errors
    ///
    /// Returns [`ClaimsMismatch`] if the claims do not fit the type.
    pub fn typed<C: DeserializeOwned>(&self) -> Result<CertificateBoundToken<C>, ClaimsMismatch> {
        Ok(CertificateBoundToken {
            certificate: self.certificate,
            claims: self.set.deserialize()?,
            set: self.set.clone(),
        })
    }
}

impl<C> CertificateBoundToken<C> {
    /// Returns the thumbprint of the client's certificate (RFC 8705 section 3.1). You can log it.
    #[doc(alias = "x5t#S256")]
    pub const fn certificate_thumbprint(&self) -> &CertificateThumbprint {
        &self.certificate
    }
}

impl<C> fmt::Debug for CertificateBoundToken<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateBoundToken")
            .field("certificate_thumbprint", &self.certificate)
            .field("claims", &self.set)
            .finish()
    }
}

macro_rules! accessors {
    ($token:ident) => {
        impl<C> $token<C> {
            /// Returns the token's claims.
            pub const fn claims(&self) -> &C {
                &self.claims
            }

            /// Returns the token's claims by value.
            pub fn into_claims(self) -> C {
                self.claims
            }

            /// Returns the token's issuer (`iss`).
            pub fn issuer(&self) -> Option<&str> {
                self.set.issuer()
            }

            /// Returns the token's subject together with its issuer, or `None` if it lacks one of them.
            pub fn principal(&self) -> Option<Principal<'_>> {
                self.set.principal()
            }

            /// Returns the token's scopes.
            pub fn scopes(&self) -> impl Iterator<Item = &str> {
                self.set.scopes()
            }

            /// Returns whether the token has this scope. Scopes are case-sensitive (RFC 6749 section 3.3).
            pub fn has_scope(&self, scope: &str) -> bool {
                self.scopes().any(|granted| granted == scope)
            }

            /// Returns when the token expires (`exp`). It is valid before this instant.
            pub fn expires_at(&self) -> UnixTime {
                self.set.expires_at()
            }
        }
    };
}

accessors!(BoundToken);
accessors!(BearerToken);
accessors!(CertificateBoundToken);
