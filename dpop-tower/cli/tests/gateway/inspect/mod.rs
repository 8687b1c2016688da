//! `dpop inspect`: the reasons that it names, for every kind of input.

mod captures;
mod challenges;
mod conformance;
mod documentation;
mod hostile;
mod program;

use dpop_cli::inspect::{self, IssuerKeys, Item, Options, Outcome, Report};
use dpop_tower::{
    clock::{ManualClock, UnixTime},
    test_util::{TestClient, TestIssuer},
};
use http::Request;

use super::ORIGIN;

const URL: &str = "https://api.test/orders";

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

/// An issuer and a client whose clocks stand still at [`NOW`].
struct Parties {
    issuer: TestIssuer,
    client: TestClient,
}

impl Parties {
    fn new() -> Self {
        let clock = ManualClock::new(NOW);
        Self {
            issuer: TestIssuer::new().clock(clock.clone()),
            client: TestClient::new().clock(clock),
        }
    }

    fn token(&self) -> String {
        let token = self.issuer.token().subject("alice").scope("orders:read");
        token.bound_to(&self.client).mint()
    }

    /// Returns options with the keys of the issuer.
    fn options(&self) -> Options {
        Options {
            keys: Some(IssuerKeys {
                issuer: Some("https://issuer.test".to_owned()),
                jwks: self.issuer.jwks(),
            }),
            audience: Some(ORIGIN.to_owned()),
            ..Options::default()
        }
    }
}

/// Returns a request as it is on the wire.
fn raw<B>(request: &Request<B>) -> Vec<u8> {
    let mut raw = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        raw.extend_from_slice(name.as_str().as_bytes());
        raw.extend_from_slice(b": ");
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"\r\n");
    raw
}

fn report(input: impl AsRef<[u8]>, options: &Options) -> Report {
    inspect::inspect(input.as_ref(), options, NOW).unwrap()
}

/// Returns the clauses and reasons of all checks that failed.
fn failed(item: &Item) -> Vec<&'static str> {
    let checks = item.checks().iter();
    let failed = checks.filter(|check| check.outcome() == Outcome::Failed);
    failed.map(|check| check.reason().unwrap()).collect()
}
