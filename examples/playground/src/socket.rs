//! A web socket that echoes, and ends with the token of its ticket.

use std::{pin::pin, sync::Arc};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    http::{HeaderMap, StatusCode, header},
    response::Response,
};

use crate::tickets::{Entry, Tickets};

/// The subprotocol that the server selects. It never selects the ticket, which would then be in the response as well.
const PROTOCOL: &str = "playground";
const TICKET: &str = "ticket.";

const LARGEST_MESSAGE: usize = 4096;

pub(crate) async fn open(
    State(tickets): State<Arc<Tickets>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, StatusCode> {
    let entry = ticket(&headers).and_then(|ticket| tickets.redeem(ticket));
    let entry = entry.ok_or(StatusCode::FORBIDDEN)?;
    Ok(upgrade
        .protocols([PROTOCOL])
        .max_message_size(LARGEST_MESSAGE)
        .on_upgrade(|socket| talk(socket, entry)))
}

/// Returns the ticket among the subprotocols. URLs get into logs, and this header does not.
fn ticket(headers: &HeaderMap) -> Option<&str> {
    let offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let mut offered = offered.split(',').map(str::trim);
    offered.find_map(|protocol| protocol.strip_prefix(TICKET))
}

async fn talk(mut socket: WebSocket, entry: Entry) {
    let mut ended = pin!(entry.lifetime.ended());
    let welcome = format!("hello, holder of key {}", entry.thumbprint);
    let mut answer = Some(welcome);
    loop {
        if let Some(text) = answer.take()
            && socket.send(Message::Text(text.into())).await.is_err()
        {
            return;
        }
        let message = tokio::select! {
            () = &mut ended => break,
            message = socket.recv() => message,
        };
        match message {
            Some(Ok(Message::Text(text))) => answer = Some(format!("echo: {text}")),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
            Some(Ok(_)) => {}
        }
    }
    let close = CloseFrame {
        code: close_code::POLICY,
        reason: "the token has expired".into(),
    };
    // The client may be gone.
    let _ = socket.send(Message::Close(Some(close))).await;
}
