//! Answers proxies that ask over HTTP whether a request may pass: nginx (`auth_request`), Traefik
//! (`ForwardAuth`) and Caddy (`forward_auth`).
//!
//! The proxy sends the headers of the original request, and its method and URI in additional headers.
//! The response is either 200 with the [identity headers](crate::gateway::identity), which the proxy
//! passes on, or the rejection for the client. `docs/forward-auth.md` describes how to configure the
//! proxies.

use std::{future::Future, io};

use axum::body::Body;
use dpop_tower::{header::DPOP, target::CertificateHeader};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use tokio::net::TcpListener;
use tracing::{error, warn};

use crate::gateway::{
    asked::{self, NotOne, OriginalRequest},
    guard::Verdict,
    live::Gateway,
    proxy::problem,
    server::{
        Shutdown,
        head::{self, Malformed},
        serve_with,
    },
    settings::{ForwardAuthSettings, Limits},
};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The status of a rejection, for nginx, which accepts only some statuses.
const STATUS: HeaderName = HeaderName::from_static("x-dpop-status");

/// The proxy that asks. Each has its own headers and its own way of passing on responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskingProxy {
    /// Sends `X-Original-Method` and `X-Original-URI`. nginx treats any status other than 2xx, 401 and
    /// 403 as a failure; see [`ForwardAuth::answer`].
    Nginx,
    /// Sends `X-Forwarded-Method`, `-Uri` and `-Host`.
    Traefik,
    /// Sends `X-Forwarded-Method`, `-Uri` and `-Host`.
    Caddy,
}

/// A pair of headers that contain the original method and URI.
#[derive(Clone, Copy)]
struct Family {
    method: &'static str,
    uri: &'static str,
}

const X_ORIGINAL: Family = Family {
    method: "x-original-method",
    uri: "x-original-uri",
};
const X_FORWARDED: Family = Family {
    method: "x-forwarded-method",
    uri: "x-forwarded-uri",
};

impl AskingProxy {
    /// The headers that this proxy uses, and those that it does not.
    const fn families(self) -> (Family, Family) {
        match self {
            Self::Nginx => (X_ORIGINAL, X_FORWARDED),
            Self::Traefik | Self::Caddy => (X_FORWARDED, X_ORIGINAL),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Traefik => "Traefik",
            Self::Caddy => "Caddy",
        }
    }
}

/// The forward-auth service. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    gateway: Gateway,
}

/// Why a question has no verdict.
enum Trouble {
    /// The proxy is misconfigured.
    Proxy(NotOne),
    /// No honest client makes such a request.
    Request(StatusCode),
}

impl From<NotOne> for Trouble {
    fn from(not_one: NotOne) -> Self {
        Self::Proxy(not_one)
    }
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        warn!(target: "gateway", "rejected a request: {}", malformed.what());
        Self::Request(malformed.status())
    }
}

const BAD_REQUEST: Trouble = Trouble::Request(StatusCode::BAD_REQUEST);

impl ForwardAuth {
    /// Shares the guard of this gateway, and with it the replay store. The current settings decide on
    /// each request who may ask and which proxy that is; without `[forward_auth]`, nobody may.
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }

    /// Returns 200 if the request may pass, or its rejection.
    ///
    /// A peer that the current settings do not list gets 403. If a header that the proxy has to set is
    /// missing or repeated, the status is 500 and the log names the header.
    ///
    /// nginx turns every rejection into a 500 unless its status is 401 or 403. It therefore gets 403 for
    /// the others, and the actual status of each rejection in `X-DPoP-Status`.
    ///
    /// A proxy can also send a client's request for the metadata of the protected resource here. It asks no question
    /// with it.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let guard = self.gateway.guard();
        if guard.has_metadata_at(request.uri()) && self.is_trusted(&request) {
            return match asks(request.headers()) {
                false => (guard.metadata(request).await)
                    .unwrap_or_else(|| problem(StatusCode::NOT_FOUND)),
                // A client may have written it: the proxy asks at another path.
                true => problem(StatusCode::BAD_REQUEST),
            };
        }
        let page = request.headers().get(header::ORIGIN).cloned();
        let mut response = self.verdict(request).await;
        if !response.status().is_success() {
            response = self.gateway.readable(page.as_ref(), response).await;
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn is_trusted(&self, request: &Request<Body>) -> bool {
        let settings = self.gateway.forward_auth();
        settings.is_some_and(|settings| settings.trusted_proxies.include(request.extensions()))
    }

    async fn verdict(&self, request: Request<Body>) -> Response<Body> {
        let peer = asked::peer(request.extensions());
        let settings = self.gateway.forward_auth();
        let settings =
            settings.filter(|settings| settings.trusted_proxies.include(request.extensions()));
        let Some(settings) = settings else {
            warn!(target: "gateway", "rejected a forward-auth request from {peer:?}: the address is not in `forward_auth.networks`");
            return problem(StatusCode::FORBIDDEN);
        };
        let ForwardAuthSettings {
            proxy,
            client_certificate,
            ..
        } = settings;
        let (parts, _) = request.into_parts();
        let asked = match proxy.asked(&parts, client_certificate.as_ref()) {
            Ok(asked) => asked,
            Err(Trouble::Proxy(not_one)) => return proxy.misconfigured(not_one),
            Err(Trouble::Request(status)) => return proxy.rejected(problem(status)),
        };
        let guard = self.gateway.guard();
        // A response cannot remove a header from the proxy's request.
        if let Some(name) = asked::forged(parts.headers.keys(), guard.identity()) {
            warn!(target: "gateway", "rejected a request with the header {name}, which only the gateway may write; configure the proxy to remove it before it asks");
            return proxy.rejected(problem(StatusCode::BAD_REQUEST));
        }
        // The content type is left out, so that a gRPC request is rejected with an HTTP status. A gRPC
        // rejection has the status 200, which proxies take for permission.
        let mut names = vec![header::AUTHORIZATION, DPOP];
        if proxy != AskingProxy::Nginx {
            names.extend([X_FORWARDED_HOST, X_FORWARDED_PROTO]);
        }
        let mut request = asked.request(&parts.headers, &names, peer);
        if let Some(header) = client_certificate {
            let values = parts.headers.get_all(header.name());
            asked::report_certificate(&mut request, header, values);
        }
        match guard.check(request).await {
            Verdict::Admitted {
                identity,
                response_headers,
            } => {
                let mut response = Response::new(Body::empty());
                response.headers_mut().extend(response_headers);
                response.headers_mut().extend(identity);
                response
            }
            Verdict::Rejected(response) => proxy.rejected(response),
        }
    }
}

/// Returns whether a request has a header that describes another one.
fn asks(headers: &HeaderMap) -> bool {
    let names = [X_ORIGINAL, X_FORWARDED].map(|family| [family.method, family.uri]);
    names
        .iter()
        .flatten()
        .any(|name| headers.contains_key(*name))
}

impl AskingProxy {
    fn asked(
        self,
        parts: &http::request::Parts,
        certificate: Option<&CertificateHeader>,
    ) -> Result<OriginalRequest, Trouble> {
        let headers = &parts.headers;
        head::framing(headers)?;
        let (family, other) = self.families();
        let (method, uri) = (
            asked::only(headers, family.method)?,
            asked::only(headers, family.uri)?,
        );
        for (value, name) in [(method, other.method), (uri, other.uri)] {
            // A client has set it to another value, and a service may use that one.
            if headers.get_all(name).iter().any(|said| said != value) {
                warn!(target: "gateway", "rejected a request: {name} differs from what {} has set", self.name());
                return Err(BAD_REQUEST);
            }
        }
        let is_of_family = |name: &&HeaderName| {
            [family.method, family.uri, other.method, other.uri].contains(&name.as_str())
        };
        let names = headers.keys().filter(|name| !is_of_family(name));
        if let Some(name) = asked::misleading(names, certificate) {
            warn!(target: "gateway", "rejected a request with the header {name}, from which a service could read another method, path, host or client certificate");
            return Err(BAD_REQUEST);
        }
        Ok(OriginalRequest {
            method: asked::method(method.as_bytes()).ok_or(BAD_REQUEST)?,
            target: asked::target(uri.as_bytes()).ok_or(BAD_REQUEST)?,
            host: self.host(parts)?,
        })
    }

    /// The host that selects one of the public origins.
    fn host(self, parts: &http::request::Parts) -> Result<Option<HeaderValue>, Trouble> {
        let headers = &parts.headers;
        let told = if self != Self::Nginx && headers.contains_key(X_FORWARDED_HOST) {
            Some(asked::only(headers, "x-forwarded-host")?.clone())
        } else {
            let sent = head::only_host(headers)?;
            match parts.uri.authority() {
                Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
                None => sent.cloned(),
            }
        };
        match told {
            Some(host) if !head::is_host(&host) => {
                warn!(target: "gateway", "rejected a request: {} sends an invalid host", self.name());
                Err(BAD_REQUEST)
            }
            told => Ok(told),
        }
    }

    fn misconfigured(self, NotOne { name, is_missing }: NotOne) -> Response<Body> {
        let proxy = self.name();
        let how = if is_missing { "no" } else { "more than one" };
        error!(target: "gateway", "{proxy} sends {how} {name} header: it must set this header exactly once; see docs/forward-auth.md");
        problem(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn rejected(self, mut response: Response<Body>) -> Response<Body> {
        let status = response.status();
        if status.is_success() {
            // The proxy would let the request pass.
            error!(target: "gateway", "a rejection has the success status {status}");
            return problem(StatusCode::INTERNAL_SERVER_ERROR);
        }
        if self == Self::Nginx {
            asked::join_challenges(response.headers_mut());
            response
                .headers_mut()
                .insert(STATUS, HeaderValue::from(status.as_u16()));
            if !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
        }
        response
    }
}

/// Answers on a socket until shutdown; see [`serve`](crate::gateway::serve).
///
/// # Errors
///
/// Returns an error if the listener has no address.
pub async fn serve(
    listener: TcpListener,
    forward_auth: ForwardAuth,
    limits: Limits,
    shutdown: Shutdown<impl Future<Output = ()>>,
) -> io::Result<()> {
    let settings = forward_auth.gateway.forward_auth();
    let name = settings.map_or("nobody", |settings| settings.proxy.name());
    let what = format!("answering {name}");
    let answer = move |request| {
        let forward_auth = forward_auth.clone();
        async move { forward_auth.answer(request).await }
    };
    serve_with(listener, &what, answer, limits, shutdown).await
}
