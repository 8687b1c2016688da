//! What a request allocates: `allocations [AT-MOST]`.

use std::{env, process::ExitCode};

use allocation_counter::measure;
use dpop_tower::{Policy, test_util::KeyKind};
use dpop_tower_performance::{Backend, World, call};

fn main() -> ExitCode {
    let at_most: Option<u64> = env::args().nth(1).map(|n| n.parse().expect("a number"));
    let mut is_good = true;
    for &backend in Backend::ALL {
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
        // In a few of the requests, the replay store also grows.
        counts.sort_by_key(|count| count.count_total);
        let middle = &counts[counts.len() / 2];
        let of_raw = measure(|| raw.verify());
        let outside = middle.count_total - of_raw.count_total;
        println!(
            "{}: {outside} allocations of {} bytes, besides {} for the signature check",
            backend.name(),
            middle.bytes_total - of_raw.bytes_total,
            of_raw.count_total,
        );
        is_good &= at_most.is_none_or(|at_most| outside <= at_most);
    }
    if is_good {
        ExitCode::SUCCESS
    } else {
        eprintln!("that is more than {at_most:?}");
        ExitCode::FAILURE
    }
}
