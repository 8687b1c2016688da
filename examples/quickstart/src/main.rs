//! Shows what dpop-tower does, then keeps serving the API that it used.
//!
//! ```text
//! cargo run -p quickstart              the story, then the API and its identity provider
//! cargo run -p quickstart -- --demo    the story only; fails unless every verdict is as expected
//! ```
//!
//! The first of the two programs that cargo builds is `launch`, which builds this one with the system's OpenSSL if its
//! headers are installed. `--features aws-lc-rs` builds it without OpenSSL.
//!
//! If you set `DPOP_ISSUER`, `DPOP_AUDIENCE` and `DPOP_PUBLIC_ORIGIN`, it serves the same API for tokens
//! of that issuer instead. `PORT` and `DPOP_NONCE=required` are optional. `DPOP_REPLAY_STORE=redis://127.0.0.1:6379`
//! remembers used proofs in Redis in either mode, so that several processes can serve the same API.

mod api;
mod server;
mod settings;
mod story;

use std::{error::Error, process::ExitCode};

use axum::Router;
use demo_support::{IdentityProvider, interrupted, listen};
use settings::{Mode, RealIssuer};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match settings::read() {
        Ok(Mode::Help) => {
            println!("{}", settings::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Ok(Mode::Story { then_serve, port }) => tell_story(then_serve, port).await,
        Ok(Mode::Real(issuer)) => serve_real(issuer).await,
        Err(message) => {
            eprintln!("quickstart: {message}\n\n{}", settings::HELP);
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("quickstart: {error}");
        ExitCode::FAILURE
    })
}

async fn tell_story(then_serve: bool, port: u16) -> Result<ExitCode, Box<dyn Error>> {
    let store = api::replay_store(&settings::replay_store()).await?;
    let (idp_listener, idp_url) = listen(0).await?;
    let (api_listener, api_url) = listen(port).await?;
    let idp = IdentityProvider::new(&idp_url, api::AUDIENCE)
        .try_with(&api_url, "resource")
        .router()?;
    let api = api::router(api::config(
        &idp_url,
        api::AUDIENCE,
        &api_url,
        api::Nonces::Off,
        store,
    )?);
    let idp = tokio::spawn(serve(idp_listener, idp));
    let api = tokio::spawn(serve(api_listener, api));

    let all_as_expected = story::tell(&idp_url, &api_url).await?;
    if !all_as_expected {
        return Ok(ExitCode::FAILURE);
    }
    if then_serve {
        log_rejections();
        println!("{}", story::what_to_try(&idp_url, &api_url));
        api.await?;
        idp.await?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve_real(settings: RealIssuer) -> Result<ExitCode, Box<dyn Error>> {
    log_rejections();
    let store = api::replay_store(&settings::replay_store()).await?;
    let config = api::config(
        &settings.issuer,
        &settings.audience,
        &settings.public_origin,
        settings.nonces,
        store,
    )?;
    let (listener, url) = listen(settings.port).await?;
    println!(
        "Serving {url}/resource to clients with a DPoP-bound token of {}",
        settings.issuer
    );
    serve(listener, api::router(config)).await;
    Ok(ExitCode::SUCCESS)
}

async fn serve(listener: TcpListener, router: Router) {
    server::serve(listener, router, interrupted()).await;
}

/// Logs the reason for each rejection in one line.
fn log_rejections() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
}
