//! The load generator. It keeps a number of requests in flight, each with its own proof.

use std::{
    cell::Cell,
    net::SocketAddr,
    ops::Range,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hdrhistogram::Histogram;
use http::{HeaderValue, Request, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, sync::Semaphore, task::JoinSet};

use super::Error;
use crate::URL;

type Body = Empty<Bytes>;

/// The protocol of the requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, with one request at a time on each persistent connection.
    Http1,
    /// HTTP/2 with prior knowledge, with several requests at a time on each connection.
    Http2,
}

impl Protocol {
    /// Returns the name of the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    /// Returns the number of connections, and of concurrent requests on each.
    pub const fn shape(self) -> (usize, usize) {
        match self {
            Self::Http1 => (16, 1),
            Self::Http2 => (4, 4),
        }
    }
}

/// Sends one request at a time on a connection.
#[derive(Debug)]
pub struct Sender {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

impl Sender {
    /// Returns a sender for each request that can be in flight.
    pub async fn connect(address: SocketAddr, protocol: Protocol) -> Result<Vec<Self>, Error> {
        let (connections, streams) = protocol.shape();
        let mut senders = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let stream = TokioIo::new(stream);
            match protocol {
                Protocol::Http1 => {
                    let (sender, connection) = http1::handshake(stream).await?;
                    // The errors of the connection show up in the requests.
                    tokio::spawn(connection);
                    let kind = Kind::Http1(sender);
                    senders.push(Self { kind });
                }
                Protocol::Http2 => {
                    let executor = TokioExecutor::new();
                    let (sender, connection) = http2::handshake(executor, stream).await?;
                    tokio::spawn(connection);
                    for _ in 0..streams {
                        let kind = Kind::Http2(sender.clone());
                        senders.push(Self { kind });
                    }
                }
            }
        }
        Ok(senders)
    }

    /// Sends a request, reads the response to its end, and returns the status.
    pub async fn send(
        &mut self,
        authorization: &HeaderValue,
        proof: Option<&HeaderValue>,
    ) -> Result<StatusCode, Error> {
        let mut request = Request::new(Body::new());
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, authorization.clone());
        if let Some(proof) = proof {
            headers.insert("dpop", proof.clone());
        }
        // Some servers cannot tell otherwise that a proxy in front has terminated TLS.
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let response = match &mut self.kind {
            Kind::Http1(sender) => {
                let host = HeaderValue::from_static("api.example.com");
                request.headers_mut().insert(header::HOST, host);
                *request.uri_mut() = http::Uri::from_static("/orders/42");
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Kind::Http2(sender) => {
                *request.uri_mut() = http::Uri::from_static(URL);
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let status = response.status();
        response.into_body().collect().await?;
        Ok(status)
    }
}

/// The token of all requests, and a proof for each.
#[derive(Debug)]
pub struct Load {
    pub authorization: HeaderValue,
    pub proofs: Vec<HeaderValue>,
}

/// Sends these proofs, with each sender one request after another. Any status other than 200 is an
/// error.
pub async fn drive(
    senders: Vec<Sender>,
    load: &Rc<Load>,
    range: Range<usize>,
) -> Result<(Vec<Sender>, Histogram<u64>), Error> {
    drive_paced(senders, load, range, None).await
}

/// Sends so many of these proofs a second, as [`drive`] does. The time of a request begins when it is due, also if
/// all senders are busy then.
pub async fn drive_at(
    per_second: f64,
    senders: Vec<Sender>,
    load: &Rc<Load>,
    range: Range<usize>,
) -> Result<(Vec<Sender>, Histogram<u64>), Error> {
    drive_paced(senders, load, range, Some(per_second)).await
}

async fn drive_paced(
    senders: Vec<Sender>,
    load: &Rc<Load>,
    range: Range<usize>,
    per_second: Option<f64>,
) -> Result<(Vec<Sender>, Histogram<u64>), Error> {
    let (start, begun) = (range.start, Instant::now());
    let pace = per_second.map(|per_second| Pace::new(begun, per_second, range.len()));
    let next = Rc::new(Cell::new(range.start));
    let mut tasks = JoinSet::new();
    for mut sender in senders {
        let (load, next, pace) = (Rc::clone(load), Rc::clone(&next), pace.clone());
        tasks.spawn_local(async move {
            let mut latencies = histogram()?;
            while next.get() < range.end {
                let number = next.replace(next.get() + 1);
                let proof = &load.proofs[number];
                let mut begin = Instant::now();
                if let Some(pace) = &pace {
                    begin = pace.due(number - start);
                    pace.wait().await;
                }
                let sent = sender.send(&load.authorization, Some(proof)).await;
                let status = sent.map_err(|error| error.to_string())?;
                let latency = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                if status != StatusCode::OK {
                    return Err(format!("a good request was answered with {status}"));
                }
                latencies.saturating_record(latency);
            }
            Ok((sender, latencies))
        });
    }
    let mut all = histogram()?;
    let mut senders = Vec::new();
    while let Some(task) = tasks.join_next().await {
        let (sender, latencies) = task??;
        senders.push(sender);
        all.add(latencies)?;
    }
    Ok((senders, all))
}

/// When requests are due. A thread tells the senders, since tokio's timer has a resolution of a millisecond, and a
/// sender that polled the clock would keep a processor from the server and its database.
#[derive(Clone)]
struct Pace {
    begun: Instant,
    per_second: f64,
    due: Arc<Semaphore>,
}

impl Pace {
    fn new(begun: Instant, per_second: f64, requests: usize) -> Self {
        let pace = Self {
            begun,
            per_second,
            due: Arc::new(Semaphore::new(0)),
        };
        let clock = pace.clone();
        thread::spawn(move || {
            for number in 0..requests {
                let due = clock.due(number);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                clock.due.add_permits(1);
            }
        });
        pace
    }

    fn due(&self, number: usize) -> Instant {
        self.begun + Duration::from_secs_f64(number as f64 / self.per_second)
    }

    /// Waits until one more request is due.
    async fn wait(&self) {
        if let Ok(permit) = self.due.acquire().await {
            permit.forget();
        }
    }
}

/// Returns a histogram of nanoseconds, up to a minute.
fn histogram() -> Result<Histogram<u64>, String> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(|error| error.to_string())
}
