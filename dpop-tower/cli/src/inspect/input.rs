//! Telling the kinds of input apart.

use serde_json::Value;

use super::{
    Unreadable,
    challenge::{self, Challenge},
    curl, har,
    jws::{self, Jws},
    message::Exchange,
    raw,
};

/// What the input is.
pub(super) enum Subject {
    Proof(String),
    Token(String),
    Challenge(Vec<Challenge>),
    Exchanges {
        input: &'static str,
        exchanges: Vec<Exchange>,
        notes: Vec<String>,
    },
}

impl Subject {
    pub(super) fn detect(input: &[u8]) -> Result<Self, Unreadable> {
        let input = input.strip_prefix("\u{feff}".as_bytes()).unwrap_or(input);
        let input = input.trim_ascii();
        if input.is_empty() {
            return Err(Unreadable::new("there is nothing to inspect").next_step(
                "pipe a token, a proof, a challenge, a request, a HAR or a curl command",
            ));
        }
        if input.starts_with(b"{") {
            return Self::json(input);
        }
        let text = std::str::from_utf8(input).ok();
        if let Some(command) = text.filter(|text| curl::is_command(text)) {
            return Ok(Self::exchange("curl command", curl::parse(command)?));
        }
        if raw::is_message(input) {
            return Ok(Self::exchange("HTTP message", raw::parse(input)?));
        }
        let text = text.ok_or(Unreadable::new("the input is not text"))?;
        Self::line(text)
    }

    fn exchange(input: &'static str, exchange: Exchange) -> Self {
        Self::Exchanges {
            input,
            exchanges: vec![exchange],
            notes: Vec::new(),
        }
    }

    fn json(input: &[u8]) -> Result<Self, Unreadable> {
        if let Ok(Value::Object(response)) = serde_json::from_slice(input)
            && let Some(Value::String(token)) = response.get("access_token")
        {
            return Ok(Self::Token(token.clone()));
        }
        let (exchanges, note) = har::parse(input)?;
        Ok(Self::Exchanges {
            input: "HAR",
            exchanges,
            notes: vec![note],
        })
    }

    /// A header field, a challenge, or a token, which may be wrapped.
    fn line(text: &str) -> Result<Self, Unreadable> {
        let field = text
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()));
        let is = |wanted: &str| field.is_some_and(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let value = field.map_or(text, |(_, value)| value);
        if is("www-authenticate") {
            return Ok(Self::Challenge(challenge::parse(value)));
        }
        if challenge::is_challenge(text) {
            return Ok(Self::Challenge(challenge::parse(text)));
        }
        let credentials = if is("dpop") || is("authorization") {
            value
        } else {
            text
        };
        let (scheme, rest) = credentials.split_once(' ').unwrap_or(("", credentials));
        let is_scheme = ["dpop", "bearer"].contains(&&*scheme.to_ascii_lowercase());
        let token = if is_scheme { rest } else { credentials };
        let is_wrapped = token.contains(|char: char| char.is_whitespace());
        let token: String = token.split_ascii_whitespace().collect();
        let is_jwt = Jws::read(&token).is_some() || jws::is_encrypted(&token);
        let is_token68 = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        let is_words = is_wrapped && !is_jwt;
        if token.is_empty() || is_words || !token.bytes().all(is_token68) {
            return Err(
                Unreadable::new("the input is none of the kinds that can be inspected").next_step(
                    "give a token, a proof, a challenge, a whole request or response, a HAR or a curl command",
                ),
            );
        }
        let is_proof = is("dpop") || Jws::read(&token).is_some_and(|jws| jws.is_proof());
        Ok(match is_proof {
            true => Self::Proof(token),
            false => Self::Token(token),
        })
    }
}
