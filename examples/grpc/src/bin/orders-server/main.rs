//! Serves `orders.v1.Orders` to clients with DPoP-bound tokens, or makes calls to itself, with an issuer
//! of its own, to show their outcomes.

mod demo;
mod settings;

use std::{error::Error, process::ExitCode};

use demo_support::{explain, interrupted, is_loopback, listen};
use dpop_tower::{
    DpopConfig, Issuer, PublicOrigin,
    nonce::{NonceSecret, StatelessNonces},
};
use settings::{Mode, Settings};

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
    // dpop-tower logs the reason for each rejection in one line.
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
    // An issuer on the same machine may use plain http: nobody can intercept it.
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
