//! Names of headers that mean something to whatever stands behind the gateway, under any spelling.
//!
//! Services read names in ways of their own: case never counts, and CGI and its heirs (WSGI, Rack, PHP)
//! take `X_Original_URL` for `X-Original-URL`. So names are compared without case and punctuation.

use http::HeaderName;

use crate::gateway::identity::folded;

/// What frames a message, and what ends at the next hop (RFC 9110 section 7.6.1, RFC 9112 section 6).
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

/// By these, services can be told another method, path, host or scheme than that of the request, which
/// is the one that was checked. `Script-Name` and `Path-Info` are gunicorn's, which believes them of
/// every proxy on its machine; `Proxy` becomes `HTTP_PROXY` (CVE-2016-5385).
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

/// Without case, and with one hyphen for whatever punctuation there is. None is left at the ends.
fn plain(name: &str) -> String {
    let folded = folded(name);
    let words = folded.split('-').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// Whether a service may take another method, path, host or scheme from it than the request has.
pub(crate) fn is_override(name: &HeaderName) -> bool {
    OVERRIDES.contains(&&*plain(name.as_str()))
}

/// Whether it is one of those by which proxies tell what they have seen: `Forwarded`, `X-Forwarded-*`
/// and `X-Real-IP`.
pub(crate) fn is_of_proxies(name: &HeaderName) -> bool {
    let plain = plain(name.as_str());
    plain == "forwarded"
        || plain == "x-forwarded"
        || plain == "x-real-ip"
        || plain.starts_with("x-forwarded-")
}

/// Whether a service may take the certificate of the client from it, which is for the one to write that
/// has ended TLS (RFC 9440 section 4).
pub(crate) fn is_client_certificate(name: &HeaderName) -> bool {
    matches!(&*plain(name.as_str()), "client-cert" | "client-cert-chain")
}

/// Whether it is not one of those that frame a message, but may be taken for one.
pub(crate) fn imitates_framing(name: &HeaderName) -> bool {
    let plain = plain(name.as_str());
    plain != name.as_str() && FRAMING.contains(&&*plain)
}

/// Whether it frames a message, or may be taken for what does. Trailers cannot have it (RFC 9110 section
/// 6.5.1).
pub(crate) fn is_framing(name: &HeaderName) -> bool {
    FRAMING.contains(&&*plain(name.as_str()))
}

/// Whether it can be taken for another one of these that the gateway, or a proxy that asks, writes.
pub(crate) fn is_misspelt(name: &HeaderName) -> bool {
    imitates_framing(name) || (is_of_proxies(name) && plain(name.as_str()) != name.as_str())
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
                !is_override(&other) && !is_of_proxies(&other) && !is_framing(&other),
                "{other}"
            );
        }
    }
}
