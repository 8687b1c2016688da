//! The pages of the issuer.

use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::issuer::Inner;

/// No page loads or runs anything, and none can be shown inside another.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'",
);

/// Returns a page. The body is HTML, in which every text of a caller is [`escaped`].
pub(super) fn page(status: StatusCode, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>dpop idp</title>\
         <style>body{{font:16px sans-serif;max-width:36em;margin:3em auto}}button{{margin:.2em}}</style>\
         <p><strong>A development issuer. It asks for no password.</strong></p>{body}"
    );
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    ];
    (status, headers, html).into_response()
}

pub(super) fn error_page(message: &str) -> Response {
    page(
        StatusCode::BAD_REQUEST,
        &format!("<p>{}</p>", escaped(message)),
    )
}

/// Returns a form with a button for each user, and one that denies the request.
pub(super) fn user_form(idp: &Inner, action: &str, hidden: &[(&str, &str)]) -> String {
    let mut form = format!("<form method=post action=\"{}\">", escaped(action));
    for (name, value) in hidden {
        let (name, value) = (escaped(name), escaped(value));
        form.push_str(&format!(
            "<input type=hidden name=\"{name}\" value=\"{value}\">"
        ));
    }
    for user in &idp.settings.users {
        let subject = escaped(&user.subject);
        form.push_str(&format!(
            "<button name=user value=\"{subject}\">Continue as {subject}</button>"
        ));
    }
    form + "<button name=deny value=yes>Deny</button></form>"
}

pub(super) fn escaped(text: &str) -> String {
    let mut html = String::new();
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

/// Returns whether a form was sent by a page of this issuer, and not by another site.
pub(super) fn is_from_own_page(idp: &Inner, headers: &HeaderMap) -> bool {
    match headers.get(header::ORIGIN) {
        Some(origin) if origin.as_bytes() == idp.url.as_bytes() => true,
        // Another name of this machine, such as `localhost`. The host was checked before.
        Some(origin) => {
            let host = origin.as_bytes().strip_prefix(b"http://");
            host.is_some() && host == headers.get(header::HOST).map(HeaderValue::as_bytes)
        }
        // A program, such as curl or a test. Browsers send it with every form.
        None => !headers.contains_key("sec-fetch-site"),
    }
}
