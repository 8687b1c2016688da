//! What a request costs, beside one raw signature verification by the same backend.

use std::{iter::repeat_with, thread};

use dpop_tower::{
    Dpop, Policy,
    test_util::{KeyKind, TestClient},
};
use dpop_tower_performance::{
    Backend, Inner, URL, World, call,
    measure::{Batch, Samples, side_by_side, time},
    results,
};
use http::{Method, Request};
use serde_json::{Value, json};

const CALLS: usize = 50;
const ROUNDS: usize = 200;

fn main() {
    note(results::machine());
    for &backend in Backend::ALL {
        for (name, kind) in [("ES256", KeyKind::P256), ("Ed25519", KeyKind::Ed25519)] {
            warm(backend, name, kind);
        }
        new_keys(backend);
        threads(backend);
    }
    cheap();
}

fn print(backend: &str, case: &str, samples: &Samples, raw: Option<&Samples>) {
    let ratio = raw.map(|raw| samples.median() / raw.median());
    println!(
        "{case:42} {:8.2} us  (10 %: {:.2}, 90 %: {:.2}){}",
        samples.median(),
        samples.quantile(0.1),
        samples.quantile(0.9),
        ratio.map_or_else(String::new, |ratio| format!("  {ratio:5.2} x raw")),
    );
    note(json!({
        "backend": backend,
        "case": case,
        "median_us": samples.median(),
        "p10_us": samples.quantile(0.1),
        "p90_us": samples.quantile(0.9),
        "ratio": ratio,
    }));
}

fn note(row: Value) {
    results::record("targets", &row).expect("the results can be written");
}

/// One batch of these requests after the other.
fn batches<'a>(service: &'a mut Dpop<Inner>, requests: Vec<Request<()>>, status: u16) -> Batch<'a> {
    let mut next = 0;
    Box::new(move || {
        // Copied so that they are at hand, as they would be when they have just been read.
        let batch = requests[next..next + CALLS].to_vec();
        next += CALLS;
        time(|| {
            for request in batch {
                assert_eq!(call(service, request).status(), status);
            }
        })
    })
}

fn warm(backend: Backend, name: &str, kind: KeyKind) {
    let world = World::new(kind, KeyKind::P256);
    let mut raw = world.raw(backend, CALLS * ROUNDS);
    let mut service = world.service(backend, Policy::strict());
    let requests = world.requests(CALLS * (ROUNDS + 1));
    let mut layer = batches(&mut service, requests, 200);
    layer();
    let raw: Batch<'_> = Box::new(move || time(|| (0..CALLS).for_each(|_| raw.verify())));
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut [raw, layer]);
    println!("--- {} {name}", backend.name());
    let (raw, layer) = (&samples[0], &samples[1]);
    let case = |what: &str| format!("{name}, {what}");
    print(backend.name(), &case("raw check"), raw, None);
    print(backend.name(), &case("all known"), layer, Some(raw));
    let outside = layer.median() - raw.median();
    println!("{:42} {outside:8.2} us", "outside of the signature check");
    note(json!({ "backend": backend.name(), "algorithm": name, "outside_us": outside }));
}

/// Every request has a key that was not seen before. The token was, with a bad signature.
fn new_keys(backend: Backend) {
    let world = World::new(KeyKind::P256, KeyKind::P256);
    let mut raw = world.raw(backend, CALLS * ROUNDS);
    let mut service = world.service(backend, Policy::strict());
    let mut requests = Vec::new();
    for _ in 0..CALLS * ROUNDS {
        let client = TestClient::new();
        let token = world.issuer.token().bound_to(&client).mint();
        let bad = client
            .proof("GET", URL)
            .access_token(&token)
            .corrupt_signature()
            .sign();
        let bad = client.request_with_proof(Method::GET, URL, &token, &bad);
        assert_eq!(call(&mut service, bad).status(), 401);
        requests.push(client.request(Method::GET, URL, &token));
    }
    let layer = batches(&mut service, requests, 200);
    let raw: Batch<'_> = Box::new(move || time(|| (0..CALLS).for_each(|_| raw.verify())));
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut [raw, layer]);
    print(
        backend.name(),
        "ES256, key new",
        &samples[1],
        Some(&samples[0]),
    );
}

/// The same work on one thread and on two.
fn threads(backend: Backend) {
    let world = World::new(KeyKind::P256, KeyKind::P256);
    let service = world.service(backend, Policy::strict());
    let mut requests = world.requests(3 * CALLS * ROUNDS).into_iter();
    let mut take = || -> Vec<_> { requests.by_ref().take(CALLS * 10).collect() };
    let run = |batch: Vec<Request<()>>| {
        let mut service = service.clone();
        for request in batch {
            assert_eq!(call(&mut service, request).status(), 200);
        }
    };
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS / 10 {
        let batch = take();
        one.push(time(|| run(batch)).as_secs_f64());
        let (left, right) = (take(), take());
        two.push(
            time(|| {
                thread::scope(|scope| {
                    scope.spawn(|| run(left));
                    scope.spawn(|| run(right));
                });
            })
            .as_secs_f64(),
        );
    }
    for times in [&mut one, &mut two] {
        times.sort_by(f64::total_cmp);
    }
    let middle = one.len() / 2;
    let times = 2.0 * one[middle] / two[middle];
    println!("{:42} {times:8.2} x one", "throughput of two threads");
    note(json!({ "backend": backend.name(), "two_threads": times }));
}

/// What needs no signature check.
fn cheap() {
    println!("--- without a signature check");
    let world = World::new(KeyKind::P256, KeyKind::P256);
    let backend = Backend::AwsLcRs;
    let bearer = world.issuer.token().subject("alice").mint();
    let bearer = || {
        let value = format!("Bearer {bearer}");
        Request::get(URL)
            .header("authorization", value)
            .body(())
            .expect("it is a request")
    };
    let nothing = || Request::get(URL).body(()).expect("it is a request");
    let count = CALLS * (ROUNDS + 1);
    let mut optional = world.service(backend, Policy::optional());
    let mut strict = world.service(backend, Policy::strict());
    let mut off = world.service(backend, Policy::off());
    let mut optional = batches(
        &mut optional,
        repeat_with(bearer).take(count).collect(),
        200,
    );
    optional();
    let strict = batches(&mut strict, repeat_with(nothing).take(count).collect(), 401);
    let off = batches(&mut off, repeat_with(nothing).take(count).collect(), 200);
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut [optional, strict, off]);
    for (samples, case) in samples.iter().zip([
        "optional, bearer token known",
        "strict, no credentials",
        "off",
    ]) {
        println!("{case:42} {:8.2} us", samples.median());
        note(json!({ "without_a_check": case, "median_us": samples.median() }));
    }
}
