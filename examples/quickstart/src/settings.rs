//! The settings on the command line and in the environment.

use std::env;

use crate::api::Nonces;

pub(crate) const HELP: &str = "\
usage: quickstart [--demo]

  without --demo  tells the story, then serves the API and its identity provider
  --demo          tells the story and exits, with 1 unless every verdict is as expected

environment:
  DPOP_REPLAY_STORE   what remembers used proofs: `memory`, which is the default, or a URL that begins with
                      `redis://`, `rediss://`, `redis-cluster://`, `redis-sentinel://` or `postgres://`

environment, to serve the API to clients of a real issuer (set the first three together):
  DPOP_ISSUER         the issuer, such as https://idp.example.com; plain http on loopback only
  DPOP_AUDIENCE       the `aud` that its tokens have for this API
  DPOP_PUBLIC_ORIGIN  the origin by which clients call this API, such as https://api.example.com
  DPOP_NONCE          `required` to demand a nonce in every proof; `off` by default
  PORT                the port to listen on at 127.0.0.1 (8080 with a real issuer, otherwise any)";

pub(crate) enum Mode {
    Help,
    Story { then_serve: bool, port: u16 },
    Real(RealIssuer),
}

/// The store of used proofs, in either mode.
pub(crate) fn replay_store() -> String {
    variable("DPOP_REPLAY_STORE").unwrap_or_else(|| "memory".to_owned())
}

pub(crate) struct RealIssuer {
    pub(crate) issuer: String,
    pub(crate) audience: String,
    pub(crate) public_origin: String,
    pub(crate) nonces: Nonces,
    pub(crate) port: u16,
}

pub(crate) fn read() -> Result<Mode, String> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let port = variable("PORT")
        .map(|port| port.parse().map_err(|_| "PORT is not a port number"))
        .transpose()?;
    let real = real_issuer(port)?;
    match (arguments.as_slice(), real) {
        (["--help" | "-h"], _) => Ok(Mode::Help),
        ([], Some(real)) => Ok(Mode::Real(real)),
        (["--demo"], Some(_)) => Err("--demo uses its own issuer: unset DPOP_ISSUER".to_owned()),
        ([], None) => Ok(Mode::Story {
            then_serve: true,
            port: port.unwrap_or(0),
        }),
        (["--demo"], None) => Ok(Mode::Story {
            then_serve: false,
            port: port.unwrap_or(0),
        }),
        _ => Err("unknown arguments".to_owned()),
    }
}

fn real_issuer(port: Option<u16>) -> Result<Option<RealIssuer>, String> {
    let nonces = nonces(variable("DPOP_NONCE").as_deref())?;
    let names = ["DPOP_ISSUER", "DPOP_AUDIENCE", "DPOP_PUBLIC_ORIGIN"];
    match names.map(variable) {
        [Some(issuer), Some(audience), Some(public_origin)] => Ok(Some(RealIssuer {
            issuer,
            audience,
            public_origin,
            nonces,
            port: port.unwrap_or(8080),
        })),
        [None, None, None] if nonces == Nonces::Off => Ok(None),
        [None, None, None] => Err("DPOP_NONCE needs DPOP_ISSUER".to_owned()),
        values => {
            let missing: Vec<&str> = names
                .into_iter()
                .zip(values)
                .filter_map(|(name, value)| value.is_none().then_some(name))
                .collect();
            Err(format!("not set: {}", missing.join(", ")))
        }
    }
}

fn nonces(value: Option<&str>) -> Result<Nonces, String> {
    match value {
        None | Some("" | "off") => Ok(Nonces::Off),
        Some("required") => Ok(Nonces::Required),
        Some(_) => Err("DPOP_NONCE must be `required` or `off`".to_owned()),
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_and_nothing_mean_off_and_nothing_else_does() {
        for value in [None, Some(""), Some("off")] {
            assert!(nonces(value) == Ok(Nonces::Off), "{value:?}");
        }
        assert!(nonces(Some("required")) == Ok(Nonces::Required));
        for value in ["OFF", "no", "false", "0", "optional", "require"] {
            assert!(nonces(Some(value)).is_err(), "{value}");
        }
    }
}
