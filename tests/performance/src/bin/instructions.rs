//! For valgrind: `instructions BACKEND WHAT COUNT`.

use std::env;

use dpop_tower::{Policy, test_util::KeyKind};
use dpop_tower_performance::{Backend, World, call};

fn main() {
    let mut arguments = env::args().skip(1);
    let backend = arguments.next().expect("a backend");
    let what = arguments.next().expect("what");
    let count: usize = arguments
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a count");
    let backend = *Backend::ALL
        .iter()
        .find(|b| b.name() == backend)
        .expect("a backend");
    let world = World::new(KeyKind::P256, KeyKind::P256);
    match what.as_str() {
        "raw" => {
            let mut raw = world.raw(backend, count);
            for _ in 0..count {
                raw.verify();
            }
        }
        "layer" | "issuers" => {
            let config = if what == "layer" {
                world.config(backend)
            } else {
                world.config_of_100_issuers(backend)
            };
            let mut service = World::protected(config, Policy::strict());
            for request in world.requests(count) {
                assert_eq!(call(&mut service, request).status(), 200);
            }
        }
        _ => panic!("raw, layer or issuers"),
    }
}
