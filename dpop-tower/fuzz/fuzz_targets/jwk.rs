//! The JSON of a key.
//!
//! If `PublicJwk::from_json` accepts a key, a second implementation reads it as a public key, it has the
//! thumbprint of RFC 7638, and the backend either prepares it or rejects it.
#![no_main]

use dpop_tower::{
    crypto::{Algorithm, AwsLcRs, CryptoProvider as _},
    jwk::{PublicJwk, Thumbprint},
};
use dpop_tower_fuzz::reading;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(key) = PublicJwk::from_json(input) else {
        return;
    };
    let read = reading::object(input.as_bytes()).expect("it is a JSON object");
    assert!(!reading::has_secret_member(&read));
    assert_eq!(
        reading::thumbprint(&read).as_ref(),
        Some(Thumbprint::of(&key, &AwsLcRs).as_bytes())
    );
    for algorithm in Algorithm::ALL {
        let prepared = AwsLcRs.prepare(&key, algorithm);
        assert!(key.fits(algorithm) || prepared.is_err());
        if let Ok(prepared) = prepared {
            for len in [0, key.signature_len(), key.signature_len() + 1] {
                assert!(prepared.verify(b"message", &vec![0; len]).is_err());
            }
        }
    }
});
