//! Exchanges, as `--verbose` shows them. Neither the token nor a whole proof is shown.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};

use crate::proof::decoded;

/// Says what the command does between two exchanges.
pub(super) fn note(text: &str) {
    eprintln!("* {text}");
}

pub(super) fn request(request: &Request<Bytes>, proof: &str) {
    eprintln!("> {} {}", request.method(), request.uri());
    let mut headers = request.headers().clone();
    let token = headers.remove(header::AUTHORIZATION);
    headers.remove(super::DPOP);
    if let Some(token) = token {
        let len = token.len().saturating_sub("DPoP ".len());
        eprintln!("> authorization: DPoP [the access token, {len} bytes]");
    }
    let [head, claims] = decoded(proof);
    eprintln!("> dpop: [a proof with the header {head}");
    eprintln!(">        and the claims {claims}]");
    lines('>', &headers);
    if !request.body().is_empty() {
        eprintln!("> [{} bytes of body]", request.body().len());
    }
}

pub(super) fn response<B>(response: &Response<B>) {
    eprintln!("< {:?} {}", response.version(), response.status());
    lines('<', response.headers());
}

fn lines(direction: char, headers: &HeaderMap) {
    for (name, value) in headers {
        eprintln!("{direction} {name}: {}", shown(value.as_bytes()));
    }
}

/// Returns a text of the server without what would control the terminal.
pub(super) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = escaped.is_none().then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}
