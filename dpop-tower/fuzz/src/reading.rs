//! Reads the texts on the wire without the library.

use std::collections::BTreeMap;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, general_purpose as engine},
};
use fluent_uri::Uri;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

/// Members that make a JWK private or symmetric (RFC 7518 section 6, RFC 9964).
const SECRET_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

pub fn sha256(bytes: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    engine::URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes leniently, and then checks that encoding gives the same text.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let lenient = engine::GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let bytes = engine::GeneralPurpose::new(&alphabet::URL_SAFE, lenient)
        .decode(text)
        .ok()?;
    (encode(&bytes) == text).then_some(bytes)
}

pub fn object(text: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(text).ok()
}

/// A compact JWS whose header and payload are JSON objects.
#[derive(Clone, Debug)]
pub struct Jws {
    pub header: Map<String, Value>,
    pub payload: Map<String, Value>,
    pub signature: Vec<u8>,
}

impl Jws {
    pub fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return None;
        };
        Some(Self {
            header: object(&decode(header)?)?,
            payload: object(&decode(payload)?)?,
            signature: decode(signature)?,
        })
    }
}

pub fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// Reads a `NumericDate` in whole seconds, rounded down. Returns `Some(Err)` if the member is present
/// but not a number.
pub fn date(object: &Map<String, Value>, name: &str) -> Option<Result<i128, ()>> {
    let value = object.get(name)?;
    Some(match value.as_i64() {
        Some(secs) => Ok(secs.into()),
        #[expect(clippy::cast_possible_truncation, reason = "it saturates")]
        None => value.as_f64().map(|secs| secs.floor() as i128).ok_or(()),
    })
}

pub fn has_secret_member(jwk: &Map<String, Value>) -> bool {
    text(jwk, "kty") == Some("oct") || SECRET_MEMBERS.iter().any(|name| jwk.contains_key(*name))
}

/// RFC 7638 section 3: the required members in lexicographic order, as JSON without white space.
pub fn thumbprint(jwk: &Map<String, Value>) -> Option<[u8; 32]> {
    let required: &[&str] = match text(jwk, "kty")? {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Option<BTreeMap<&str, &str>> = required
        .iter()
        .map(|name| Some((*name, text(jwk, name)?)))
        .collect();
    Some(sha256(serde_json::to_string(&members?).ok()?))
}

/// Returns scheme and token, by an independent implementation of RFC 9110 section 11.4 and of its rule
/// that a field that is not a list occurs once (section 5.3).
pub fn credentials(values: &[HeaderValue]) -> Option<(String, String)> {
    let [value] = values else { return None };
    let bytes = value.as_bytes();
    let is_tchar = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let scheme_len = bytes.iter().take_while(|byte| is_tchar(byte)).count();
    let (scheme, rest) = bytes.split_at(scheme_len);
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    let token = &rest[spaces..];
    let body_len = token
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte))
        .count();
    let padding = &token[body_len..];
    if scheme.is_empty() || spaces == 0 || body_len == 0 || padding.iter().any(|p| *p != b'=') {
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(scheme)?.to_ascii_lowercase(), text(token)?))
}

pub fn all(headers: &HeaderMap, name: &str) -> Vec<HeaderValue> {
    headers.get_all(name).iter().cloned().collect()
}

/// Parses and normalises an HTTP URI without query and fragment, with an implementation of RFC 3986.
///
/// Returns `None` if the URI is malformed, or if HTTP does not allow it (no host, user information, a
/// port above 65535).
pub fn normalised(uri: &str) -> Option<String> {
    let uri = escaped(uri.split(['?', '#']).next()?);
    let uri = Uri::parse(uri.as_str()).ok()?.normalize();
    let scheme = uri.scheme().as_str();
    let default = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = uri.authority()?;
    let host = authority.host();
    if host.is_empty() || host.starts_with("[v") || authority.has_userinfo() {
        return None;
    }
    let port = match authority.port_to_u16().ok()? {
        Some(port) if port != default => format!(":{port}"),
        _ => String::new(),
    };
    let path = match uri.path().as_str() {
        "" => "/",
        path => path,
    };
    Some(format!("{scheme}://{host}{port}{path}"))
}

/// Browsers and libraries send these characters in paths, and the library treats them as different from
/// their encoded form. RFC 3986 does not allow them, so they are replaced by something that it allows.
pub fn escaped(uri: &str) -> String {
    let authority = uri.find("//").map_or(uri.len(), |slashes| slashes + 2);
    let path = uri[authority..]
        .find('/')
        .map_or(uri.len(), |slash| authority + slash);
    let mut text = uri[..path].to_owned();
    for c in uri[path..].chars() {
        match c {
            '[' | ']' | '^' | '`' | '{' | '|' | '}' => {
                text.push_str(&format!("~~{:02x}~~", u32::from(c)));
            }
            _ => text.push(c),
        }
    }
    text
}
