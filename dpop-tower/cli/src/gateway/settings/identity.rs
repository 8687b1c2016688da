//! `[identity]`: the headers that tell the upstream who called.

use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file::File,
};
use crate::gateway::identity::{Identity, IdentityError};

/// Returns the headers that tell the upstream who called.
pub(super) fn identity(file: &File, source: &Source) -> Result<Identity, SettingsError> {
    let usual = Spanned::new(0..0, Identity::usual_thumbprint().to_owned());
    let thumbprint = file.identity.thumbprint.as_ref().unwrap_or(&usual);
    let rejected = |header: &Spanned<String>, field: &str, error: IdentityError| {
        source.error(header.span(), field, error.to_string())
    };
    let mut identity = Identity::thumbprint_in(thumbprint.get_ref())
        .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?;
    let is_usual = file.identity.claims.is_none();
    match &file.identity.principal {
        Some(principal) => identity
            .principal_in(principal.get_ref())
            .map_err(|error| rejected(principal, "identity.principal", error))?,
        None if is_usual => identity
            .principal_in(Identity::usual_principal())
            .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?,
        None => {}
    }
    let is_ambiguous = file.issuer.get_ref().len() > 1;
    match &file.identity.claims {
        Some(claims) => {
            // Sorted as in the file, so that an error is about the second of two claims that conflict.
            let mut claims: Vec<_> = claims.iter().collect();
            claims.sort_by_key(|(_, header)| header.span().start);
            let names_issuer = file.identity.principal.is_some()
                || claims.iter().any(|(claim, _)| *claim == "iss");
            for (claim, header) in claims {
                let field = format!("identity.claims.{claim}");
                if is_ambiguous && !names_issuer && Identity::is_unique_per_issuer(claim) {
                    let message = format!(
                        "with several issuers, `{claim}` alone does not tell who called: set \
                         `identity.principal`, or add the claim `iss`"
                    );
                    return Err(source.error(header.span(), field, message));
                }
                identity
                    .claim_in(claim, header.get_ref())
                    .map_err(|error| rejected(header, &field, error))?;
            }
        }
        None => {
            for (claim, header) in Identity::usual_claims() {
                // An upstream that was written for one issuer must not mistake a subject of another issuer for
                // one of its own.
                if is_ambiguous && Identity::is_unique_per_issuer(claim) {
                    continue;
                }
                identity
                    .claim_in(claim, header)
                    .map_err(|error| rejected(thumbprint, "identity.thumbprint", error))?;
            }
        }
    }
    Ok(identity)
}
