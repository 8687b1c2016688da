//! A caller of the service, and a browser.

use bytes::Bytes;
use dpop_tower::test_util::TestIssuer;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tower::BoxError;

use crate::api::Api;

pub(crate) async fn run(
    reports_url: &str,
    issuer: &TestIssuer,
    app_url: &str,
) -> Result<(), BoxError> {
    service(reports_url, issuer).await?;
    browser(app_url).await
}

/// Calls the service with credentials, a cookie and an identifier of the request.
async fn service(url: &str, issuer: &TestIssuer) -> Result<(), BoxError> {
    let reports = Api::new(url, "bob", issuer)?;
    let request = reports
        .get("/report")
        .header("x-request-id", "42")
        .header(header::COOKIE, "session=secret")
        .body(Full::default())?;
    let response = reports.send(request).await?;
    let text = told("the service", &response, StatusCode::OK)?;
    // The API has seen the token of the service.
    let expected = "report for bob: orders of reports";
    let is_good = text.starts_with(expected) && text.contains("x-request-id");
    if !is_good || text.contains("cookie") {
        return Err(format!("{expected:?} was expected, with x-request-id and no cookie").into());
    }
    Ok(())
}

async fn browser(url: &str) -> Result<(), BoxError> {
    let login = send("POST", &format!("{url}/login"), &[]).await?;
    let csrf = told("login", &login, StatusCode::OK)?;
    let set_cookie = login.headers()[header::SET_COOKIE].to_str()?;
    let attributes = ["Secure", "HttpOnly", "SameSite=Strict"];
    if !attributes.iter().all(|it| set_cookie.contains(it)) {
        return Err("the cookie lacks an attribute".into());
    }
    let (cookie, _) = set_cookie.split_once(';').unwrap_or_default();
    let cookie = ("cookie", cookie);
    let csrf = ("x-csrf-token", csrf.as_str());
    let (orders, logout) = (format!("{url}/api/orders"), format!("{url}/logout"));
    for (what, method, url, headers, expected) in [
        (
            "no cookie",
            "GET",
            &orders,
            &[csrf][..],
            StatusCode::UNAUTHORIZED,
        ),
        (
            "no CSRF token",
            "GET",
            &orders,
            &[cookie],
            StatusCode::FORBIDDEN,
        ),
        (
            "another CSRF token",
            "GET",
            &orders,
            &[cookie, ("x-csrf-token", "guess")],
            StatusCode::FORBIDDEN,
        ),
        (
            "cookie and CSRF token",
            "GET",
            &orders,
            &[cookie, csrf],
            StatusCode::OK,
        ),
        (
            "logout",
            "POST",
            &logout,
            &[cookie, csrf],
            StatusCode::NO_CONTENT,
        ),
        (
            "after logout",
            "GET",
            &orders,
            &[cookie, csrf],
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let response = send(method, url, headers).await?;
        let text = told(what, &response, expected)?;
        if expected == StatusCode::OK && !text.starts_with("orders of alice") {
            return Err("the orders of alice were expected".into());
        }
        for name in ["authorization", "dpop", "dpop-nonce", "www-authenticate"] {
            if response.headers().contains_key(name) {
                return Err(format!("the browser got {name}").into());
            }
        }
    }
    Ok(())
}

async fn send(
    method: &str,
    url: &str,
    headers: &[(&'static str, &str)],
) -> Result<Response<Bytes>, BoxError> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let http = Client::builder(TokioExecutor::new()).build_http();
    let response = http
        .request(request.body(Full::<Bytes>::default())?)
        .await?;
    let (head, body) = response.into_parts();
    Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
}

/// Prints an outcome, and returns its text if the status is the expected one.
fn told(what: &str, response: &Response<Bytes>, expected: StatusCode) -> Result<String, BoxError> {
    let text = String::from_utf8_lossy(response.body()).into_owned();
    // The CSRF token is of no interest.
    let shown = if response.headers().contains_key(header::SET_COOKIE) {
        ""
    } else {
        &text
    };
    println!("{what:<22} {}  {shown}", response.status());
    if response.status() != expected {
        return Err(format!("{expected} was expected").into());
    }
    Ok(text)
}
