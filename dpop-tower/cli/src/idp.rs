//! `dpop idp`: an issuer of DPoP-bound tokens for development. See docs/idp.md.
//!
//! Everything it remembers is in memory. It uses `dpop_tower::token_endpoint` for the proofs of clients, and signs
//! tokens with a key of its own, which is new each time it starts.

mod authorize;
mod client;
mod device;
mod error;
mod expiring;
mod form;
mod introspect;
mod issuer;
mod mint;
mod page;
mod redirect;
mod server;
mod settings;
mod store;
mod token;

use std::{fmt::Write as _, net::SocketAddr, path::PathBuf};

use clap::Args;
use dpop_tower::clock::SystemClock;
use serde_json::json;
use tokio::net::TcpListener;

pub use self::{issuer::Idp, server::serve, settings::Settings};
use crate::{failure::Failure, signal::told_to_end, terminal::Terminal};

/// The arguments of `dpop idp`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A JSON file with clients, users and lifetimes. See docs/idp.md.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address to listen on. A port of 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The URL by which clients call the issuer, if it is not that of the address.
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// Listen on an address that other machines can reach, and answer requests for any host. Anyone who reaches it
    /// can sign in as anyone.
    #[arg(long)]
    danger_listen_beyond_loopback: bool,
}

/// Serves the issuer until SIGTERM or SIGINT.
///
/// # Errors
///
/// Returns an error if the configuration is not valid, or if the address cannot be listened on.
pub async fn run(arguments: Arguments, terminal: Terminal) -> Result<(), Failure> {
    let Arguments {
        config,
        listen,
        issuer,
        danger_listen_beyond_loopback: beyond_loopback,
    } = arguments;
    if !listen.ip().is_loopback() && !beyond_loopback {
        let message = format!("{listen} can be reached from other machines");
        return Err(Failure::wrong_use(message).next_step(
            "anyone who reaches the issuer can sign in as anyone: listen on 127.0.0.1, or give \
             --danger-listen-beyond-loopback",
        ));
    }
    let mut settings = match &config {
        Some(path) => Settings::read(path)?,
        None => Settings::default(),
    };
    settings.issuer = issuer.or(settings.issuer);
    let listening = |error| Failure::wrong_use(format!("cannot listen on {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(listening)?;
    let address = listener.local_addr().map_err(listening)?;
    let idp = Idp::new(settings, &format!("http://{address}"), SystemClock)?;
    terminal.warn(
        "this issuer is for development only: it signs anyone in as anyone without a password, and forgets \
         everything when it ends. Never use it for a service that others rely on",
    );
    if !listen.ip().is_loopback() {
        terminal.warn(&format!(
            "it listens on {address}, so anyone who reaches this machine can get a token as anyone"
        ));
    }
    let value = json!({ "issuer": idp.url(), "clients": idp.clients() });
    terminal.print(&greeting(&idp), &value)?;
    let router = match beyond_loopback {
        true => idp.danger_router_for_any_host(),
        false => idp.router(),
    };
    serve(listener, router, told_to_end())
        .await
        .map_err(|error| Failure::wrong_use(format!("cannot serve {address}: {error}")))
}

/// Says what a client needs to know, and how to try it.
fn greeting(idp: &Idp) -> String {
    let url = idp.url();
    let mut text = format!("issuer         {url}\n");
    let clients = idp.clients();
    for client in clients.as_array().into_iter().flatten() {
        let name = client["client_id"].as_str().unwrap_or_default();
        let line = match client["client_secret"].as_str() {
            Some(secret) => writeln!(text, "client         {name}, secret {secret}"),
            None => writeln!(text, "client         {name}"),
        };
        // Writing to a text cannot fail.
        line.unwrap_or_default();
    }
    text.push_str(&format!(
        "\nA service accepts its tokens with\n\n  \
         Issuer::discover(\"{url}\").audience(\"{}\")\n\n\
         See what it offers with\n\n  \
         curl {url}/.well-known/oauth-authorization-server\n",
        idp.default_audience()
    ));
    text
}
