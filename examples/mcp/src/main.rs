//! An MCP server whose tools only work for the client that holds the key of its token, and an identity provider.
//!
//! ```text
//! cargo run -p mcp-example              serves until Ctrl-C
//! cargo run -p mcp-example -- --demo    plays a client and a thief, and fails unless every outcome is as expected
//! ```
//!
//! The environment variable `PORT` sets the port of the server.

mod demo;
mod server;
mod tools;

use std::error::Error;

use axum::Router;
use demo_support::{IdentityProvider, interrupted, listen};
use tokio::net::TcpListener;

/// The scope that the tools require.
const SCOPE: &str = "tools:call";

/// Serves until the program ends.
fn serve(listener: TcpListener, router: Router) {
    tokio::spawn(async { axum::serve(listener, router).await });
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = std::env::var("PORT").ok().filter(|port| !port.is_empty());
    let (listener, origin) = listen(port.map_or(Ok(0), |port| port.parse())?).await?;
    // The canonical URI of the server (RFC 8707), which is also the audience of its tokens.
    let resource = format!("{origin}/mcp");
    let (idp_listener, issuer) = listen(0).await?;
    let idp = IdentityProvider::new(&issuer, &resource).scope(SCOPE);
    serve(idp_listener, idp.router()?);
    serve(listener, server::router(&origin, &resource, &issuer)?);

    if std::env::args().any(|arg| arg == "--demo") {
        return demo::run(&resource).await;
    }
    println!("MCP server {resource}, identity provider {issuer}");
    interrupted().await;
    Ok(())
}
