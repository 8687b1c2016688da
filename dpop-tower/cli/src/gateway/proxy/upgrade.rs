//! WebSockets (RFC 6455 over HTTP/1.1). Any other protocol is not asked for: with `h2c`, say, requests
//! would follow that nobody checks.

use axum::body::Body;
use dpop_tower::lifetime::TokenLifetime;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::headers::has_token;
use crate::gateway::server::ConnectionPermit;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// The client's connection, if it asks for a WebSocket.
pub(super) fn wanted(request: &mut Request<Body>) -> Option<OnUpgrade> {
    let headers = request.headers();
    let is_wanted = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket");
    is_wanted.then(|| hyper::upgrade::on(request))
}

/// Writes what makes a request or a response switch protocols.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, WEBSOCKET);
}

/// Passes bytes both ways from now on, until one side ends it or the token expires. `false` if the
/// upstream has switched to something else.
pub(super) fn connect(
    client_side: OnUpgrade,
    response: &mut Response<Incoming>,
    lifetime: Option<TokenLifetime>,
    place: Option<ConnectionPermit>,
) -> bool {
    if !has_token(response.headers(), &header::UPGRADE, "websocket") {
        return false;
    }
    let upstream_side = hyper::upgrade::on(response);
    tokio::spawn(async move {
        let _place = place;
        let (client, upstream) = match tokio::try_join!(client_side, upstream_side) {
            Ok(sides) => sides,
            Err(error) => {
                debug!(target: "gateway", "a connection was not upgraded: {error}");
                return;
            }
        };
        let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
        let copy = tokio::io::copy_bidirectional(&mut client, &mut upstream);
        let expired = async {
            match &lifetime {
                Some(lifetime) => lifetime.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // How a WebSocket ends is not the gateway's business.
            _ = copy => {}
            () = expired => debug!(target: "gateway", "a WebSocket has ended with its token"),
        }
    });
    true
}
