use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::{Challenge, Rejection, RejectionKind};
use crate::policy::is_nqchars;

/// RFC 9449 section 8.2: a nonce must not end up in another client's cache, and no verdict should.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// `None` if a [`NonceSource`](crate::nonce::NonceSource) made something that is no nonce (RFC 9449
/// section 8.1, RFC 6749 appendix A), which clients need not be able to read.
pub(crate) fn nonce_value(nonce: String) -> Option<HeaderValue> {
    is_nqchars(&nonce)
        .then(|| HeaderValue::try_from(nonce))?
        .ok()
}

pub(super) fn write_challenges(
    headers: &mut HeaderMap,
    challenge: &Challenge,
    kind: RejectionKind,
    description: &'static str,
) {
    headers.remove(header::WWW_AUTHENTICATE);
    for value in challenge.values(kind, description) {
        headers.append(header::WWW_AUTHENTICATE, value);
    }
}

/// Makes the response to a rejected request, such as one with a body of your own.
///
/// Any `Fn(&Rejection) -> Response<T>` is one if [`Bytes`] can be made of `T`: of a `String`, a
/// `&'static str`, a `Vec<u8>`. Where nothing else is to be said, `""` is an empty body.
///
/// ```
/// use dpop_tower::rejection::Rejection;
/// use http::Response;
///
/// let in_words = |rejection: &Rejection| Response::new(rejection.description());
/// # fn takes(_: impl dpop_tower::rejection::RejectionResponse) {}
/// # takes(in_words);
/// ```
///
/// A layer shares it with the extractors and the layers inside, hence `Send`, `Sync` and `'static`. It
/// sets the status, `WWW-Authenticate`, `DPoP-Nonce`, `Cache-Control` and `Retry-After` itself,
/// afterwards: they cannot get lost. No response is asked for to gRPC requests, whose rejection has no
/// body.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot answer rejected requests",
    label = "is no `RejectionResponse`",
    note = "give a closure such as `|rejection: &Rejection| Response::new(rejection.description())`: it \
            takes a `&Rejection`, and returns an `http::Response` of a `String`, a `&'static str`, a \
            `Vec<u8>` or `Bytes`, whatever the body of the inner service is, and has to be `Send`, `Sync` \
            and `'static`",
    note = "`dpop_tower::rejection::ProblemDetails` answers with `application/problem+json`"
)]
pub trait RejectionResponse: Send + Sync + 'static {
    /// Makes the response.
    fn response(&self, rejection: &Rejection) -> Response<Bytes>;
}

impl<F, T> RejectionResponse for F
where
    F: Fn(&Rejection) -> Response<T> + Send + Sync + 'static,
    T: Into<Bytes>,
{
    fn response(&self, rejection: &Rejection) -> Response<Bytes> {
        self(rejection).map(Into::into)
    }
}

/// Answers with an empty body.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultRejectionResponse;

impl RejectionResponse for DefaultRejectionResponse {
    fn response(&self, _rejection: &Rejection) -> Response<Bytes> {
        Response::new(Bytes::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_9449_section_8_1_what_is_no_nonce_is_not_sent_as_one() {
        let sent = |nonce: &str| nonce_value(nonce.to_owned());
        for good in ["!", "#[", "]~", "eyJ7S_zG.eyJH0-Z.HX4w-7v"] {
            assert_eq!(
                sent(good).as_ref().map(HeaderValue::as_bytes),
                Some(good.as_bytes())
            );
        }
        for wrong in [
            "",
            " n",
            "n ",
            "n n",
            "n\t",
            "\"n\"",
            "n\\",
            "n\x7f",
            "n\u{fc}",
            "n\r\nx: y",
        ] {
            assert_eq!(sent(wrong), None, "{wrong:?}");
        }
    }
}
