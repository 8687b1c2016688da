//! A proof, as one text or as header, payload and signature on three lines.
//!
//! If `ProofVerifier::check` accepts a text, a second implementation has to accept it as a proof.
#![no_main]

use std::time::Duration;

use dpop_tower::{
    clock::UnixTime,
    crypto::Algorithm,
    proof::{Htu, ProofContext, ProofVerifier},
};
use dpop_tower_fuzz::{
    reading::{self, Jws},
    rig::{NOW, Signatures},
};
use libfuzzer_sys::fuzz_target;

const HTU: &str = "https://api.test/orders";

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(3, '\n');
    let proof = match (lines.next(), lines.next(), lines.next()) {
        (Some(header), Some(payload), signature) => format!(
            "{}.{}.{}",
            reading::encode(header),
            reading::encode(payload),
            reading::encode(signature.unwrap_or_default())
        ),
        _ => input.to_owned(),
    };
    let policy = ProofVerifier::default().algorithms(Algorithm::ALL);
    let htu = Htu::parse(HTU).expect("it is a URI");
    let now = UnixTime::from_secs(NOW);
    let context = ProofContext::new(&http::Method::GET, &htu, now);
    let Ok(accepted) = policy.check(&proof, &context, &Signatures::Any) else {
        return;
    };

    let read = Jws::read(&proof).expect("three parts, canonical base64url, JSON objects");
    let (header, payload) = (&read.header, &read.payload);
    assert_eq!(reading::text(header, "typ"), Some("dpop+jwt"));
    assert_eq!(
        reading::text(header, "alg"),
        Some(accepted.algorithm().as_str())
    );
    assert!(!header.contains_key("crit") && !header.contains_key("b64"));
    let jwk = header["jwk"].as_object().expect("`jwk` is an object");
    assert!(!reading::has_secret_member(jwk));
    assert_eq!(
        reading::thumbprint(jwk).as_ref(),
        Some(accepted.thumbprint().as_bytes())
    );
    assert_eq!(reading::text(payload, "htm"), Some("GET"));
    let claimed = reading::text(payload, "htu").expect("`htu` is a string");
    assert_eq!(reading::normalised(claimed).as_deref(), Some(HTU));
    let iat = reading::date(payload, "iat").expect("`iat` is there");
    let iat = iat.expect("`iat` is a number");
    assert!((i128::from(NOW) - 70..=i128::from(NOW) + 10).contains(&iat));

    // Only the verified proof contains the rest.
    let key = accepted.prepare_key(&Signatures::Any).expect("takes all");
    let verified = accepted.verify_signature(&key).expect("takes all");
    assert_eq!(reading::text(payload, "jti"), Some(verified.jti()));
    assert!((1..=256).contains(&verified.jti().len()));
    assert_eq!(i128::from(verified.expires_at().as_secs()), iat + 70);

    // A proof that is valid now stays valid until it expires, unless it says otherwise.
    if !payload.contains_key("exp") {
        let last = verified.expires_at();
        let late = ProofContext::new(&http::Method::GET, &htu, last);
        assert!(policy.check(&proof, &late, &Signatures::Any).is_ok());
        let too_late = last.saturating_add(Duration::from_secs(1));
        let too_late = ProofContext::new(&http::Method::GET, &htu, too_late);
        assert!(policy.check(&proof, &too_late, &Signatures::Any).is_err());
    }
});
