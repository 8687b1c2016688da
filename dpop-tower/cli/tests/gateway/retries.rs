//! An upstream that closes connections without notice (RFC 9110 section 9.2.2, RFC 9112 section 9.5).

use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Barrier,
};

use super::{PATIENCE, Rig, Wanted, soon};

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// What an upstream does with a later request on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Reads it and closes the connection.
    Close,
    /// Reads it and resets the connection.
    Reset,
    /// Writes this, and closes in the middle of it.
    Write(&'static str),
}

/// An upstream that answers only the first request on each connection.
#[derive(Clone)]
struct Dropping {
    /// The first line of each request, and whether it was answered.
    seen: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Dropping {
    /// Starts an upstream. `first` is its answer to the first request.
    async fn start(first: &'static str, then: Then, together: usize) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let dropping = Self {
            seen: Arc::default(),
        };
        let (serving, barrier) = (dropping.clone(), Arc::new(Barrier::new(together)));
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                let barrier = (connection < together).then(|| Arc::clone(&barrier));
                tokio::spawn(serving.clone().serve(stream, first, then, barrier));
            }
        });
        (dropping, url)
    }

    async fn serve(
        self,
        mut stream: TcpStream,
        first: &'static str,
        then: Then,
        barrier: Option<Arc<Barrier>>,
    ) {
        let Some(line) = request(&mut stream).await else {
            return;
        };
        self.note(line, true);
        if let Some(barrier) = barrier {
            barrier.wait().await;
        }
        stream.write_all(first.as_bytes()).await.unwrap();
        if first != ANSWER {
            return;
        }
        let Some(line) = request(&mut stream).await else {
            return;
        };
        self.note(line, false);
        match then {
            Then::Close => {}
            Then::Reset => stream.set_zero_linger().unwrap(),
            Then::Write(part) => stream.write_all(part.as_bytes()).await.unwrap(),
        }
    }

    fn note(&self, line: String, is_answered: bool) {
        self.seen.lock().unwrap().push((line, is_answered));
    }

    /// Returns how many requests there were for a path, and how many of them were not answered.
    fn asked(&self, path: &str) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        let asked = seen
            .iter()
            .filter(|(line, _)| line.contains(&format!(" {path} ")));
        let dropped = asked.clone().filter(|(_, is_answered)| !is_answered);
        (asked.count(), dropped.count())
    }
}

/// Reads a request with its body, and returns its first line.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_ascii_lowercase();
            let length = length
                .split_once("content-length: ")
                .map_or(0, |(_, rest)| rest.lines().next().unwrap().parse().unwrap());
            if body.len() >= length {
                return head.lines().next().map(str::to_owned);
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => text.push_str(std::str::from_utf8(&buffer[..count]).unwrap()),
        }
    }
}

/// Sends requests until one hits a connection that the upstream drops. Returns its path and its status.
async fn until_dropped(
    rig: &Rig,
    upstream: &Dropping,
    method: &Method,
    body: &'static str,
) -> (String, u16) {
    let begun = std::time::Instant::now();
    for number in 0.. {
        let path = format!("/{method}{body}{number}");
        let mut request = rig.request(method.clone(), &path);
        *request.body_mut() = Body::from(body);
        let status = rig.status(request).await;
        if upstream.asked(&path).1 > 0 {
            return (path, status);
        }
        assert_eq!(status, 200);
        assert!(begun.elapsed() < PATIENCE, "no connection was used again");
    }
    unreachable!()
}

#[tokio::test]
async fn a_request_that_is_safe_and_has_no_body_is_sent_once_more() {
    for then in [Then::Close, Then::Reset] {
        let (upstream, url) = Dropping::start(ANSWER, then, 1).await;
        let rig = Rig::before(&url, Wanted::default()).await;
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            let (path, status) = until_dropped(&rig, &upstream, &method, "").await;
            assert_eq!(status, 200, "{method}");
            assert_eq!(upstream.asked(&path), (2, 1), "{method}");
        }
    }
}

#[tokio::test]
async fn no_other_request_is_sent_twice() {
    let (upstream, url) = Dropping::start(ANSWER, Then::Close, 1).await;
    let rig = Rig::before(&url, Wanted::default()).await;
    for (method, body) in [
        (Method::POST, ""),
        (Method::POST, "body"),
        (Method::PUT, "body"),
        (Method::PATCH, "body"),
        (Method::DELETE, ""),
        (Method::from_bytes(b"PURGE").unwrap(), ""),
        (Method::GET, "body"),
    ] {
        let (path, status) = until_dropped(&rig, &upstream, &method, body).await;
        assert_eq!(status, 502, "{method} {body}");
        assert_eq!(upstream.asked(&path), (1, 1), "{method} {body}");
    }
}

#[tokio::test]
async fn nothing_is_sent_again_once_an_answer_has_begun() {
    for part in ["H", "HTTP/1.1 200 OK\r\ncontent-le"] {
        let (upstream, url) = Dropping::start(ANSWER, Then::Write(part), 1).await;
        let rig = Rig::before(&url, Wanted::default()).await;
        let (path, status) = until_dropped(&rig, &upstream, &Method::GET, "").await;
        assert_eq!(status, 502, "{part:?}");
        assert_eq!(upstream.asked(&path), (1, 1), "{part:?}");
    }
    // Half a body breaks the connection, either after part of the response or before any of it.
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let (upstream, url) = Dropping::start(half, Then::Close, 1).await;
    let rig = Rig::before(&url, Wanted::default()).await;
    let mut head = "GET /half HTTP/1.1\r\n".to_owned();
    for (name, value) in rig.get("/half").headers() {
        head += &format!("{name}: {}\r\n", value.to_str().unwrap());
    }
    let mut stream = TcpStream::connect(rig.address).await.unwrap();
    stream
        .write_all(format!("{head}\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    let _ = soon(stream.read_to_string(&mut answer)).await;
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 200"),
        "{answer}"
    );
    assert_eq!(upstream.asked("/half").0, 1);
}

#[tokio::test]
async fn an_upstream_that_never_answers_is_asked_twice_and_no_more() {
    let (upstream, url) = Dropping::start("", Then::Close, 1).await;
    let rig = Rig::before(&url, Wanted::default()).await;
    assert_eq!(rig.status(rig.get("/get")).await, 502);
    assert_eq!(upstream.asked("/get").0, 2);
    assert_eq!(rig.status(rig.request(Method::POST, "/post")).await, 502);
    assert_eq!(upstream.asked("/post").0, 1);
}

/// An upstream that has restarted has closed all of its connections.
#[tokio::test]
async fn of_several_connections_that_were_kept_the_next_one_is_not_tried() {
    const KEPT: usize = 4;
    let (upstream, url) = Dropping::start(ANSWER, Then::Close, KEPT).await;
    let rig = Arc::new(Rig::before(&url, Wanted::default()).await);
    let first = (0..KEPT).map(|_| {
        let rig = Arc::clone(&rig);
        tokio::spawn(async move { rig.status(rig.get("/first")).await })
    });
    for status in first.collect::<Vec<_>>() {
        assert_eq!(soon(status).await.unwrap(), 200);
    }
    for number in 0..KEPT {
        let path = format!("/{number}");
        assert_eq!(rig.status(rig.get(&path)).await, 200);
        let (asked, dropped) = upstream.asked(&path);
        assert!(asked <= 2 && asked == dropped + 1, "{asked} {dropped}");
    }
}
