//! Where the authorization endpoint sends a browser back to.

use http::Uri;

use super::settings::Client;

const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// Returns whether the text can be registered as a redirect URI (RFC 6749 section 3.1.2).
pub(super) fn is_redirect_uri(text: &str) -> bool {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let mut bytes = scheme.bytes();
    let is_scheme = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let is_harmful = ["javascript", "data", "vbscript", "blob", "file"]
        .iter()
        .any(|harmful| scheme.eq_ignore_ascii_case(harmful));
    is_scheme
        && !is_harmful
        && text
            .bytes()
            .all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#')
}

/// Returns whether the client may be sent back to this URI.
///
/// A registered URI has to be the same text, but one on loopback may have any port (RFC 8252 section 7.3). A client
/// without registered URIs may use every URI on loopback.
pub(super) fn is_allowed(client: &Client, uri: &str) -> bool {
    if !is_redirect_uri(uri) {
        return false;
    }
    if client.redirect_uris.is_empty() {
        return loopback(uri).is_some();
    }
    let is_the_same = |registered: &String| {
        let without_ports = loopback(registered).zip(loopback(uri));
        registered == uri || without_ports.is_some_and(|(registered, uri)| registered == uri)
    };
    client.redirect_uris.iter().any(is_the_same)
}

/// Returns a URI on loopback without its port.
fn loopback(text: &str) -> Option<(String, String)> {
    let uri: Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let host = uri.host()?;
    let is_loopback = uri.scheme_str() == Some("http")
        && !authority.as_str().contains('@')
        && LOOPBACK.contains(&host);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    is_loopback.then(|| (host.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(redirect_uris: &[&str]) -> Client {
        let uris = serde_json::to_string(redirect_uris).unwrap();
        let json = format!("{{\"client_id\":\"app\",\"redirect_uris\":{uris}}}");
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn without_registered_uris_only_loopback_is_allowed() {
        let client = client(&[]);
        for good in [
            "http://127.0.0.1:8400/callback",
            "http://[::1]/",
            "http://localhost:1/a?b=c",
        ] {
            assert!(is_allowed(&client, good), "{good}");
        }
        for wrong in [
            "",
            "/callback",
            "https://127.0.0.1/",
            "http://127.0.0.1@evil.example/",
            "http://evil.example/",
            "http://127.0.0.1.evil.example/",
            "http://localhost.evil.example/",
            "http://127.0.0.1/#fragment",
            "http://127.0.0.1/\r\nlocation: x",
            "javascript:alert(1)",
            "app.example:/callback",
        ] {
            assert!(!is_allowed(&client, wrong), "{wrong}");
        }
    }

    #[test]
    fn a_registered_uri_is_the_same_text_but_for_the_port_on_loopback() {
        let client = client(&[
            "https://app.example/callback",
            "http://127.0.0.1/callback",
            "app.example:/callback",
        ]);
        for good in [
            "https://app.example/callback",
            "http://127.0.0.1:49152/callback",
            "app.example:/callback",
        ] {
            assert!(is_allowed(&client, good), "{good}");
        }
        for wrong in [
            "https://app.example/callback/",
            "https://app.example:444/callback",
            "https://app.example/callback?x=y",
            "http://127.0.0.1:49152/other",
            "http://localhost/callback",
            "http://app.example/callback",
        ] {
            assert!(!is_allowed(&client, wrong), "{wrong}");
        }
    }
}
