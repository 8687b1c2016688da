use bytes::Bytes;
use http::{HeaderValue, Response};

use super::Rejection;
use crate::policy::is_nqchars;

/// RFC 9449 section 8.2: a cache must not give a nonce to another client. The same is true of a verdict.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Returns the header value of a nonce.
///
/// Returns `None` if the text of a [`NonceSource`](crate::nonce::NonceSource) is not a nonce by RFC 9449
/// section 8.1. Clients need not be able to read it.
pub(crate) fn nonce_value(nonce: String) -> Option<HeaderValue> {
    is_nqchars(&nonce)
        .then(|| HeaderValue::try_from(nonce))?
        .ok()
}

/// Makes the response to a rejected request, for example with a body of your own.
///
/// Any `Fn(&Rejection) -> Response<T>` implements it if `T` converts into [`Bytes`], as `String`,
/// `&'static str` and `Vec<u8>` do. Return `""` for an empty body.
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
/// Implement it for a type of your own if the response depends on state:
///
/// ```
/// use bytes::Bytes;
/// use dpop_tower::rejection::{Rejection, RejectionKind, RejectionResponse};
/// use http::{HeaderValue, Response, header};
///
/// /// Tells people where to get help, and gives no body where a client can help itself.
/// struct HelpPage {
///     url: &'static str,
/// }
///
/// impl RejectionResponse for HelpPage {
///     fn response(&self, rejection: &Rejection) -> Response<Bytes> {
///         if rejection.kind() == RejectionKind::UseDpopNonce {
///             return Response::default();
///         }
///         let mut response = Response::new(format!("{}: see {}", rejection.description(), self.url));
///         let text = HeaderValue::from_static("text/plain; charset=utf-8");
///         response.headers_mut().insert(header::CONTENT_TYPE, text);
///         response.map(Bytes::from)
///     }
/// }
/// # fn takes(_: impl dpop_tower::rejection::RejectionResponse) {}
/// # takes(HelpPage { url: "https://example.com/help" });
/// ```
///
/// A layer shares the responder with extractors and inner layers, so it has to be `Send`, `Sync` and
/// `'static`. The layer then sets the status, `WWW-Authenticate`, `DPoP-Nonce`, `Cache-Control` and
/// `Retry-After`, so a responder cannot omit them. It is not called for gRPC requests, whose rejection has
/// no body.
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
    /// Returns the response to a request that was rejected for this reason.
    ///
    /// The status is overwritten. Headers that the layer does not set are kept.
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

/// Answers rejected requests with an empty body. This is the default.
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
