//! A service under plain hyper, protected without tower.
//!
//! With `--demo`, it also sends itself three requests, and fails unless each has the expected outcome.

mod demo;

use std::{convert::Infallible, error::Error, net::Ipv4Addr};

use bytes::Bytes;
use dpop_tower::{
    DpopConfig, Policy, PublicOrigin, RequestHead, Verdict, Verifier, rejection::ProblemDetails,
    test_util::TestIssuer,
};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

async fn answer(verifier: Verifier, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let head = RequestHead::new(request.method(), request.uri(), request.headers());
    let admitted = match verifier.verify(head, &Policy::strict()).await {
        Verdict::Admitted(admitted) => admitted,
        Verdict::Rejected(it) => return it.into_response(&ProblemDetails).map(Full::new),
    };
    let subject = (admitted.bound_token()).and_then(|token| token.claims().subject());
    let mut response = Response::new(format!("hello, {}", subject.unwrap_or_default()).into());
    // Adds a nonce for the next proof, if the configuration uses nonces.
    response.headers_mut().extend(admitted.response_headers());
    response
}

async fn serve(listener: TcpListener, verifier: Verifier) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let verifier = verifier.clone();
        let service = service_fn(move |request| {
            let response = answer(verifier.clone(), request);
            async { Ok::<_, Infallible>(response.await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        // The errors of a connection do not matter to the service.
        tokio::spawn(async { connection.await.ok() });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    // An issuer for tests. A real one is `Issuer::discover("https://…").audience(…)`.
    let issuer = TestIssuer::new();
    let config = DpopConfig::builder(PublicOrigin::new(&url)?, issuer.tokens()).build()?;
    let serving = tokio::spawn(serve(listener, Verifier::new(config)));
    if std::env::args().any(|arg| arg == "--demo") {
        return demo::run(&url, &issuer).await;
    }
    println!("Serving {url}");
    Ok(serving.await??)
}
