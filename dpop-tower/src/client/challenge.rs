use http::{HeaderMap, Response, StatusCode, header};

/// What a resource server asks of a client in its challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A proof with the nonce of this response: `use_dpop_nonce` (RFC 9449 section 9).
    UseNonce,
    /// Another token: `invalid_token` (RFC 6750 section 3.1).
    InvalidToken,
}

/// `UNAUTHENTICATED` of gRPC, as it is in a response without a body, whose HTTP status is 200.
const GRPC_UNAUTHENTICATED: &str = "16";

impl Challenge {
    /// Returns what a rejection with the status 401, or its counterpart in gRPC, asks for.
    pub(super) fn of<B>(response: &Response<B>) -> Option<Self> {
        let headers = response.headers();
        let is_rejection = match response.status() {
            StatusCode::UNAUTHORIZED => true,
            StatusCode::OK => headers
                .get("grpc-status")
                .is_some_and(|status| status == GRPC_UNAUTHENTICATED),
            _ => false,
        };
        if !is_rejection {
            return None;
        }
        match dpop_error(headers)? {
            "use_dpop_nonce" => Some(Self::UseNonce),
            "invalid_token" => Some(Self::InvalidToken),
            _ => None,
        }
    }
}

/// Returns the `error` of the first challenge with the scheme `DPoP` that has one.
fn dpop_error(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .find_map(error_in)
}

/// Reads the challenges of one header (RFC 9110 section 11.6.1), in which both challenges and their parameters
/// are separated by commas.
fn error_in(mut rest: &str) -> Option<&str> {
    let mut is_dpop = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (name, after) = token(rest)?;
        rest = after.trim_start_matches([' ', '\t']);
        let Some(value) = rest.strip_prefix('=') else {
            // A name without a value is a scheme, unless it is followed by a `token68`, which is no parameter
            // of ours.
            is_dpop = name.eq_ignore_ascii_case("DPoP");
            continue;
        };
        let value = value.trim_start_matches([' ', '\t', '=']);
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted)?,
            None => token(value).unwrap_or(("", value)),
        };
        if is_dpop && name.eq_ignore_ascii_case("error") {
            return Some(value);
        }
        rest = after;
    }
}

/// Splits off a token, or a `token68`, which has more characters.
fn token(text: &str) -> Option<(&str, &str)> {
    let is_of_token =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(byte);
    let len = text.bytes().take_while(|byte| is_of_token(byte)).count();
    text.split_at_checked(len).filter(|_| len > 0)
}

/// Splits off the rest of a quoted string. It is returned as it was sent: a code of an error has no escapes.
fn quoted_string(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        is_end
    })?;
    let (value, rest) = text.split_at_checked(end)?;
    Some((value, rest.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rejection(status: u16, challenges: &[&str]) -> Option<Challenge> {
        let mut response = Response::builder().status(status);
        for challenge in challenges {
            response = response.header(header::WWW_AUTHENTICATE, *challenge);
        }
        Challenge::of(&response.body(()).unwrap())
    }

    #[test]
    fn the_error_of_a_dpop_challenge_is_found_among_others() {
        for challenges in [
            &[r#"DPoP error="use_dpop_nonce""#][..],
            &["dpop error=use_dpop_nonce"],
            &[r#"DPoP realm="a", error = "use_dpop_nonce", algs="ES256""#],
            &[r#"DPoP algs="ES256 PS256",error="use_dpop_nonce""#],
            &[r#"Bearer error="invalid_token", DPoP algs="ES256", error="use_dpop_nonce""#],
            &["Bearer", r#"DPoP error="use_dpop_nonce""#],
            &["Negotiate a/b==, DPoP error=\"use_dpop_nonce\""],
            &[r#"DPoP error_description="say \"error=x\", please", error="use_dpop_nonce""#],
            &[r#"DPoP, Basic realm="x", DPoP error="use_dpop_nonce""#],
        ] {
            assert_eq!(
                rejection(401, challenges),
                Some(Challenge::UseNonce),
                "{challenges:?}"
            );
        }
        let invalid = [r#"DPoP error="invalid_token""#];
        assert_eq!(rejection(401, &invalid), Some(Challenge::InvalidToken));
    }

    #[test]
    fn the_error_of_another_scheme_or_in_a_text_is_none() {
        for challenges in [
            &[][..],
            &["DPoP"],
            &[r#"Bearer error="use_dpop_nonce""#],
            &[r#"DPoP algs="ES256", Bearer error="use_dpop_nonce""#],
            &[r#"DPoP error_description="error=\"use_dpop_nonce\"""#],
            &[r#"Basic realm="DPoP error=use_dpop_nonce""#],
            &[r#"DPoP error="use_dpop_nonce"#],
            &[r#"DPoP error="invalid_dpop_proof""#],
            &["\"DPoP\" error=\"use_dpop_nonce\""],
        ] {
            assert_eq!(rejection(401, challenges), None, "{challenges:?}");
        }
    }

    #[test]
    fn only_a_401_or_its_counterpart_in_grpc_is_a_challenge() {
        let challenge = [r#"DPoP error="use_dpop_nonce""#];
        for status in [200, 204, 400, 403, 407, 503] {
            assert_eq!(rejection(status, &challenge), None);
        }
        let grpc = |status: &str| {
            let response = Response::builder().header("grpc-status", status);
            let response = response.header(header::WWW_AUTHENTICATE, challenge[0]);
            Challenge::of(&response.body(()).unwrap())
        };
        assert_eq!(grpc("16"), Some(Challenge::UseNonce));
        assert_eq!(grpc("7"), None);
        assert_eq!(grpc("0"), None);
    }

    proptest! {
        #[test]
        fn every_text_is_read_to_its_end(text in "[DPoPerror=\"\\\\, \t/a]{0,40}|.{0,40}") {
            error_in(&text);
        }
    }
}
