//! Sends a request with a proof, the same request again, and one without a token.

use std::error::Error;

use bytes::Bytes;
use dpop_tower::test_util::{TestClient, TestIssuer};
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

pub(crate) async fn run(url: &str, issuer: &TestIssuer) -> Result<(), Box<dyn Error>> {
    let client = TestClient::new();
    let token = issuer.token().subject("alice").bound_to(&client).mint();
    let with_proof = client.get(&format!("{url}/orders"), &token);
    let without = Request::get("/orders")
        .header(header::HOST, url.trim_start_matches("http://"))
        .body(())?;
    for (what, request, expected) in [
        ("a proof", with_proof.clone(), StatusCode::OK),
        ("the same proof again", with_proof, StatusCode::UNAUTHORIZED),
        ("no token", without, StatusCode::UNAUTHORIZED),
    ] {
        let (status, told) = send(url, request).await?;
        println!("{what:<20} {status}  {told}");
        if status != expected {
            return Err(format!("{expected} was expected").into());
        }
    }
    Ok(())
}

/// Returns the status, and the body or, for a rejection, the challenge.
async fn send(url: &str, request: Request<()>) -> Result<(StatusCode, String), Box<dyn Error>> {
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async { connection.await.ok() });
    let request = request.map(|()| Empty::<Bytes>::new());
    let response = sender.send_request(request).await?;
    let status = response.status();
    let told = match response.headers().get(header::WWW_AUTHENTICATE) {
        Some(challenge) => challenge.to_str()?.to_owned(),
        None => {
            let body = response.into_body().collect().await?.to_bytes();
            String::from_utf8_lossy(&body).into_owned()
        }
    };
    Ok((status, told))
}
