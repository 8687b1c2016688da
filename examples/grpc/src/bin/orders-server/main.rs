//! Serves `orders.v1.Orders` to clients with DPoP-bound tokens of an issuer, or shows with an issuer of
//! its own what becomes of different calls.

mod demo;
mod settings;

use std::{error::Error, future::pending, net::Ipv4Addr, process::ExitCode};

use dpop_tower::{
    ConfigError, DpopConfig, Issuer, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
};
use settings::{Mode, Settings};
use tokio::net::TcpListener;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match settings::read() {
        Ok(Mode::Help) => {
            println!("{}", settings::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Ok(Mode::Demo) => demo::run().await,
        Ok(Mode::Serve(settings)) => serve(settings).await,
        Err(message) => {
            eprintln!("orders-server: {message}\n\n{}", settings::HELP);
            return ExitCode::from(2);
        }
    };
    result.unwrap_or_else(|error| {
        eprintln!("orders-server: {error}");
        ExitCode::FAILURE
    })
}

async fn serve(settings: Settings) -> Result<ExitCode> {
    // dpop-tower says in one line why a call was rejected.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let config = config(&settings)?;
    let (listener, url) = listen(settings.port).await?;
    let issuer = settings.issuer;
    println!("Serving {url} to clients with a DPoP-bound token of {issuer}");
    grpc_example::server::serve(listener, config, interrupted()).await?;
    Ok(ExitCode::SUCCESS)
}

fn config(settings: &Settings) -> Result<DpopConfig> {
    let mut tokens = Issuer::discover(&settings.issuer).audience(&settings.audience);
    if is_loopback(&settings.issuer) {
        tokens = tokens.danger_allow_plain_http();
    }
    let origin = PublicOrigin::new(&settings.public_origin)?;
    let mut config = DpopConfig::builder(origin, tokens);
    if settings.nonces {
        config = config
            .nonce_source(StatelessNonces::new(NonceSecret::random()?))
            .require_nonces();
    }
    config.build().map_err(|error| explain(&error).into())
}

/// Nobody is on the path to an issuer on the same machine.
fn is_loopback(issuer: &str) -> bool {
    let uri: Option<http::Uri> = issuer.parse().ok();
    let host = uri.as_ref().and_then(http::Uri::host);
    host.is_some_and(|host| matches!(host, "127.0.0.1" | "[::1]" | "localhost"))
}

fn explain(error: &ConfigError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

async fn listen(port: u16) -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(|error| format!("cannot listen on port {port}: {error}"))?;
    let url = format!("http://{}", listener.local_addr()?);
    Ok((listener, url))
}

async fn interrupted() {
    // Without a signal handler, the default action of the signal ends the process.
    if tokio::signal::ctrl_c().await.is_err() {
        pending::<()>().await;
    }
}
