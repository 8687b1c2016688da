//! The cost of a request, relative to one raw signature verification by the same backend.

use std::{
    iter::repeat_with,
    sync::{Barrier, Mutex},
    thread,
    time::Duration,
};

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

/// Returns batches of these requests, one request after another.
fn batches<'a>(service: &'a mut Dpop<Inner>, requests: Vec<Request<()>>, status: u16) -> Batch<'a> {
    let mut next = 0;
    Box::new(move || {
        // Copied so that they are in the cache, as if they had just been read.
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

/// Every request has a new key. The token was seen before, in a request whose proof had an invalid
/// signature.
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

/// The same work on one thread and on two, and the raw check next to it: two processors may do less than
/// twice the work of one. Both threads share the client, the token and the store.
fn threads(backend: Backend) {
    const EACH: usize = 200;
    const ROUNDS: usize = 60;
    let world = World::new(KeyKind::P256, KeyKind::P256);
    let service = world.service(backend, Policy::strict());
    let mut requests = world.requests(3 * EACH * ROUNDS).into_iter();
    let raws = [(); 2].map(|()| Mutex::new(world.raw(backend, EACH * 5)));
    let check = |thread: usize, begin: &Barrier| {
        let mut raw = raws[thread].lock().expect("no thread panics");
        begin.wait();
        time(|| (0..EACH).for_each(|_| raw.verify()))
    };
    let run = |requests: &[Request<()>], begin: &Barrier| {
        let mut service = service.clone();
        // In memory of the thread that will free it, as in a server.
        let requests = requests.to_vec();
        begin.wait();
        time(|| {
            for request in requests {
                assert_eq!(call(&mut service, request).status(), 200);
            }
        })
    };
    let alone = Barrier::new(1);
    let mut times = [(); 4].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        let batches = [(); 3].map(|()| -> Vec<_> { requests.by_ref().take(EACH).collect() });
        let round = [
            check(0, &alone),
            both(|thread, begin| check(thread, begin)),
            run(&batches[2], &alone),
            both(|thread, begin| run(&batches[thread], begin)),
        ];
        for (times, time) in times.iter_mut().zip(round) {
            times.push(time);
        }
    }
    let [raw, raw_two, layer, layer_two] = times.map(|times| Samples::new(times).median());
    let (raw, layer) = (2.0 * raw / raw_two, 2.0 * layer / layer_two);
    println!("{:42} {layer:8.2} x one", "throughput of two threads");
    println!("{:42} {raw:8.2} x one", "the raw check on two threads");
    note(json!({ "backend": backend.name(), "two_threads": layer, "two_threads_raw": raw }));
}

/// Returns the time of the slower of two threads that begin together.
fn both(work: impl Fn(usize, &Barrier) -> Duration + Sync) -> Duration {
    let begin = Barrier::new(2);
    thread::scope(|scope| {
        let other = scope.spawn(|| work(1, &begin));
        let this = work(0, &begin);
        this.max(other.join().expect("it does not panic"))
    })
}

/// Requests that need no signature check.
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
    let seen = world.requests(1).remove(0);
    let config = world.config(backend).danger_allow_reuse_within_lifetime();
    let mut reuse = World::protected(config, Policy::strict());
    let mut reuse = batches(&mut reuse, vec![seen; count], 200);
    reuse();
    let mut optional = batches(
        &mut optional,
        repeat_with(bearer).take(count).collect(),
        200,
    );
    optional();
    let strict = batches(&mut strict, repeat_with(nothing).take(count).collect(), 401);
    let off = batches(&mut off, repeat_with(nothing).take(count).collect(), 200);
    let samples = side_by_side(ROUNDS, CALLS as u32, &mut [optional, strict, off, reuse]);
    for (samples, case) in samples.iter().zip([
        "optional, bearer token known",
        "strict, no credentials",
        "off",
        "reuse allowed, proof seen",
    ]) {
        println!("{case:42} {:8.2} us", samples.median());
        note(json!({ "without_a_check": case, "median_us": samples.median() }));
    }
}
