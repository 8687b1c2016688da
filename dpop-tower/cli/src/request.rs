//! `dpop request`: a request with an access token and a proof.
//!
//! | module | what it does |
//! |---|---|
//! | `arguments` | the command line, and what of it cannot be sent |
//! | `http` | one exchange with a server |
//! | `challenge` | parses `WWW-Authenticate` |
//! | `verbose` | shows exchanges, with proofs decoded and without the token |
//! | `rejected` | explains a rejection, with the next step |
//! | `output` | writes the response |

mod arguments;
mod challenge;
mod http;
mod output;
mod rejected;
mod verbose;

pub use self::arguments::Arguments;

use ::http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header, uri::PathAndQuery,
};
use bytes::Bytes;
use dpop_tower::client::DpopClient;
use hyper::body::Incoming;

use self::{
    arguments::Prepared,
    challenge::{Challenge, challenges},
    http::HttpClient,
};
use crate::{failure::Failure, proof, terminal::Terminal};

const DPOP: &str = "dpop";
const DPOP_NONCE: &str = "dpop-nonce";

/// The maximum number of redirects that `--location` follows.
const MAX_REDIRECTS: usize = 10;

/// Sends the request and writes the response.
///
/// # Errors
///
/// Returns a failure if the server rejects the request or is out of reach, or if the arguments are wrong.
pub async fn run(arguments: Arguments, terminal: Terminal) -> Result<(), Failure> {
    let prepared = arguments.prepare(terminal)?;
    let client = DpopClient::new(prepared.key.clone())
        .map_err(|error| Failure::wrong_use(error.to_string()))?;
    let mut session = Session {
        http: HttpClient::new(prepared.timeout)?,
        client,
        nonce: prepared.nonce.clone(),
        prepared,
    };
    let response = session.send().await?;
    let rejection = rejected::rejection(&response, &session.prepared);
    let prepared = &session.prepared;
    output::write(response, &prepared.output, prepared.timeout, terminal).await?;
    rejection.map_or(Ok(()), Err)
}

/// The request, and the newest nonce of its server.
struct Session {
    http: HttpClient,
    client: DpopClient,
    nonce: Option<String>,
    prepared: Prepared,
}

impl Session {
    /// Sends the request, and follows redirects within its origin if that is wanted.
    async fn send(&mut self) -> Result<Response<Incoming>, Failure> {
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_with_nonce().await?;
            let Some(location) = self.redirect(&response)? else {
                return Ok(response);
            };
            self.follow(location, response.status());
        }
        Err(Failure::rejected(format!(
            "the server redirected more than {MAX_REDIRECTS} times"
        )))
    }

    /// Sends the request, and once more if the server wants a nonce (RFC 9449 section 9).
    async fn send_with_nonce(&mut self) -> Result<Response<Incoming>, Failure> {
        let response = self.send_once().await?;
        let wants_nonce = response.status() == StatusCode::UNAUTHORIZED
            && challenges(response.headers())
                .iter()
                .any(Challenge::wants_nonce);
        if !wants_nonce || !response.headers().contains_key(DPOP_NONCE) {
            return Ok(response);
        }
        if self.prepared.verbose {
            verbose::note("the server wants a nonce: sending the request again with a new proof");
        }
        self.send_once().await
    }

    async fn send_once(&mut self) -> Result<Response<Incoming>, Failure> {
        let Prepared {
            method, url, token, ..
        } = &self.prepared;
        let nonce = self.nonce.as_deref();
        let proof = proof::sign(&self.client, method, url, Some(token), nonce).await?;
        let mut request = ::http::Request::new(self.prepared.body.clone());
        method.clone_into(request.method_mut());
        url.clone_into(request.uri_mut());
        request.headers_mut().clone_from(&self.prepared.headers);
        for (name, value) in [
            (header::AUTHORIZATION.as_str(), format!("DPoP {token}")),
            (DPOP, proof.clone()),
        ] {
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| Failure::wrong_use("the access token cannot be sent in a header"))?;
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
        if self.prepared.verbose {
            verbose::request(&request, &proof);
        }
        let response = self.http.send(request).await?;
        if self.prepared.verbose {
            verbose::response(&response);
        }
        // RFC 9449 section 8.2: every response may have a newer nonce.
        if let Some(nonce) = text(response.headers(), DPOP_NONCE) {
            self.nonce = Some(nonce.to_owned());
        }
        Ok(response)
    }

    /// Returns where to go on, if this is a redirect to follow.
    fn redirect(&self, response: &Response<Incoming>) -> Result<Option<Uri>, Failure> {
        let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = text(response.headers(), header::LOCATION.as_str()) else {
            return Ok(None);
        };
        if !is_redirect || !self.prepared.location {
            return Ok(None);
        }
        let elsewhere = || {
            let shown = location.escape_debug();
            Failure::rejected(format!(
                "the server redirects to another origin, which does not get the token: {shown}"
            ))
            .next_step("If that is the right server, give its URL to `dpop request`.")
        };
        within_origin(&self.prepared.url, location)
            .map(Some)
            .ok_or_else(elsewhere)
    }

    /// RFC 9110 section 15.4: as browsers and curl do it.
    fn follow(&mut self, location: Uri, status: StatusCode) {
        let prepared = &mut self.prepared;
        let becomes_get = match status {
            StatusCode::SEE_OTHER => prepared.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => prepared.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            prepared.method = Method::GET;
            prepared.body = Bytes::new();
            prepared.headers.remove(header::CONTENT_TYPE);
        }
        if prepared.verbose {
            verbose::note("following the redirect with a new proof");
        }
        prepared.url = location;
    }
}

/// Resolves a reference against the URL of the request, if the result has the same origin.
fn within_origin(base: &Uri, location: &str) -> Option<Uri> {
    let same = |uri: &Uri| {
        let origin = |uri: &Uri| {
            let port = uri.port_u16();
            let default = if uri.scheme_str() == Some("https") {
                443
            } else {
                80
            };
            let host = uri.host().map(str::to_ascii_lowercase);
            (
                uri.scheme_str().map(str::to_owned),
                host,
                port.unwrap_or(default),
            )
        };
        let has_user = uri.authority().is_some_and(|it| it.as_str().contains('@'));
        origin(uri) == origin(base) && !has_user
    };
    // Only the two forms that servers write. `//host/` is not a path.
    if location.starts_with('/') && !location.starts_with("//") && !location.contains('\\') {
        let mut parts = base.clone().into_parts();
        let without_fragment = location.split('#').next().unwrap_or_default();
        parts.path_and_query = Some(without_fragment.parse::<PathAndQuery>().ok()?);
        return Uri::from_parts(parts).ok();
    }
    location.parse().ok().filter(same)
}

/// Returns the value of a header that is there once and is text.
fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    }
}
