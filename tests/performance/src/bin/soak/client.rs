//! Requests over HTTP/1.1 and HTTP/2.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use dpop_tower_performance::load::Error;
use http::{HeaderValue, Method, Request, Version, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

use crate::people::{Credentials, ORIGIN};

/// Longer than any response takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a response says.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: u16,
    /// The `error_description` of the challenge.
    pub description: String,
    pub nonce: Option<String>,
    pub body: Bytes,
}

impl Reply {
    /// Returns the reason in words, or the status.
    pub fn reason(&self) -> String {
        match self.description.as_str() {
            "" => self.status.to_string(),
            description => format!("{}: {description}", self.status),
        }
    }
}

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    http2: bool,
    open: Option<Open>,
}

#[derive(Debug)]
enum Open {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    /// Returns a connection to this address.
    pub fn new(address: SocketAddr, http2: bool) -> Self {
        Self {
            address,
            http2,
            open: None,
        }
    }

    async fn open(&self) -> Result<Open, Error> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = TokioIo::new(stream);
        // The errors of the connection show up in the requests.
        Ok(match self.http2 {
            true => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                Open::Http2(sender)
            }
            false => {
                let (sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                Open::Http1(sender)
            }
        })
    }

    /// Sends a request, and reads the response to its end. After an error, the next request opens a new connection.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, Error> {
        let sent = timeout(PATIENCE, self.try_send(request)).await;
        let sent = sent.unwrap_or_else(|_| Err("no response".into()));
        if sent.is_err() {
            self.open = None;
        }
        sent
    }

    async fn try_send(&mut self, mut request: Request<Full<Bytes>>) -> Result<Reply, Error> {
        if self.open.is_none() {
            self.open = Some(self.open().await?);
        }
        let response = match self.open.as_mut().ok_or("it was opened")? {
            Open::Http1(sender) => {
                let host = HeaderValue::from_static("api.soak.test");
                request.headers_mut().insert(header::HOST, host);
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Open::Http2(sender) => {
                let uri = format!("{ORIGIN}{}", request.uri());
                *request.uri_mut() = uri.parse()?;
                *request.version_mut() = Version::HTTP_2;
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        let header = |name| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let description = header("www-authenticate").and_then(|challenge| {
            let (_, rest) = challenge.split_once("error_description=\"")?;
            Some(rest.split_once('"')?.0.to_owned())
        });
        Ok(Reply {
            status: response.status().as_u16(),
            description: description.unwrap_or_default(),
            nonce: header("dpop-nonce"),
            body: response.into_body().collect().await?.to_bytes(),
        })
    }
}

/// Returns a request with these credentials. One with a body is a `POST`.
pub fn request(
    path: &str,
    credentials: &Credentials,
    body: Option<usize>,
) -> Result<Request<Full<Bytes>>, Error> {
    let authorization = format!("DPoP {}", credentials.token);
    request_with(
        path,
        &[authorization],
        std::slice::from_ref(&credentials.proof),
        body,
    )
}

/// Returns a request with any number of credentials.
pub fn request_with(
    path: &str,
    authorization: &[String],
    proofs: &[String],
    body: Option<usize>,
) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::new(Full::from(vec![b'x'; body.unwrap_or_default()]));
    *request.uri_mut() = path.parse()?;
    if body.is_some() {
        *request.method_mut() = Method::POST;
    }
    let headers = request.headers_mut();
    for value in authorization {
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(value)?);
    }
    for value in proofs {
        headers.append("dpop", HeaderValue::from_str(value)?);
    }
    Ok(request)
}

/// Returns the head of a request as bytes.
pub fn head(method: &str, path: &str, credentials: &Credentials, more: &str) -> Vec<u8> {
    let Credentials { token, proof } = credentials;
    format!(
        "{method} {path} HTTP/1.1\r\nHost: api.soak.test\r\nAuthorization: DPoP {token}\r\nDPoP: {proof}\r\n{more}\r\n"
    )
    .into_bytes()
}
