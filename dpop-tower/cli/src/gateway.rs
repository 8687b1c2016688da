//! A reverse proxy that checks DPoP (RFC 9449) for services that do not support it.
//!
//! [`Settings`] are read from one TOML file. A [`Gateway`] enforces them: it admits or rejects each
//! request, and forwards admitted requests to the upstream without their credentials and with headers
//! that identify the caller. [`serve`] runs it on a socket, and [`watch`] reloads it when the file
//! changes.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | reads and checks the file |
//! | [`guard`] | turns a method, URI, headers and peer address into a verdict |
//! | [`identity`] | writes claims into headers for the upstream, and reserves those headers |
//! | [`proxy`] | forwards admitted requests and their responses |
//! | [`forward_auth`] | answers nginx, Traefik and Caddy, which ask before they forward |
//! | [`ext_authz`] | answers Envoy, which does the same over gRPC |
//! | [`probe`] | tells an orchestrator whether the gateway is ready |
//! | `command` | the subcommands of `dpop gateway` |
//! | `asked` | the request that such a proxy describes, and which proxies may ask |
//! | [`reload_state`] | the state that survives a reload, above all the used proofs |
//! | `live` | the configuration in force, and how it is replaced |
//! | `events` | receives security events, which revoke tokens |
//! | `cors` | which pages of other origins may use the service |
//! | `names` | header names that are never forwarded from clients, in any spelling |
//! | `tls` | certificates, keys and handshakes |
//! | `server` | connections, limits, shutdown, and the checks that HTTP itself requires |
//! | `observed` | a connection that reports its reads and writes |

mod asked;
mod command;
mod cors;
mod events;
pub mod ext_authz;
pub mod forward_auth;
pub mod guard;
pub mod identity;
mod live;
mod names;
mod observed;
pub mod probe;
pub mod proxy;
pub mod reload_state;
mod server;
pub mod settings;
mod tls;
mod used_proofs;

pub use self::{
    asked::TrustedProxies,
    command::{Command, run},
    live::{Gateway, watch},
    server::{Shutdown, serve},
    settings::{Settings, SettingsError},
};
