//! The settings on the command line and in the environment.

use std::env;

pub(crate) const HELP: &str = "\
usage: orders-server [--demo]

Without the environment below, or with --demo, it calls itself with tokens of its own issuer and exits,
with 1 unless every outcome is as expected.

environment, to serve clients (set the first three together):
  DPOP_ISSUER         the issuer, such as https://idp.example.com; plain http on loopback only
  DPOP_AUDIENCE       the `aud` that its tokens have for this server
  DPOP_PUBLIC_ORIGIN  the origin by which clients call this server, such as https://api.example.com
  DPOP_NONCE          `required` to demand a nonce in every proof; `off` by default
  PORT                the port to listen on at 127.0.0.1 (50051 by default)";

pub(crate) enum Mode {
    Help,
    Demo,
    Serve(Settings),
}

pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) public_origin: String,
    pub(crate) nonces: bool,
    pub(crate) port: u16,
}

pub(crate) fn read() -> Result<Mode, String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (arguments.as_slice(), settings()?) {
        (["--help" | "-h"], _) => Ok(Mode::Help),
        ([], Some(settings)) => Ok(Mode::Serve(settings)),
        ([] | ["--demo"], None) => Ok(Mode::Demo),
        (["--demo"], Some(_)) => Err("--demo uses its own issuer: unset DPOP_ISSUER".to_owned()),
        _ => Err("unknown arguments".to_owned()),
    }
}

fn settings() -> Result<Option<Settings>, String> {
    let port = match variable("PORT") {
        Some(port) => port.parse().map_err(|_| "PORT is not a port number")?,
        None => 50051,
    };
    let nonces = match variable("DPOP_NONCE").as_deref() {
        None | Some("off") => false,
        Some("required") => true,
        Some(_) => return Err("DPOP_NONCE must be `required` or `off`".to_owned()),
    };
    let names = ["DPOP_ISSUER", "DPOP_AUDIENCE", "DPOP_PUBLIC_ORIGIN"];
    match names.map(variable) {
        [Some(issuer), Some(audience), Some(public_origin)] => Ok(Some(Settings {
            issuer,
            audience,
            public_origin,
            nonces,
            port,
        })),
        [None, None, None] if !nonces => Ok(None),
        [None, None, None] => Err("DPOP_NONCE needs DPOP_ISSUER".to_owned()),
        _ => Err(format!("{} must be set together", names.join(", "))),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
