//! Items 10 to 12: the nonce, the time and the access token.

use std::time::Duration;

use dpop_tower::{
    clock::{TimeSource as _, UnixTime},
    crypto::AwsLcRs,
    nonce::{NonceContext, NonceSecret, NonceSource as _, StatelessNonces},
    test_util::TestClient,
};
use serde_json::json;

use crate::{
    crypto::{base64url, from_base64url},
    rfc9449::case::{Case, object},
    support::{URL, Verdict, Way, invalid_proof, invalid_token},
};

pub(super) async fn item_10_the_nonce_is_one_of_the_server(way: Way) {
    let secret = |byte| NonceSecret::new([byte; 32]).unwrap();
    let nonces = StatelessNonces::new(secret(1));
    let case = Case::of(way.api_with(
        |tokens| tokens,
        |config| config.nonce_source(nonces.clone()).require_nonces(),
    ));
    let now = case.api.clock.now();
    let rejected = |reason| Verdict::Rejected {
        status: 401,
        error: "use_dpop_nonce",
        reason,
    };
    let missing = case.proof().sign();
    case.check("none", &missing, rejected("proof_nonce_missing"))
        .await;
    let good = nonces.current(&NonceContext::new(now, &AwsLcRs));
    let of_another_server =
        StatelessNonces::new(secret(2)).current(&NonceContext::new(now, &AwsLcRs));
    let of_old = nonces.current(&NonceContext::new(
        UnixTime::from_secs(now.as_secs() - 1_000),
        &AwsLcRs,
    ));
    for (what, nonce) in [
        ("another server's", of_another_server),
        ("an old one", of_old),
        ("a longer one", format!("{good}A")),
        ("a shorter one", good[..good.len() - 1].to_owned()),
        ("none at all", String::new()),
    ] {
        let proof = case.proof().nonce(&nonce).sign();
        case.check(what, &proof, rejected("proof_nonce_unknown"))
            .await;
    }
    let proof = case.proof().nonce(&good).sign();
    case.check("the server's", &proof, Verdict::Admitted).await;
}

pub(super) async fn item_11_iat_lies_within_the_window_to_the_second(way: Way) {
    let (old, future) = ("proof_too_old", "proof_from_future");
    for (max_age, leeway) in [(60, 10), (1, 0), (300, 0), (5, 3600)] {
        let case = Case::of(way.api_with(
            |tokens| tokens,
            |config| {
                config
                    .max_age(Duration::from_secs(max_age))
                    .danger_leeway(Duration::from_secs(leeway))
            },
        ));
        let (max_age, leeway) = (max_age.cast_signed(), leeway.cast_signed());
        for (offset, expected) in [
            (-max_age - leeway - 1, invalid_proof(old)),
            (-max_age - leeway, Verdict::Admitted),
            (0, Verdict::Admitted),
            (leeway, Verdict::Admitted),
            (leeway + 1, invalid_proof(future)),
        ] {
            let proof = case.proof().claim("iat", case.api.now() + offset).sign();
            let what = format!("{offset} s with {max_age} s and {leeway} s");
            case.check(&what, &proof, expected).await;
        }
    }
}

pub(super) async fn item_11_the_default_window_is_70_s_back_and_10_s_ahead(way: Way) {
    let case = Case::new(way);
    for (offset, expected) in [
        (-71, invalid_proof("proof_too_old")),
        (-70, Verdict::Admitted),
        (10, Verdict::Admitted),
        (11, invalid_proof("proof_from_future")),
    ] {
        let proof = case.proof().claim("iat", case.api.now() + offset).sign();
        case.check(&offset.to_string(), &proof, expected).await;
    }
    // The same for a proof that ages.
    let (last, late) = (case.proof().sign(), case.proof().sign());
    case.api.advance(70);
    case.check("70 s later", &last, Verdict::Admitted).await;
    case.api.advance(1);
    case.reject("71 s later", &late, "proof_too_old").await;
}

pub(super) async fn item_12_ath_is_the_hash_of_this_token(way: Way) {
    let case = Case::new(way);
    let claims = object(&case.proof().payload_json());
    let good = claims["ath"].as_str().unwrap().to_owned();
    let bytes = from_base64url(&good);
    let hash = |text: &str| object(&case.api.proof(text).payload_json())["ath"].clone();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(&good[42..]).unwrap();
    for (what, ath) in [
        ("of another token", hash(&case.api.token().mint())),
        ("of nothing", hash("")),
        ("of the header", hash(&format!("DPoP {}", case.token))),
        ("of less", hash(&case.token[..case.token.len() - 1])),
        ("of the hash", hash(&good)),
        ("the token", json!(case.token)),
        ("padded", json!(format!("{good}="))),
        (
            "loose",
            json!(format!("{}{}", &good[..42], &alphabet[last + 1..][..1])),
        ),
        ("shortened", json!(good[..42])),
        ("longer", json!(format!("{good}A"))),
        ("hex", json!(hex)),
        ("base64url of hex", json!(base64url(&hex))),
        ("half", json!(base64url(&bytes[..16]))),
        ("lower case", json!(good.to_lowercase())),
        ("white space", json!(format!("{good} "))),
    ] {
        let proof = case.proof().claim("ath", ath).sign();
        case.reject(what, &proof, "proof_ath_mismatch").await;
    }
    case.finish().await;
}

pub(super) async fn item_12_the_token_is_bound_to_the_key_of_the_proof(way: Way) {
    let case = Case::new(way);
    let thief = TestClient::new().clock(case.api.clock.clone());
    let mismatch = invalid_token("token_binding_mismatch");
    for _ in 0..2 {
        let proof = thief.proof("GET", URL).access_token(&case.token).sign();
        case.check("the thief's", &proof, mismatch).await;
        // The second time, the token and the key are cached.
        let proof = case.proof().sign();
        case.check("the client's", &proof, Verdict::Admitted).await;
    }
    let unbound = case.api.issuer.token().mint();
    let proof = case.api.proof(&unbound).sign();
    assert_eq!(
        case.api.get(&unbound, &proof).await,
        invalid_token("token_not_bound")
    );
}
