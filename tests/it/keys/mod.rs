//! Where an issuer's keys come from, how long they are used, and what happens if they are not available.

mod callers;
mod clock;
mod discovery;
mod failures;
mod fetching;
mod freshness;
mod outages;
mod published;
mod rotation;
mod server;
mod settings;
mod sharing;
mod strangers;
mod waiting;
mod warm_up;

use dpop_tower::test_util::TestIssuer;
use serde_json::Value;

use self::server::Remote;
use crate::support::{Verdict, invalid_token, unavailable};

const ISSUER: &str = "https://issuer.test";
/// The longest time in seconds that a failure keeps others from trying, however many there were.
const LONGEST_PAUSE: u64 = 60;
const OUT_OF_REACH: Verdict = unavailable("keys_unavailable");
const UNKNOWN: Verdict = invalid_token("token_key_unknown");
const WRONG_SIGNATURE: Verdict = invalid_token("token_signature_invalid");

/// The issuer's key set with another key under the same `kid`, and that key.
fn replaced_under_its_kid(remote: &Remote) -> (String, TestIssuer) {
    let (new, _) = remote.another_key();
    let mut set: Value = serde_json::from_str(&remote.api.issuer.jwks()).unwrap();
    let other: Value = serde_json::from_str(&new.jwks()).unwrap();
    for name in ["x", "y"] {
        set["keys"][0][name] = other["keys"][0][name].clone();
    }
    (set.to_string(), new)
}
