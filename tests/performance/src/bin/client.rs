//! The cost of a client's request, relative to one raw signature by the same backend: `client [AT-MOST]`,
//! with a limit for `ES256`.

use std::{
    convert::Infallible,
    env,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    process::ExitCode,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use dpop_tower::{
    client::{AccessToken, ApiOrigin, ClientKey, DpopClient, DpopClientLayer, RequestBody},
    crypto::Algorithm,
    test_util::TestIssuer,
};
use dpop_tower_performance::{
    URL,
    measure::{Batch, side_by_side, time},
    results,
};
use http::{Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{BoxError, Layer as _, Service, service_fn};

const CALLS: usize = 50;
const ROUNDS: usize = 400;
/// The backend with which a [`ClientKey`] signs in this build.
const BACKEND: &str = if cfg!(feature = "josekit") {
    "josekit"
} else {
    "aws-lc-rs"
};

fn main() -> ExitCode {
    let at_most: Option<f64> = env::args().nth(1).map(|n| n.parse().expect("a number"));
    let ratio = measured(Algorithm::Es256);
    measured(Algorithm::Ed25519);
    match at_most {
        Some(at_most) if ratio > at_most => {
            eprintln!("ES256 takes more than {at_most} x");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Measures requests with a token, a kept nonce and a body, and returns the ratio.
fn measured(algorithm: Algorithm) -> f64 {
    let key = ClientKey::generate(algorithm).expect("it is supported");
    let token = TestIssuer::new()
        .token()
        .bound_to_thumbprint(&key.thumbprint());
    let layer = DpopClientLayer::new(
        DpopClient::new(key.clone()).expect("it is a key"),
        AccessToken::new(&token.mint()).expect("it is a token"),
        ApiOrigin::new("https://api.example.com").expect("it is an origin"),
    );
    // Proofs sign messages of this length. The clones of the layer have the nonce of these responses.
    let len = signed_len(&mut layer.clone().layer(service_fn(describe)));
    let mut service = layer.layer(service_fn(answer));
    let mut message = vec![b'a'; len];
    let mut count = 0_u64;
    let raw: Batch<'_> = Box::new(move || {
        time(|| {
            for _ in 0..CALLS {
                count += 1;
                message[..8].copy_from_slice(&count.to_ne_bytes());
                black_box(key.sign(&message).expect("it signs"));
            }
        })
    });
    let requests: Batch<'_> = Box::new(move || {
        let batch = [(); CALLS].map(|()| request());
        time(|| {
            for request in batch {
                black_box(call(&mut service, request));
            }
        })
    });
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut [raw, requests]);
    let (raw, request) = (samples[0].median(), samples[1].median());
    let ratio = request / raw;
    println!(
        "{BACKEND} {algorithm}: raw signature {raw:.2} us, request {request:.2} us, {ratio:.2} x raw"
    );
    let row = json!({
        "backend": BACKEND,
        "algorithm": algorithm.as_str(),
        "raw_us": raw,
        "request_us": request,
        "ratio": ratio,
    });
    results::record("client", &row).expect("the results can be written");
    ratio
}

fn request() -> Request<Full<Bytes>> {
    Request::post(URL)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("user-agent", "measurement")
        .body(Full::from(r#"{"item":"pears","quantity":3}"#))
        .expect("it is a request")
}

type Attempt = Request<RequestBody<Full<Bytes>>>;

/// Responds at once, so that nearly all of the time is that of the layer.
fn answer(attempt: Attempt) -> Ready<Result<Response<usize>, Infallible>> {
    black_box(attempt);
    ready(Ok(Response::new(0)))
}

/// Responds with a nonce and the length of what was signed.
fn describe(attempt: Attempt) -> Ready<Result<Response<usize>, Infallible>> {
    let proof = attempt.headers()["dpop"].as_bytes();
    let signed = proof
        .iter()
        .rposition(|byte| *byte == b'.')
        .unwrap_or_default();
    let response = Response::builder().header("dpop-nonce", "eyJ7S_zG.eyJH0-Z.HX4w-7v");
    ready(Ok(response.body(signed).expect("it is a response")))
}

fn signed_len<S>(service: &mut S) -> usize
where
    S: Service<Request<Full<Bytes>>, Response = Response<usize>, Error = BoxError>,
{
    // The second proof has a nonce.
    call(service, request());
    *call(service, request()).body()
}

#[inline(never)]
fn call<S>(service: &mut S, request: Request<Full<Bytes>>) -> Response<usize>
where
    S: Service<Request<Full<Bytes>>, Response = Response<usize>, Error = BoxError>,
{
    let mut context = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(())) = service.poll_ready(&mut context) else {
        panic!("it is always ready");
    };
    let mut future = pin!(service.call(request));
    match future.as_mut().poll(&mut context) {
        Poll::Ready(Ok(response)) => response,
        Poll::Ready(Err(error)) => panic!("{error}"),
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}
