//! Checks at start-up for mistakes that would reject every token.

use crate::error::{ConfigError, ConfigErrorKind, shown};

/// Rejects an issuer that cannot be exactly the `iss` of a token, such as the URL of its metadata.
pub(in crate::token) fn check_issuer(issuer: &str) -> Result<(), ConfigError> {
    if issuer.is_empty() {
        let kind = ConfigErrorKind::AccessTokens;
        return Err(ConfigError::new(kind, "the issuer is empty"));
    }
    let reject = |message: String| Err(ConfigError::new(ConfigErrorKind::Issuer, message));
    let shown = shown(issuer);
    if issuer.trim() != issuer {
        return reject(format!(
            "the issuer {shown} begins or ends with white space: write {:?}",
            issuer.trim()
        ));
    }
    if let Some((before, behind)) = issuer.split_once("/.well-known/") {
        let (document, path) = behind.split_once('/').unwrap_or((behind, ""));
        // RFC 8414 section 3.1 puts the path of the issuer after the well-known part.
        let likely = match (is_metadata(document), path) {
            (true, path) if !path.is_empty() => format!("{before}/{path}"),
            _ => before.to_owned(),
        };
        return reject(format!(
            "the issuer {shown} is the address of its metadata or keys: write what its tokens have as \
             `iss`, which the metadata names as `issuer`, likely {likely:?}"
        ));
    }
    if is_jwk_set(issuer) {
        return reject(format!(
            "the issuer {shown} is the address of a JWK Set: write what its tokens have as `iss`, and \
             give this address to `jwks_url`, or nothing if its metadata says where the keys are"
        ));
    }
    Ok(())
}

/// Rejects a URL of the keys that is the issuer or its metadata, or that was swapped with the issuer.
#[cfg(feature = "jwks")]
pub(super) fn check_jwks_url(issuer: &str, url: &str) -> Result<(), ConfigError> {
    let reject = |message: String| Err(ConfigError::new(ConfigErrorKind::AccessTokens, message));
    let (issuer_shown, shown) = (shown(issuer), shown(url));
    let base = url.trim_end_matches('/');
    let below = issuer.strip_prefix(base).unwrap_or(issuer);
    if below.trim_end_matches('/').is_empty() {
        return reject(format!(
            "the address of the JWK Set, {shown}, is the issuer: write where its keys are, or use \
             `discover` if its metadata says so"
        ));
    }
    let is_below_the_url = below.len() < issuer.len() && below.starts_with('/');
    if is_below_the_url || (may_be_jwk_set(issuer) && !may_be_jwk_set(url)) {
        return reject(format!(
            "the issuer {issuer_shown} and the address of its JWK Set, {shown}, are likely swapped: \
             `Issuer::new` takes what tokens have as `iss`"
        ));
    }
    if is_metadata(last_segment(url)) || url.contains("/.well-known/oauth-authorization-server/") {
        return reject(format!(
            "the address of the JWK Set, {shown}, is that of metadata: use `discover`, which reads it, \
             or write its `jwks_uri`"
        ));
    }
    Ok(())
}

fn is_metadata(segment: &str) -> bool {
    matches!(
        segment,
        "openid-configuration" | "oauth-authorization-server"
    )
}

/// Returns whether an address is certainly that of a JWK Set.
fn is_jwk_set(address: &str) -> bool {
    let name = last_segment(address).to_ascii_lowercase();
    matches!(&*name, "jwks" | "jwks.json" | "jwks_uri") || name.ends_with(".jwks")
}

/// Returns whether an address has a name that is common for JWK Sets.
#[cfg(feature = "jwks")]
fn may_be_jwk_set(address: &str) -> bool {
    let name = last_segment(address).to_ascii_lowercase();
    is_jwk_set(address)
        || address.contains("/.well-known/")
        || matches!(&*name, "certs" | "jwk" | "keys")
        || name.ends_with(".json")
}

/// Returns the last segment of the path, which is empty if there is no path.
fn last_segment(address: &str) -> &str {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    let path = path.trim_end_matches('/');
    path.rsplit_once('/').map_or("", |(_, segment)| segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(result: Result<(), ConfigError>, kind: ConfigErrorKind) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        error.to_string()
    }

    #[test]
    fn the_address_of_metadata_or_keys_is_no_issuer() {
        for (wrong, instead) in [
            (
                "https://idp.example.com/.well-known/openid-configuration",
                "likely \"https://idp.example.com\"",
            ),
            (
                "https://idp.example.com/tenant/.well-known/openid-configuration",
                "likely \"https://idp.example.com/tenant\"",
            ),
            (
                "https://idp.example.com/.well-known/oauth-authorization-server",
                "likely \"https://idp.example.com\"",
            ),
            (
                "https://idp.example.com/.well-known/oauth-authorization-server/tenant/1",
                "likely \"https://idp.example.com/tenant/1\"",
            ),
            (
                "https://idp.example.com/.well-known/jwks.json",
                "likely \"https://idp.example.com\"",
            ),
            ("https://idp.example.com/jwks.json", "`jwks_url`"),
            ("https://idp.example.com/oauth2/JWKS", "`jwks_url`"),
            ("https://idp.example.com/jwks?kid=1", "`jwks_url`"),
            (
                " https://idp.example.com",
                "write \"https://idp.example.com\"",
            ),
            (
                "https://idp.example.com\n",
                "write \"https://idp.example.com\"",
            ),
        ] {
            let text = told(check_issuer(wrong), ConfigErrorKind::Issuer);
            assert!(
                text.contains(instead),
                "{text:?} does not contain {instead:?}"
            );
            assert!(text.contains(&format!("{wrong:?}")), "{text}");
        }
    }

    #[test]
    fn odd_issuers_are_issuers() {
        for good in [
            "https://idp.example.com",
            "https://idp.example.com/",
            "https://tenant.auth0.com/",
            "https://login.microsoftonline.com/9122040d-6c67-4c5b-b112-36a304b66dad/v2.0",
            "https://idp.example.com/realms/keys",
            "https://idp.example.com/jwks/tenant",
            "https://jwks.example.com",
            "https://jwks",
            "http://127.0.0.1:9001",
            "https://idp.example.com/well-known",
            "accounts.google.com",
            "urn:example:issuer",
            "issuer",
        ] {
            assert!(check_issuer(good).is_ok(), "{good}");
        }
    }

    #[cfg(feature = "jwks")]
    #[test]
    fn swapped_arguments_are_told_from_odd_ones() {
        for (issuer, url) in [
            (
                "https://idp.example.com/jwks.json",
                "https://idp.example.com",
            ),
            (
                "https://idp.example.com/oauth2/v1/keys",
                "https://idp.example.com/oauth2",
            ),
            (
                "https://www.example.com/oauth2/v3/certs",
                "https://accounts.example.com",
            ),
            (
                "https://keys.example.com/.well-known/jwks.json",
                "https://idp.example.com/",
            ),
            ("https://idp.example.com/a/b", "https://idp.example.com/a/"),
        ] {
            let text = told(check_jwks_url(issuer, url), ConfigErrorKind::AccessTokens);
            assert!(text.contains("swapped"), "{text}");
            assert!(text.contains(issuer) && text.contains(url), "{text}");
            if !url.ends_with("/a/") {
                assert!(check_jwks_url(url, issuer).is_ok(), "{issuer} {url}");
            }
        }
        for (issuer, url, part) in [
            (
                "https://idp.example.com",
                "https://idp.example.com",
                "is the issuer",
            ),
            (
                "https://idp.example.com",
                "https://idp.example.com/",
                "is the issuer",
            ),
            (
                "https://idp.example.com/",
                "https://idp.example.com",
                "is the issuer",
            ),
            (
                "https://idp.example.com",
                "https://idp.example.com/.well-known/openid-configuration",
                "`discover`",
            ),
            (
                "https://idp.example.com/t",
                "https://idp.example.com/.well-known/oauth-authorization-server/t",
                "`discover`",
            ),
        ] {
            let text = told(check_jwks_url(issuer, url), ConfigErrorKind::AccessTokens);
            assert!(text.contains(part), "{text:?} does not contain {part:?}");
        }
        for (issuer, url) in [
            ("https://idp.example.com", "https://idp.example.com/jwks"),
            (
                "https://idp.example.com",
                "https://idp.example.com.example/",
            ),
            ("https://idp.example.com.example", "https://idp.example.com"),
            (
                "https://idp.example.com/keys",
                "https://idp.example.com/keys/jwks.json",
            ),
            (
                "https://idp.example.com/keys",
                "https://idp.example.com/v1/keys",
            ),
            ("issuer", "http://127.0.0.1:9001/anything?x=y"),
            ("https://idp.example.com/a", "https://idp.example.com/ab"),
        ] {
            assert!(check_jwks_url(issuer, url).is_ok(), "{issuer} {url}");
        }
    }

    #[test]
    fn no_credentials_are_shown() {
        let text = told(
            check_issuer("https://user:secret@idp.example.com/jwks"),
            ConfigErrorKind::Issuer,
        );
        assert!(!text.contains("secret"), "{text}");
    }
}
