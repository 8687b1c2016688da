//! A sequence of requests to one layer, each of them valid except for a few changes.
//!
//! The lines of the input change the next request, and an empty line sends it. Every signature is
//! accepted as valid, so the code behind that check is reached. A second implementation of the rules
//! says which requests may be admitted. A request that is admitted against it is a finding, and so is an
//! unchanged request that is rejected.
#![no_main]

use dpop_tower_fuzz::session::Session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut session = Session::new(input.starts_with("nonces\n"));
    for line in input.split('\n') {
        session.line(line);
        if session.sent() == 8 {
            return;
        }
    }
    session.line("");
});
