//! The page. Its files are part of the program, and nothing is loaded from elsewhere.

use axum::{
    Router,
    http::header::{self, HeaderName},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get},
};

/// `connect-src 'self'` includes web sockets. Scripts and styles are files, so neither has to be allowed inline, and no
/// script can turn text into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

macro_rules! file {
    ($name:literal, $content_type:literal) => {
        file($content_type, include_str!(concat!("page/", $name)))
    };
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", file!("index.html", "text/html; charset=utf-8"))
        .route("/page.css", file!("page.css", "text/css; charset=utf-8"))
        .route("/icon.svg", file!("icon.svg", "image/svg+xml"))
        .route(
            "/page.js",
            file!("page.js", "text/javascript; charset=utf-8"),
        )
        .route(
            "/dpop.js",
            file!("dpop.js", "text/javascript; charset=utf-8"),
        )
        .route(
            "/keys.js",
            file!("keys.js", "text/javascript; charset=utf-8"),
        )
        .route(
            "/result.js",
            file!("result.js", "text/javascript; charset=utf-8"),
        )
        .route(
            "/streams.js",
            file!("streams.js", "text/javascript; charset=utf-8"),
        )
}

fn file(content_type: &'static str, text: &'static str) -> MethodRouter {
    get(async move || -> Response {
        (HEADERS, [(header::CONTENT_TYPE, content_type)], text).into_response()
    })
}
