//! Connections to the gateway with TLS. OpenSSL's client completes handshakes, and plain sockets do not.

use std::{
    io::{self, Read as _, Write as _},
    net::SocketAddr,
    process::{Command, Stdio},
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
    client::{Reply, head},
    hostile::{SLACK, status_of},
    state::{State, Target},
};

/// Hangs up during TLS handshakes.
pub async fn handshakes(state: Rc<State>, every: Duration) {
    let hello = &state.client_hello;
    let mut number = 0;
    while state.runs() {
        sleep(every).await;
        number += 1;
        let sent = async {
            let mut stream = TcpStream::connect(state.address(Target::Tls)).await?;
            match number % 4 {
                0 => {}
                1 => stream.write_all(&hello[..hello.len() / 2]).await?,
                // The gateway responds, and waits for the rest.
                2 => {
                    stream.write_all(hello).await?;
                    let mut answer = [0; 256];
                    let _ = timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
                }
                _ => {
                    stream
                        .write_all(b"GET / HTTP/1.1\r\nHost: api.soak.test\r\n\r\n")
                        .await?
                }
            }
            io::Result::Ok(())
        };
        match sent.await {
            Ok(()) => state.count("hung_up"),
            Err(error) => state.fail(format!("a TLS handshake: {error}")),
        }
    }
}

/// Sends good requests over TLS, and proofs that were used at the other gateway, with OpenSSL's client.
pub async fn requests(state: Rc<State>, client: usize, every: Duration) {
    let mut number = 0;
    while state.runs() {
        sleep(every).await;
        number += 1;
        let used = match number % 2 {
            0 => state.used(Target::Gateway),
            _ => None,
        };
        let is_replay = used.is_some();
        let credentials = used.unwrap_or_else(|| {
            state
                .people
                .borrow_mut()
                .good(client, "GET", "/orders/42", None)
        });
        let begun = Instant::now();
        let head = head("GET", "/orders/42", &credentials, "Connection: close\r\n");
        let answer = match over_tls(state.address(Target::Tls), &head).await {
            Ok(answer) => answer,
            Err(error) => {
                state.fail(format!("a request over TLS: {error}"));
                continue;
            }
        };
        let text = String::from_utf8_lossy(&answer);
        let description = text.split_once("error_description=\"");
        let description = description.and_then(|(_, rest)| Some(rest.split_once('"')?.0));
        let reply = Reply {
            status: status_of(&answer).unwrap_or_default(),
            description: description.unwrap_or_default().to_owned(),
            ..Reply::default()
        };
        if is_replay {
            state.replayed(Target::Tls, begun, &reply);
            continue;
        }
        let windows = state.windows.borrow();
        let mut record = state.record.borrow_mut();
        record.status(reply.status);
        record.reason("good, TLS", reply.reason());
        match reply.status {
            200 => record.count("admitted_tls"),
            401 if windows.fenced(begun) => record.count("challenged"),
            503 if windows.unavailable(begun) => record.count("unavailable_in_fault"),
            _ => record.fail(format!("a good request over TLS: {}", reply.reason())),
        }
    }
}

async fn over_tls(address: SocketAddr, head: &[u8]) -> Result<Vec<u8>, Error> {
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-quiet",
            "-servername",
            "localhost",
            "-connect",
            &address.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let told = child
        .stdin
        .take()
        .map_or(Ok(()), |mut input| input.write_all(head));
    let begun = Instant::now();
    while child.try_wait()?.is_none() {
        if begun.elapsed() > SLACK {
            child.kill()?;
        }
        sleep(Duration::from_millis(10)).await;
    }
    told?;
    let mut answer = Vec::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_end(&mut answer)?;
    }
    Ok(answer)
}

/// Returns the first message of a TLS handshake, as OpenSSL's client sends it.
pub fn client_hello() -> Result<Vec<u8>, Error> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let mut child = Command::new("openssl")
        .args([
            "s_client",
            "-servername",
            "localhost",
            "-connect",
            &listener.local_addr()?.to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let read = || {
        let (mut stream, _) = listener.accept()?;
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let mut hello = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        stream.read_exact(&mut hello)?;
        io::Result::Ok([&head[..], &hello].concat())
    };
    let hello = read();
    let _ = child.kill();
    child.wait()?;
    Ok(hello?)
}
