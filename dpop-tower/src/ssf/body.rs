//! Reads the body of a request within limits.

use std::{future::poll_fn, pin::pin, time::Duration};

use bytes::Buf as _;
use http::StatusCode;
use http_body::Body;
use tokio::time::timeout;

/// The maximum length of a SET in bytes.
const MAX_LEN: usize = 64 * 1024;

/// The time limit for the whole body.
const LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn read<B: Body>(body: B) -> Result<Vec<u8>, StatusCode> {
    let length = body.size_hint().lower();
    if length > MAX_LEN as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match timeout(LIMIT, collect(body)).await {
        Ok(read) => read,
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

async fn collect<B: Body>(body: B) -> Result<Vec<u8>, StatusCode> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(mut data) = frame.map_err(|_| StatusCode::BAD_REQUEST)?.into_data() else {
            continue;
        };
        while data.has_remaining() {
            let chunk = data.chunk();
            if bytes.len().saturating_add(chunk.len()) > MAX_LEN {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            bytes.extend_from_slice(chunk);
            let len = chunk.len();
            data.advance(len);
        }
    }
    Ok(bytes)
}
