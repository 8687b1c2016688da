//! Certificates of clients in the headers and questions of other proxies, and in headers of the clients.

mod envoy;
mod forward_auth;
mod nginx;
mod upstream;

use super::tls::{
    bound::{Bound, ROUTES, SYNTAXES, escaped, request},
    certificates::{Authority, Pair},
};

/// Each route and binding, with the statuses for a client that has the certificate of the token, for one that
/// has not, and for one whose certificate cannot be read.
const EXPECTED: [(&str, Bound, u16, u16, u16); 8] = [
    ("/certificate", Bound::Certificate, 200, 401, 400),
    ("/certificate", Bound::Both, 200, 401, 400),
    ("/certificate", Bound::Key, 200, 200, 200),
    ("/both", Bound::Certificate, 401, 401, 401),
    ("/both", Bound::Both, 200, 401, 400),
    ("/both", Bound::Key, 401, 401, 401),
    ("/orders", Bound::Both, 200, 401, 400),
    ("/orders", Bound::Key, 200, 200, 200),
];

/// The certificate of the client, and that of another one of the same authority and name.
fn two_clients() -> (Pair, Pair) {
    let authority = Authority::new("clients");
    (authority.server("client"), authority.server("client"))
}
