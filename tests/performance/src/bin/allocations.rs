//! What a request allocates.

use allocation_counter::measure;
use dpop_tower::{Policy, test_util::KeyKind};
use dpop_tower_performance::{Backend, World, call};

fn main() {
    for backend in Backend::ALL {
        let world = World::new(KeyKind::P256, KeyKind::P256);
        let mut service = world.service(backend, Policy::strict());
        let mut raw = world.raw(backend, 1);
        let mut requests = world.requests(2_000).into_iter();
        for request in requests.by_ref().take(1_000) {
            call(&mut service, request);
        }
        let mut counts: Vec<_> = requests
            .map(|request| {
                measure(|| {
                    call(&mut service, request);
                })
            })
            .collect();
        counts.sort_by_key(|count| count.count_total);
        let middle = &counts[counts.len() / 2];
        let of_raw = measure(|| raw.verify());
        println!(
            "{}: {} allocations of {} octets in all, raw verification {} of {}",
            backend.name(),
            middle.count_total,
            middle.bytes_total,
            of_raw.count_total,
            of_raw.bytes_total
        );
    }
}
