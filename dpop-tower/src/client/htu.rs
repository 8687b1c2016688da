use http::{Uri, uri::Scheme};

use super::{ClientError, ClientErrorKind};

/// Returns the `htu` of a request to `uri`, which is the URI without query and fragment (RFC 9449
/// section 4.2).
///
/// The scheme, the host and the port are written as every server writes its own. The path stays as it is sent,
/// since not every server normalises it before the comparison.
pub(super) fn htu(uri: &Uri) -> Result<String, ClientError> {
    let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
        return Err(wrong(
            "the URI of a request with a proof has to be absolute",
        ));
    };
    let default_port = if *scheme == Scheme::HTTPS {
        443
    } else if *scheme == Scheme::HTTP {
        80
    } else {
        return Err(wrong("a proof is for an http or https URI"));
    };
    if authority.as_str().contains('@') {
        return Err(wrong(
            "the URI of a request with a proof has no user information",
        ));
    }
    let host = authority.host();
    if host.is_empty() {
        return Err(wrong("the URI of a request with a proof has a host"));
    }
    let path = match uri.path() {
        "" => "/",
        path => path,
    };
    let mut htu = String::with_capacity(uri.path().len() + authority.as_str().len() + 16);
    htu.push_str(scheme.as_str());
    htu.push_str("://");
    htu.extend(host.chars().map(|character| character.to_ascii_lowercase()));
    if let Some(port) = authority.port_u16().filter(|port| *port != default_port) {
        htu.push(':');
        htu.push_str(&port.to_string());
    }
    htu.push_str(path);
    Ok(htu)
}

fn wrong(message: &'static str) -> ClientError {
    ClientError::new(ClientErrorKind::Target, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_server_writes_with_the_path_as_sent() {
        for (uri, expected) in [
            ("https://api.example.com", "https://api.example.com/"),
            ("https://api.example.com?a=b", "https://api.example.com/"),
            (
                "HTTPS://API.example.com:443/Orders/%7eme?page=2",
                "https://api.example.com/Orders/%7eme",
            ),
            (
                "http://api.example.com:8080/a//b/",
                "http://api.example.com:8080/a//b/",
            ),
            ("http://[::1]:80/x", "http://[::1]/x"),
            ("https://[2001:DB8::1]:8443", "https://[2001:db8::1]:8443/"),
        ] {
            assert_eq!(htu(&uri.parse().unwrap()).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn a_uri_that_no_proof_can_be_for_is_rejected() {
        for uri in [
            "/orders",
            "api.example.com:443",
            "*",
            "ftp://api.example.com/",
            "https://user@api.example.com/",
            "https://user:password@api.example.com/",
        ] {
            let error = htu(&uri.parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), ClientErrorKind::Target, "{uri}");
            assert!(!error.to_string().contains("password"));
        }
    }
}
