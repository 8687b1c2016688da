//! Clients that break the rules of HTTP and TLS, are slow, or hang up.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use dpop_tower_performance::load::Error;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    client::head,
    programs::HEADER_TIMEOUT,
    state::{State, Target},
};

/// How much later than the time-out a connection may be closed, on a busy machine.
pub const SLACK: Duration = Duration::from_secs(10);

/// Sends heads of requests that are not HTTP or too large.
pub async fn malformed(state: Rc<State>, every: Duration) {
    let heads: [(&'static str, Vec<u8>); 7] = [
        ("huge header", [b"GET / HTTP/1.1\r\nHost: api.soak.test\r\nDPoP: ", &[b'a'; 200_000][..]].concat()),
        ("many headers", [&b"GET / HTTP/1.1\r\nHost: api.soak.test\r\n"[..], &b"x: y\r\n".repeat(500)[..], b"\r\n"].concat()),
        ("no HTTP", b"\x00\x01\x02\xff\r\n\r\n".to_vec()),
        ("two hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_vec()),
        ("length and chunks", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        ("TLS without TLS", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03\r\n\r\n".to_vec()),
        ("HTTP/2 without frames", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
    ];
    let mut number = 0;
    while state.runs() {
        sleep(every).await;
        number += 1;
        let (kind, head) = &heads[number % heads.len()];
        let target = if number % 2 == 0 {
            Target::Gateway
        } else {
            Target::Api
        };
        let answer = timeout(
            Duration::from_secs(HEADER_TIMEOUT) + SLACK,
            exchange(state.address(target), head),
        )
        .await;
        let answer = answer.map(Result::unwrap_or_default);
        let mut record = state.record.borrow_mut();
        record.count("hostile");
        let Ok(answer) = answer else {
            // axum has no time-outs of its own.
            if target == Target::Gateway {
                record.fail(format!("{kind}: the gateway does not hang up"));
            }
            continue;
        };
        let status = status_of(&answer);
        record.reason(
            kind,
            status.map_or("closed".to_owned(), |status| status.to_string()),
        );
        if let Some(status) = status {
            record.status(status);
            if !(400..500).contains(&status) && status != 501 {
                record.fail(format!("{kind} ({target:?}) was answered with {status}"));
            }
        }
    }
}

/// Sends bytes, and returns what comes until the connection is closed or there is a response.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(answer),
            Ok(read) => answer.extend_from_slice(&buffer[..read]),
        }
        if answer.starts_with(b"HTTP/1.1 ") && answer.windows(4).any(|end| end == b"\r\n\r\n") {
            return Ok(answer);
        }
    }
}

pub fn status_of(answer: &[u8]) -> Option<u16> {
    let status = answer
        .strip_prefix(b"HTTP/1.1 ")
        .or(answer.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(status.get(..3)?).ok()?.parse().ok()
}

/// What a slow client sends.
#[derive(Clone, Copy, Debug)]
pub enum Slow {
    /// Nothing.
    Nothing,
    /// One byte of the head after another.
    Head,
    /// The first part of a TLS handshake.
    Handshake,
}

/// Opens connections that never send a whole request. The gateway has to close each.
pub async fn slow(state: Rc<State>, target: Target, kind: Slow) {
    let limit = Duration::from_secs(HEADER_TIMEOUT) + SLACK;
    while state.runs() {
        let begun = Instant::now();
        let closed = timeout(limit, until_closed(&state, target, kind))
            .await
            .is_ok();
        let what = if closed { "closed" } else { "open" };
        state.count("hostile");
        state.record.borrow_mut().reason("slow", what);
        if !closed && target != Target::Api && state.runs() {
            let seconds = begun.elapsed().as_secs();
            state.fail(format!(
                "{kind:?} ({target:?}): still open after {seconds} s"
            ));
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn until_closed(state: &State, target: Target, kind: Slow) -> io::Result<()> {
    let mut stream = TcpStream::connect(state.address(target)).await?;
    let text = b"GET /orders/42 HTTP/1.1\r\nHost: api.soak.test\r\nx: a-header-that-takes-its-time-until-the-end";
    let mut text = text.iter();
    if let Slow::Handshake = kind {
        stream
            .write_all(&state.client_hello[..state.client_hello.len() / 2])
            .await?;
    }
    let mut buffer = [0; 256];
    while state.runs() {
        if let Slow::Head = kind
            && let Some(byte) = text.next()
        {
            stream.write_all(&[*byte]).await?;
        }
        let read = timeout(Duration::from_millis(200), stream.read(&mut buffer)).await;
        if let Ok(Ok(0) | Err(_)) = read {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends the body of a good request slowly, and mostly hangs up before its end.
pub async fn slow_body(state: Rc<State>, target: Target, client: usize) {
    let mut number = 0;
    while state.runs() {
        sleep(Duration::from_millis(200)).await;
        number += 1;
        let hang_up = number % 4 != 0;
        if let Err(error) = slow_body_once(&state, target, client, hang_up).await {
            state.fail(format!("a slow body ({target:?}): {error}"));
        }
        state.count("hung_up");
    }
}

async fn slow_body_once(
    state: &State,
    target: Target,
    client: usize,
    hang_up: bool,
) -> Result<(), Error> {
    const CHUNK: usize = 1000;
    const CHUNKS: usize = 15;
    let begun = Instant::now();
    let credentials = state
        .people
        .borrow_mut()
        .good(client, "POST", "/orders/42", None);
    let length = format!("Content-Length: {}\r\n", CHUNK * CHUNKS);
    let mut stream = TcpStream::connect(state.address(target)).await?;
    stream
        .write_all(&head("POST", "/orders/42", &credentials, &length))
        .await?;
    let chunks = if hang_up { CHUNKS / 2 } else { CHUNKS };
    for _ in 0..chunks {
        // A rejection may already have closed it.
        if stream.write_all(&[b'x'; CHUNK]).await.is_err() {
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    if hang_up {
        return Ok(());
    }
    let mut answer = vec![0; 4096];
    let read = timeout(SLACK, stream.read(&mut answer)).await??;
    let in_fault =
        state.windows.borrow().fenced(begun) || state.windows.borrow().unavailable(begun);
    match status_of(&answer[..read]) {
        Some(200) => Ok(()),
        Some(401 | 503) | None if in_fault && target != Target::Api => Ok(()),
        status => Err(format!("answered with {status:?}").into()),
    }
}

/// Sends good requests, and hangs up at once, so that nobody waits for the verification.
pub async fn hang_up(state: Rc<State>, target: Target, client: usize, every: Duration) {
    let mut number = 0;
    while state.runs() {
        sleep(every).await;
        number += 1;
        let credentials = state
            .people
            .borrow_mut()
            .good(client, "GET", "/orders/42", None);
        let head = head("GET", "/orders/42", &credentials, "");
        let sent = async {
            let mut stream = TcpStream::connect(state.address(target)).await?;
            // With a time of zero, the connection is reset.
            if number % 2 == 0 {
                stream.set_zero_linger()?;
            }
            let part = if number % 5 == 0 {
                head.len() / 2
            } else {
                head.len()
            };
            stream.write_all(&head[..part]).await?;
            if number % 3 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            io::Result::Ok(())
        };
        match sent.await {
            Ok(()) => state.count("hung_up"),
            Err(error) => state.fail(format!("to connect and hang up ({target:?}): {error}")),
        }
    }
}

/// Asks for a stream without an end, and hangs up after its first part.
pub async fn streams(state: Rc<State>, client: usize, every: Duration) {
    while state.runs() {
        sleep(every).await;
        let begun = Instant::now();
        let credentials = state
            .people
            .borrow_mut()
            .good(client, "GET", "/stream", None);
        let head = head("GET", "/stream", &credentials, "");
        let sent = async {
            let mut stream = TcpStream::connect(state.address(Target::Gateway)).await?;
            stream.write_all(&head).await?;
            let mut answer = vec![0; 4096];
            let read = stream.read(&mut answer).await?;
            sleep(Duration::from_millis(300)).await;
            io::Result::Ok(status_of(&answer[..read]))
        };
        let status = timeout(SLACK, sent).await;
        state.count("hung_up");
        let windows = state.windows.borrow();
        match status {
            Ok(Ok(Some(200))) => {}
            Ok(Ok(Some(401 | 503))) if windows.fenced(begun) || windows.unavailable(begun) => {}
            other => state.fail(format!("a stream: {other:?}")),
        }
    }
}
