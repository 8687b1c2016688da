//! Selects the issuer of a token by the `iss` that the token names. No key is involved, so a token of an
//! unknown issuer is rejected without a fetch.

use std::{collections::HashMap, slice, sync::Arc};

#[cfg(feature = "jwks")]
use super::dynamic::{DynamicSet, Lookup};
#[cfg(feature = "josekit")]
use super::encrypted::KeyId;
use super::{
    encrypted::check_kids,
    parse::{DecodedToken, other_issuer},
    verifier::IssuerVerifier,
};
#[cfg(feature = "josekit")]
use crate::token::TokenErrorKind;
use crate::{error::ConfigError, token::TokenError};
#[cfg(feature = "introspection")]
use crate::{error::ConfigErrorKind, jose::base64url, token::introspection::IntrospectionVerifier};

/// The issuers of one configuration.
#[derive(Debug)]
pub(in crate::token) enum Issuers {
    One(Arc<IssuerVerifier>),
    Several(Several),
    #[cfg(feature = "jwks")]
    Dynamic(Arc<DynamicSet>),
}

#[derive(Debug)]
pub(in crate::token) struct Several {
    /// In the order of the configuration.
    all: Vec<Arc<IssuerVerifier>>,
    by_name: HashMap<String, Arc<IssuerVerifier>>,
    /// The names in the same order, for error messages.
    names: Vec<String>,
}

/// The result of a selection.
pub(super) enum Choice {
    Known(Arc<IssuerVerifier>),
    /// The set of issuers has to be asked.
    #[cfg(feature = "jwks")]
    Lookup(Lookup),
}

impl Issuers {
    /// Returns a set of issuers that does not change. The names differ.
    pub(in crate::token) fn fixed(issuers: Vec<IssuerVerifier>) -> Result<Self, ConfigError> {
        #[cfg(feature = "introspection")]
        if issuers
            .iter()
            .filter(|issuer| issuer.introspection.is_some())
            .count()
            > 1
        {
            let message =
                "several issuers have opaque tokens, which do not name their issuer: one can";
            return Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
        }
        check_kids(&issuers)?;
        let mut issuers: Vec<_> = issuers.into_iter().map(Arc::new).collect();
        if issuers.len() == 1
            && let Some(issuer) = issuers.pop()
        {
            return Ok(Self::One(issuer));
        }
        let name = |issuer: &Arc<IssuerVerifier>| issuer.checks.issuer.clone();
        Ok(Self::Several(Several {
            names: issuers.iter().map(name).collect(),
            by_name: (issuers.iter())
                .map(|issuer| (name(issuer), Arc::clone(issuer)))
                .collect(),
            all: issuers,
        }))
    }

    /// Returns the verifier of opaque tokens, if the token is one and an issuer has any.
    ///
    /// A token that begins with a JOSE header is none, even if it is malformed or encrypted. It would be sent
    /// to an issuer that it may not belong to.
    #[cfg(feature = "introspection")]
    pub(super) fn opaque(&self, token: &str) -> Option<&IntrospectionVerifier> {
        let header = token.split_once('.').map(|(header, _)| header);
        let header = header.and_then(base64url::decode);
        // JSON may begin with white space.
        if header.is_some_and(|header| header.trim_ascii_start().starts_with(b"{")) {
            return None;
        }
        (self.fixed_ones()).find_map(|issuer| issuer.introspection.as_ref())
    }

    /// Returns the issuers that are part of the configuration.
    pub(super) fn fixed_ones(&self) -> impl Iterator<Item = &Arc<IssuerVerifier>> {
        let issuers = match self {
            Self::One(issuer) => slice::from_ref(issuer),
            Self::Several(Several { all, .. }) => all,
            #[cfg(feature = "jwks")]
            Self::Dynamic(_) => &[],
        };
        issuers.iter()
    }

    /// Selects the issuer that the token names.
    pub(super) fn choose(&self, token: &DecodedToken<'_>) -> Result<Choice, TokenError> {
        match self {
            // The checks of this issuer include `iss`.
            Self::One(issuer) => Ok(Choice::Known(Arc::clone(issuer))),
            Self::Several(Several { by_name, names, .. }) => {
                let iss = token.unverified_issuer()?;
                match by_name.get(iss) {
                    Some(issuer) => Ok(Choice::Known(Arc::clone(issuer))),
                    None => Err(other_issuer(names, iss)),
                }
            }
            #[cfg(feature = "jwks")]
            Self::Dynamic(set) => set.choose(token.unverified_issuer()?),
        }
    }

    /// Selects the issuer that a decrypted token names. It has to be one whose key decrypted the token.
    #[cfg(feature = "josekit")]
    pub(super) fn choose_decrypted(
        &self,
        token: &DecodedToken<'_>,
        decrypted_by: &KeyId,
    ) -> Result<Arc<IssuerVerifier>, TokenError> {
        match self.choose(token)? {
            Choice::Known(issuer) if issuer.encryption.still_has(Some(decrypted_by)) => Ok(issuer),
            _ => Err(TokenError::explained(
                TokenErrorKind::IssuerMismatch,
                "the token is encrypted for a key of another issuer",
            )),
        }
    }

    /// Returns whether an issuer still belongs to the set.
    #[cfg_attr(
        not(feature = "jwks"),
        expect(unused_variables, reason = "no set can change")
    )]
    pub(super) fn has(&self, issuer: &Arc<IssuerVerifier>) -> bool {
        match self {
            Self::One(_) | Self::Several(_) => true,
            #[cfg(feature = "jwks")]
            Self::Dynamic(set) => set.has(issuer),
        }
    }
}
