//! Answers proxies that ask over HTTP whether a request may pass: nginx (`auth_request`), Traefik
//! (`ForwardAuth`) and Caddy (`forward_auth`).
//!
//! The proxy sends the headers of the request, and in further headers which method and URI it was for.
//! The answer is 200 with the [identity headers](crate::gateway::identity) for the proxy to pass on, or the
//! rejection for the client. `docs/forward-auth.md` has what the proxies need to be told.

use std::{future::Future, io};

use axum::body::Body;
use dpop_tower::header::DPOP;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};
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

/// What the status of a rejection is where nginx cannot be told it.
const STATUS: HeaderName = HeaderName::from_static("x-dpop-status");

/// Which proxy asks: each has headers of its own, and passes on answers in its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskingProxy {
    /// `X-Original-Method` and `X-Original-URI`. nginx takes 2xx, 401 and 403 for an answer, and
    /// anything else for a failure; see [`ForwardAuth::answer`].
    Nginx,
    /// `X-Forwarded-Method`, `-Uri` and `-Host`.
    Traefik,
    /// `X-Forwarded-Method`, `-Uri` and `-Host`.
    Caddy,
}

/// Two headers in which a proxy may say what was requested.
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
    /// The headers that count, and those that do not.
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

/// Says whether requests may pass. Clones are cheap.
#[derive(Clone, Debug)]
pub struct ForwardAuth {
    gateway: Gateway,
}

/// Why there is no verdict.
enum Trouble {
    /// The proxy is not set up as it has to be.
    Proxy(NotOne),
    /// The request cannot be one that anybody makes in good faith.
    Request(StatusCode),
}

impl From<NotOne> for Trouble {
    fn from(not_one: NotOne) -> Self {
        Self::Proxy(not_one)
    }
}

impl From<Malformed> for Trouble {
    fn from(malformed: Malformed) -> Self {
        warn!(target: "gateway", "a request is rejected: {}", malformed.what());
        Self::Request(malformed.status())
    }
}

const BAD_REQUEST: Trouble = Trouble::Request(StatusCode::BAD_REQUEST);

impl ForwardAuth {
    /// Asks the guard of this gateway, and so knows the proofs that were used there. Who may ask, and
    /// which proxy that is, its settings say at each request; without any, nobody may.
    pub fn new(gateway: Gateway) -> Self {
        Self { gateway }
    }

    /// Whether a request may pass: 200, or its rejection.
    ///
    /// Only those may ask whom the settings in force list; others get 403. A header that the proxy should have
    /// set and has not, or not once, makes a 500, and the log names it.
    ///
    /// nginx would turn a rejection with any other status than 401 and 403 into a 500. It gets these as
    /// 403, and every status also in `X-DPoP-Status`.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let page = request.headers().get(header::ORIGIN).cloned();
        let mut response = self.verdict(request).await;
        if !response.status().is_success() {
            response = self.gateway.readable(page.as_ref(), response).await;
        }
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    async fn verdict(&self, request: Request<Body>) -> Response<Body> {
        let peer = asked::peer(request.extensions());
        let settings = self.gateway.forward_auth();
        let settings =
            settings.filter(|settings| settings.trusted_proxies.include(request.extensions()));
        let Some(ForwardAuthSettings { proxy, .. }) = settings else {
            warn!(target: "gateway", "{peer:?} has asked whether a request may pass, and is none of the `forward_auth.networks`");
            return problem(StatusCode::FORBIDDEN);
        };
        let (parts, _) = request.into_parts();
        let asked = match proxy.asked(&parts) {
            Ok(asked) => asked,
            Err(Trouble::Proxy(not_one)) => return proxy.misconfigured(not_one),
            Err(Trouble::Request(status)) => return proxy.rejected(problem(status)),
        };
        let guard = self.gateway.guard();
        // Nothing here can take a header away from the request.
        if let Some(name) = asked::forged(parts.headers.keys(), guard.identity()) {
            warn!(target: "gateway", "a request has the header {name}, which only the gateway may write; the proxy should take it away before it asks");
            return proxy.rejected(problem(StatusCode::BAD_REQUEST));
        }
        // Without the content type, a gRPC request is rejected with an HTTP status. The status of
        // a gRPC rejection is 200, and proxies would let the request pass.
        let mut names = vec![header::AUTHORIZATION, DPOP];
        if proxy != AskingProxy::Nginx {
            names.extend([X_FORWARDED_HOST, X_FORWARDED_PROTO]);
        }
        match guard
            .check(asked.request(&parts.headers, &names, peer))
            .await
        {
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

impl AskingProxy {
    fn asked(self, parts: &http::request::Parts) -> Result<OriginalRequest, Trouble> {
        let headers = &parts.headers;
        head::framing(headers)?;
        let (family, other) = self.families();
        let (method, uri) = (
            asked::only(headers, family.method)?,
            asked::only(headers, family.uri)?,
        );
        for (value, name) in [(method, other.method), (uri, other.uri)] {
            // Anyone who has set it means something else, and a service may believe that.
            if headers.get_all(name).iter().any(|said| said != value) {
                warn!(target: "gateway", "{name} says something else than {} has set; the request is rejected", self.name());
                return Err(BAD_REQUEST);
            }
        }
        let is_of_family = |name: &&HeaderName| {
            [family.method, family.uri, other.method, other.uri].contains(&name.as_str())
        };
        let names = headers.keys().filter(|name| !is_of_family(name));
        if let Some(name) = asked::misleading(names) {
            warn!(target: "gateway", "a request has the header {name}, by which a service could take it for another one; the request is rejected");
            return Err(BAD_REQUEST);
        }
        Ok(OriginalRequest {
            method: asked::method(method.as_bytes()).ok_or(BAD_REQUEST)?,
            target: asked::target(uri.as_bytes()).ok_or(BAD_REQUEST)?,
            host: self.host(parts)?,
        })
    }

    /// What chooses among the public origins.
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
                warn!(target: "gateway", "{} tells a host that is none; the request is rejected", self.name());
                Err(BAD_REQUEST)
            }
            told => Ok(told),
        }
    }

    fn misconfigured(self, NotOne { name, is_missing }: NotOne) -> Response<Body> {
        let proxy = self.name();
        let how = if is_missing { "no" } else { "more than one" };
        error!(target: "gateway", "{proxy} asks with {how} {name}: it has to set this header, once; see docs/forward-auth.md");
        problem(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn rejected(self, mut response: Response<Body>) -> Response<Body> {
        let status = response.status();
        if status.is_success() {
            // It would let the request pass.
            error!(target: "gateway", "a rejection has the status {status}");
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

/// Answers on a socket until it is told to end; see [`serve`](crate::gateway::serve).
///
/// # Errors
///
/// If the listener has no address.
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
