//! An axum server and a tonic server that end TLS, ask clients for a certificate, and accept tokens that are
//! bound to it (RFC 8705 section 3).
//!
//! With `--demo`, it calls both over real connections, and fails unless each call has the expected outcome.

mod certificates;
mod demo;
mod grpc;
mod rest;
mod tls;

use std::error::Error;

use dpop_tower::{DpopConfig, PublicOrigin, test_util::TestIssuer};

use crate::{certificates::Authority, demo::Demo};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Result<()> {
    let (servers, clients) = (Authority::new("servers")?, Authority::new("clients")?);
    // An issuer for tests. A real one is `Issuer::discover("https://…").audience(…)`.
    let issuer = TestIssuer::new();
    let listen = async |protocol| tls::listen(&servers.issue()?, &clients, protocol).await;
    let (rest, rest_url) = listen("http/1.1").await?;
    let (grpc, grpc_url) = listen("h2").await?;
    let config = |url: &str| DpopConfig::builder(PublicOrigin::new(url)?, issuer.tokens()).build();
    let rest = rest::serve(rest, config(&rest_url)?);
    let grpc = grpc::serve(grpc, config(&grpc_url)?);
    let serving = tokio::spawn(async { tokio::try_join!(rest, grpc) });
    if std::env::args().any(|arg| arg == "--demo") {
        let demo = Demo::new(issuer, &servers, &clients, [rest_url, grpc_url])?;
        return demo.run().await;
    }
    println!("Serving {rest_url} and {grpc_url}");
    serving.await??;
    Ok(())
}
