//! One page to try DPoP in a browser. It makes a key and proofs with `WebCrypto`, tampers with them on request, and shows
//! which check of the layer stops the request.
//!
//! ```text
//! cargo run -p playground                    serves http://127.0.0.1:8080
//! cargo run -p playground -- --port 9000
//! ```
//!
//! The page, the API and the issuer have one origin, so that one program is enough. docs/browsers.md says what a page
//! of another origin needs.

mod api;
mod checks;
mod issuer;
mod page;
mod socket;
mod tickets;

use std::{env, error::Error, process::ExitCode};

use axum::Router;
use demo_support::{explain, interrupted, listen};

const HELP: &str = "usage: playground [--port PORT]    (8080 by default, 0 for a free port)";

#[tokio::main]
async fn main() -> ExitCode {
    let port = match port(env::args().skip(1)) {
        Ok(Some(port)) => port,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("playground: {message}\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match run(port).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("playground: {}", explain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Returns the port, and `None` if the user asks for help.
fn port(mut arguments: impl Iterator<Item = String>) -> Result<Option<u16>, String> {
    let mut port = 8080;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--port" => {
                let value = arguments.next().ok_or("--port needs a number")?;
                port = (value.parse()).map_err(|_| format!("`{value}` is no port"))?;
            }
            other => return Err(format!("unknown argument `{other}`")),
        }
    }
    Ok(Some(port))
}

async fn run(port: u16) -> Result<(), Box<dyn Error>> {
    let (listener, url) = listen(port).await?;
    let issuer = issuer::issuer(&url, &url);
    let app = Router::new()
        .merge(issuer::router(&url, &issuer)?)
        .merge(api::router(&url, issuer.tokens())?)
        .merge(page::router());
    println!("The playground is at {url} (Ctrl-C stops it)");
    // Open streams end with the program, so nothing waits for them.
    tokio::select! {
        result = axum::serve(listener, app) => result?,
        () = interrupted() => {}
    }
    Ok(())
}
