use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU16, Ordering},
};

/// The first port, and how many there are. They end below the ports that systems give to connections and to listeners
/// on port 0.
const FIRST: u16 = 10_100;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// Returns a port of loopback on which nothing listens, for a server that cannot be handed a socket, or that has to
/// come back at its address.
///
/// No connection and no other listener of the tests takes it meanwhile, because the system gives them higher ports.
pub fn free_port() -> u16 {
    // Tests that run at the same time, each in a process of its own, begin at different ports.
    let offset = u16::try_from(process::id().wrapping_mul(37) % u32::from(COUNT)).unwrap();
    let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    (0..COUNT)
        .map(|_| NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(offset))
        .map(|number| FIRST + number % COUNT)
        .find(|port| is_free(*port))
        .expect("there is a free port")
}
