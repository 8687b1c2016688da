//! Header names that mean something to services behind the gateway, in any spelling.
//!
//! Services compare names in different ways. Case never matters, and CGI and its successors (WSGI, Rack,
//! PHP) read `X_Original_URL` as `X-Original-URL`. Names are therefore compared without case and
//! punctuation.

use http::HeaderName;

use crate::gateway::identity::folded;

/// Headers that frame a message or that apply to one hop (RFC 9110 section 7.6.1, RFC 9112 section 6).
const FRAMING: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "trailers",
    "transfer-encoding",
    "upgrade",
];

/// Headers that make some services see another method, path, host or scheme than the one that was
/// checked. gunicorn reads `Script-Name` and `Path-Info`, and trusts every proxy on its machine. `Proxy`
/// becomes `HTTP_PROXY` (CVE-2016-5385).
const OVERRIDES: [&str; 20] = [
    "front-end-https",
    "path-info",
    "proxy",
    "request-uri",
    "script-name",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-http-path-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-path",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-scheme",
    "x-script-name",
    "x-url-scheme",
];

/// Lowercases a name, replaces each run of punctuation by one hyphen, and trims the ends.
fn plain(name: &str) -> String {
    let folded = folded(name);
    let words = folded.split('-').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// Whether a service may use this header to override the method, path, host or scheme.
pub(crate) fn is_override(name: &HeaderName) -> bool {
    OVERRIDES.contains(&&*plain(name.as_str()))
}

/// Whether this is a header in which proxies describe a request: `Forwarded`, `X-Forwarded-*` or
/// `X-Real-IP`.
pub(crate) fn is_of_proxies(name: &HeaderName) -> bool {
    let plain = plain(name.as_str());
    plain == "forwarded"
        || plain == "x-forwarded"
        || plain == "x-real-ip"
        || plain.starts_with("x-forwarded-")
}

/// Whether a service could read the client's certificate from this header, which only the server that ends TLS
/// may write (RFC 9440 section 4).
pub(crate) fn is_client_certificate(name: &HeaderName) -> bool {
    matches!(
        &*plain(name.as_str()),
        "client-cert" | "client-cert-chain" | "x-forwarded-client-cert"
    )
}

/// Whether a service could mistake this header for the other one, or it is the other one.
pub(crate) fn is_spelling_of(name: &HeaderName, other: &HeaderName) -> bool {
    plain(name.as_str()) == plain(other.as_str())
}

/// Whether this header is not a framing header but could be mistaken for one.
pub(crate) fn imitates_framing(name: &HeaderName) -> bool {
    let plain = plain(name.as_str());
    plain != name.as_str() && FRAMING.contains(&&*plain)
}

/// Whether this header frames a message, or could be mistaken for one that does. Trailers must not
/// contain it (RFC 9110 section 6.5.1).
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(&&*plain(name.as_str()))
}

/// Whether this header could be mistaken for one that the gateway or an asking proxy writes.
pub(crate) fn is_misspelt(name: &HeaderName) -> bool {
    let is_of_proxies = is_of_proxies(name) || is_client_certificate(name);
    imitates_framing(name) || (is_of_proxies && plain(name.as_str()) != name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> HeaderName {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_known_under_every_spelling() {
        for spelling in [
            "X-Original-URL",
            "x_original_url",
            "x.original.url",
            "X__Original--URL",
            "_x-original-url_",
        ] {
            assert!(is_override(&name(spelling)), "{spelling}");
        }
        for spelling in [
            "X_Forwarded_Host",
            "x-forwarded-anything",
            "x.real.ip",
            "Forwarded_",
        ] {
            assert!(is_of_proxies(&name(spelling)), "{spelling}");
        }
        for spelling in [
            "Transfer_Encoding",
            "content.length",
            "Connection_",
            "_te",
            "Host_",
        ] {
            assert!(imitates_framing(&name(spelling)), "{spelling}");
            assert!(is_framing(&name(spelling)), "{spelling}");
        }
    }

    #[test]
    fn a_certificate_has_a_header_and_its_misspellings() {
        for exact in [
            "Client-Cert",
            "client-cert-chain",
            "x-forwarded-client-cert",
        ] {
            assert!(is_client_certificate(&name(exact)), "{exact}");
            assert!(!is_misspelt(&name(exact)), "{exact}");
        }
        for spelling in [
            "client_cert",
            "Client.Cert.Chain",
            "x_forwarded_client-cert",
        ] {
            assert!(is_client_certificate(&name(spelling)), "{spelling}");
            assert!(is_misspelt(&name(spelling)), "{spelling}");
        }
        assert!(is_spelling_of(&name("X_Cert"), &name("x-cert")));
        assert!(!is_spelling_of(&name("x-certs"), &name("x-cert")));
    }

    #[test]
    fn what_frames_a_message_does_not_imitate_it() {
        for exact in FRAMING {
            assert!(!imitates_framing(&name(exact)), "{exact}");
            assert!(is_framing(&name(exact)), "{exact}");
        }
    }

    #[test]
    fn other_names_mean_nothing() {
        for other in [
            "accept",
            "x-request-id",
            "x-originals",
            "x-forward",
            "d_pop",
            "content-type",
        ] {
            let other = name(other);
            assert!(
                !is_override(&other)
                    && !is_of_proxies(&other)
                    && !is_framing(&other)
                    && !is_client_certificate(&other),
                "{other}"
            );
        }
    }
}
