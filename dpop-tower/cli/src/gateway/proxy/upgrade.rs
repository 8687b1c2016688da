//! WebSockets (RFC 6455 over HTTP/1.1). No other protocol is upgraded to: `h2c`, for example, would
//! carry requests that nobody checks.

use axum::body::Body;
use dpop_tower::lifetime::TokenLifetime;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version, header};
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use tracing::debug;

use super::headers::has_token;
use crate::gateway::server::ConnectionPermit;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Returns the client's connection if it asks for a WebSocket.
pub(super) fn wanted(request: &mut Request<Body>) -> Option<OnUpgrade> {
    let headers = request.headers();
    let is_wanted = request.version() == Version::HTTP_11
        && request.method() == Method::GET
        && has_token(headers, &header::CONNECTION, "upgrade")
        && has_token(headers, &header::UPGRADE, "websocket");
    is_wanted.then(|| hyper::upgrade::on(request))
}

/// Adds the headers with which a request or a response switches protocols.
pub(super) fn ask(headers: &mut HeaderMap) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, WEBSOCKET);
}

/// Copies bytes in both directions until one side ends the connection, or the token expires or is revoked. Returns
/// `false` if the upstream has switched to another protocol.
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
                debug!(target: "gateway", "failed to upgrade a connection: {error}");
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
            // The gateway does not care how a WebSocket ends.
            _ = copy => {}
            () = expired => debug!(target: "gateway", "closed a WebSocket because its token has expired or is revoked"),
        }
    });
    true
}
