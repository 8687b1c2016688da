//! The cost of verifying one request in this process, compared with other crates.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use dpop_tower::{Policy, test_util::KeyKind};
use dpop_tower_performance::{
    Backend, URL, World, call,
    load::Error,
    measure::{Batch, side_by_side, time},
    peers::{DpopVerifier, Huskarl},
    results,
};
use http::{Request, Uri};
use serde_json::json;

const CALLS: usize = 50;
const ROUNDS: usize = 200;

fn main() -> Result<(), Error> {
    let world = World::new(KeyKind::P256, KeyKind::P256);
    let requests: Arc<[Request<()>]> = world.requests(CALLS * (ROUNDS + 1)).into();
    let mut batches: Vec<Batch<'_>> = Vec::new();
    let mut names = Vec::new();

    for &backend in Backend::ALL {
        let mut service = world.service(backend, Policy::strict());
        names.push(format!("dpop-tower, {}", backend.name()));
        batches.push(each(&requests, move |request| {
            assert_eq!(call(&mut service, request.clone()).status(), 200);
        }));
    }

    let jwks = world.issuer.jwks();
    let huskarl = now(Huskarl::new(
        "https://issuer.test",
        "https://api.test",
        &jwks,
    ))?;
    // It needs the whole URI, which a server would have to assemble.
    let uri: Uri = URL.parse()?;
    names.push("huskarl-resource-server".to_owned());
    batches.push(each(&requests, move |request| {
        let verified = now(huskarl.verify(request.headers(), request.method(), &uri));
        assert!(verified.is_ok(), "the request is good");
    }));

    let verifier = DpopVerifier::new();
    names.push("dpop-verifier".to_owned());
    batches.push(each(&requests, move |request| {
        let text = |name: &str| request.headers()[name].to_str().expect("it is text");
        let (_, token) = text("authorization")
            .split_once(' ')
            .expect("it has a scheme");
        let verified = now(verifier.verify(text("dpop"), URL, "GET", token));
        assert!(verified.is_ok(), "the request is good");
    }));

    for batch in &mut batches {
        batch();
    }
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut batches);
    let ours = samples.first().ok_or("nothing was measured")?.median();
    for (name, samples) in names.iter().zip(&samples) {
        let ratio = samples.median() / ours;
        println!(
            "{name:26} {:8.2} us  (10 %: {:.2}, 90 %: {:.2})  {ratio:5.2} x",
            samples.median(),
            samples.quantile(0.1),
            samples.quantile(0.9),
        );
        let row = json!({
            "verifier": name,
            "median_us": samples.median(),
            "p10_us": samples.quantile(0.1),
            "p90_us": samples.quantile(0.9),
            "ratio": ratio,
        });
        results::record("peers", &row)?;
    }
    Ok(())
}

/// Returns a batch that verifies one request after another.
fn each<'a>(requests: &Arc<[Request<()>]>, mut verify: impl FnMut(&Request<()>) + 'a) -> Batch<'a> {
    let requests = Arc::clone(requests);
    let mut next = 0;
    Box::new(move || {
        let batch = &requests[next..next + CALLS];
        next += CALLS;
        time(|| batch.iter().for_each(&mut verify))
    })
}

/// Returns the output of a future that never has to wait.
fn now<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("nothing has to be waited for"),
    }
}
