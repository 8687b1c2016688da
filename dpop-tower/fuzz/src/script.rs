//! Requests as lines of text, so that seeds are readable and a mutation changes one thing.

use std::sync::Arc;

use dpop_tower::{
    clock::UnixTime,
    future::MaybeReady,
    token::{PresentedToken, TokenError, TokenErrorKind, TokenVerifier, VerifiedToken},
};
use http::{HeaderName, HeaderValue, Request};
use serde_json::json;

use crate::{
    reading,
    rig::{ALGS, JWKS, NOW, ORIGIN, sign, thumbprint},
};

/// A request made of the lines `A value` (`Authorization`), `D value` (`DPoP`) and `T value`
/// (`Content-Type`), any number of each. `$PROOF` in a value stands for a valid proof for the token that
/// the `A` lines seem to contain.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    pub authorization: Vec<HeaderValue>,
    pub dpop: Vec<HeaderValue>,
    pub content_type: Vec<HeaderValue>,
}

impl Headers {
    pub fn read(lines: &[&[u8]]) -> Self {
        let values = |letter: u8| {
            lines
                .iter()
                .filter_map(move |line| line.strip_prefix(&[letter, b' ']))
        };
        let header = |value: &[u8]| HeaderValue::from_bytes(value).ok();
        let authorization: Vec<_> = values(b'A').filter_map(header).collect();

        let value = authorization
            .first()
            .map_or(&b""[..], HeaderValue::as_bytes);
        let value = String::from_utf8_lossy(value);
        let (_, whole) = value.split_once([' ', '\t']).unwrap_or_default();
        let whole = whole.trim_start_matches([' ', '\t']);
        let first = whole.split([' ', '\t', ',', ';', '"', '=']).next();
        let first = first.unwrap_or_default();
        let with_proofs = |value: &[u8]| {
            let value = replaced(value, "$PROOF", || proof(whole));
            header(&replaced(&value, "$FIRST", || proof(first)))
        };
        Self {
            dpop: values(b'D').filter_map(with_proofs).collect(),
            content_type: values(b'T').filter_map(header).collect(),
            authorization,
        }
    }

    pub fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("/orders");
        let headers = request.headers_mut();
        for (name, values) in [
            ("authorization", &self.authorization),
            ("dpop", &self.dpop),
            ("content-type", &self.content_type),
        ] {
            for value in values {
                headers.append(HeaderName::from_static(name), value.clone());
            }
        }
        request
    }
}

/// Returns a valid proof of the first key for `GET` of `/orders`.
pub fn proof(token: &str) -> String {
    let header = format!(
        r#"{{"typ":"dpop+jwt","alg":"{}","jwk":{}}}"#,
        ALGS[0], JWKS[0]
    );
    let payload = json!({
        "jti": "j",
        "htm": "GET",
        "htu": format!("{ORIGIN}/orders"),
        "iat": NOW,
        "ath": reading::encode(reading::sha256(token)),
    });
    sign(&header, &payload.to_string())
}

fn replaced(text: &[u8], name: &str, value: impl Fn() -> String) -> Vec<u8> {
    let mut result = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest
        .windows(name.len())
        .position(|window| window == name.as_bytes())
    {
        result.extend_from_slice(&rest[..at]);
        result.extend_from_slice(value().as_bytes());
        rest = &rest[at + name.len()..];
    }
    result.extend_from_slice(rest);
    result
}

/// Accepts every token as genuine. Its first letter determines its kind.
#[derive(Clone, Copy, Debug)]
pub struct AnyToken;

/// The kind of a token, by its first letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unbound,
    OtherKey,
    Certificate,
    Expired,
    KeysUnavailable,
    /// Bound to the first key.
    Bound,
}

impl Kind {
    pub fn of(token: &str) -> Self {
        match token.as_bytes().first() {
            Some(b'u') => Self::Unbound,
            Some(b'o') => Self::OtherKey,
            Some(b'c') => Self::Certificate,
            Some(b'e') => Self::Expired,
            Some(b'k') => Self::KeysUnavailable,
            _ => Self::Bound,
        }
    }
}

impl TokenVerifier for AnyToken {
    fn verify(
        &self,
        token: PresentedToken<'_>,
        now: UnixTime,
    ) -> MaybeReady<Result<VerifiedToken, TokenError>> {
        let mut claims = json!({ "exp": now.as_secs() + 300 });
        let jkt = |key| json!({ "jkt": reading::encode(thumbprint(key)) });
        match Kind::of(token.expose()) {
            Kind::Unbound => {}
            Kind::OtherKey => claims["cnf"] = jkt(1),
            Kind::Certificate => {
                claims["cnf"] = json!({ "x5t#S256": reading::encode(thumbprint(0)) });
            }
            Kind::Expired => return MaybeReady::ready(Err(TokenErrorKind::Expired.into())),
            Kind::KeysUnavailable => {
                return MaybeReady::ready(Err(TokenErrorKind::KeysUnavailable.into()));
            }
            Kind::Bound => claims["cnf"] = jkt(0),
        }
        let claims = claims.as_object().cloned().unwrap_or_default();
        MaybeReady::ready(VerifiedToken::new(claims))
    }
}

pub fn any_token() -> Arc<AnyToken> {
    Arc::new(AnyToken)
}
