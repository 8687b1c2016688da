//! Requests, proofs and keys with random changes.

use axum::http::StatusCode;
use dpop_tower::{
    Policy,
    nonce::{NonceSecret, StatelessNonces},
};
use http::{HeaderValue, Method, Request, header};

use crate::support::{Backend, URL, Verdict, invalid_proof, router, send};

dpop_conformance::each_backend!(
    of_thousands_of_mutated_requests_none_is_admitted_and_none_fails,
    signed_proofs_with_mutated_json_are_admitted_only_if_they_are_for_the_request,
    an_unknown_key_of_the_right_shape_is_no_more_than_a_bad_proof,
);

/// Xorshift, with the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).unwrap()
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() % bound
    }

    fn byte(&mut self) -> u8 {
        const INTERESTING: &[u8] = b".=,; \"\\-_+/AZaz09\t\x7f\x80\xff{}[]:";
        match self.below(3) {
            0 => INTERESTING[self.below(INTERESTING.len())],
            _ => self.next().to_le_bytes()[0],
        }
    }

    /// Makes one to three small changes.
    fn mutate(&mut self, text: &[u8]) -> Vec<u8> {
        let mut text = text.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(text.len().max(1));
            match self.below(7) {
                _ if text.is_empty() => text.push(self.byte()),
                0 => text[at] = self.byte(),
                1 => text[at] ^= 1 << self.below(8),
                2 => text.insert(at, self.byte()),
                3 => drop(text.remove(at)),
                4 => text.truncate(at),
                5 => {
                    let end = (at + self.below(20)).min(text.len());
                    let part = text[at..end].to_vec();
                    text.splice(at..at, part);
                }
                _ => {
                    let other = self.below(text.len());
                    text.swap(at, other);
                }
            }
        }
        text
    }
}

/// Returns an `Authorization` header without everything that has no meaning.
fn meaning(authorization: &[u8]) -> Vec<u8> {
    let mut meaning = authorization.to_vec();
    let scheme = meaning.len().min(4);
    meaning[..scheme].make_ascii_lowercase();
    while meaning.get(4..6) == Some(b"  ") {
        meaning.remove(4);
    }
    meaning
}

async fn of_thousands_of_mutated_requests_none_is_admitted_and_none_fails(backend: Backend) {
    let api = backend.api();
    let optional = api.config().policy(Policy::optional());
    let secret = NonceSecret::new([3; 32]).unwrap();
    let with_nonces = api
        .config()
        .nonce_source(StatelessNonces::new(secret))
        .require_nonces();
    let routers = [
        api.router.clone(),
        router(optional.build().unwrap()),
        router(with_nonces.build().unwrap()),
    ];
    let token = api.token().mint();
    let good = format!("DPoP {token}").into_bytes();
    let proof = api.proof(&token).sign().into_bytes();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut tried = 0;
    while tried < 4000 {
        let (mut a, mut p) = (good.clone(), proof.clone());
        let which = numbers.below(4);
        if which != 0 {
            p = numbers.mutate(&p);
        }
        if which < 2 {
            a = numbers.mutate(&a);
        }
        if meaning(&a) == meaning(&good) && p == proof {
            continue;
        }
        let (Ok(a), Ok(p)) = (HeaderValue::from_bytes(&a), HeaderValue::from_bytes(&p)) else {
            continue;
        };
        tried += 1;
        let mut request = Request::new(());
        *request.uri_mut() = "/orders".parse().unwrap();
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, a.clone());
        request.headers_mut().insert("dpop", p.clone());
        let response = send(routers[tried % 3].clone(), request).await;
        let verdict = Verdict::of(response);
        let Verdict::Rejected { status, .. } = verdict else {
            panic!("admitted: {a:?} {p:?}");
        };
        assert!(matches!(status, 400 | 401), "{verdict:?} {a:?} {p:?}");
    }
    let proof = std::str::from_utf8(&proof).unwrap();
    assert_eq!(
        api.get(&token, proof).await,
        Verdict::Admitted,
        "the proof is as good as ever"
    );
}

/// The signature is valid, so that the checks after it are reached as well.
async fn signed_proofs_with_mutated_json_are_admitted_only_if_they_are_for_the_request(
    backend: Backend,
) {
    let api = backend.api();
    let token = api.token().mint();
    let header = api.proof(&token).header_json().into_bytes();
    let payload = api.proof(&token).payload_json().into_bytes();
    let ath = serde_json::from_slice::<serde_json::Value>(&payload).unwrap()["ath"].clone();
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for round in 0..1500 {
        let builder = api.proof(&token);
        let (proof, payload) = if round % 3 == 0 {
            let mutated = numbers.mutate(&header);
            (
                builder.raw_header(String::from_utf8_lossy(&mutated)),
                payload.clone(),
            )
        } else {
            let mutated = numbers.mutate(&payload);
            let text = String::from_utf8_lossy(&mutated).into_owned();
            (builder.raw_payload(text.clone()), text.into_bytes())
        };
        match api.get(&token, &proof.sign()).await {
            Verdict::Admitted => {
                let claims: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                assert_eq!(claims["htm"], "GET");
                assert_eq!(claims["ath"], ath);
                assert!(claims["jti"].as_str().is_some_and(|jti| !jti.is_empty()));
            }
            Verdict::Rejected { status, .. } => assert_eq!(status, 401),
        }
    }
}

async fn an_unknown_key_of_the_right_shape_is_no_more_than_a_bad_proof(backend: Backend) {
    let api = backend.api();
    let token = api.token().mint();
    let zero = "A".repeat(43);
    for (x, y) in [
        (&zero[..], &zero[..]),
        ("", ""),
        (&zero, "_".repeat(43).as_str()),
    ] {
        let jwk = serde_json::json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        let proof = api.proof(&token).header("jwk", jwk).sign();
        let request = api
            .client
            .request_with_proof(Method::GET, URL, &token, &proof);
        let response = send(api.router.clone(), request).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        let Verdict::Rejected { error, .. } = Verdict::of(response) else {
            panic!("admitted with {x} {y}");
        };
        assert!(["invalid_dpop_proof", "invalid_token"].contains(&error));
    }
    // The next client is still served.
    let proof = api.proof(&token).sign();
    assert_eq!(api.get(&token, &proof).await, Verdict::Admitted);
    assert_eq!(
        api.get(&token, &proof).await,
        invalid_proof("proof_replayed")
    );
}
