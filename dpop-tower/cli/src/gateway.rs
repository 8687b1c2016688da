//! A reverse proxy that checks DPoP (RFC 9449) for services that do not know it.
//!
//! [`Settings`] are read from one TOML file. A [`Gateway`] enforces them: it admits or rejects a
//! request, and forwards what is admitted to the upstream, without its credentials and with headers
//! that say who called. [`serve`] runs it on a socket, and [`watch`] has it follow the file.
//!
//! | module | what it does |
//! |---|---|
//! | [`settings`] | reads and checks the file |
//! | [`guard`] | method, URI, headers and peer in; a verdict out |
//! | [`identity`] | which claims the upstream gets in which headers, and who else may not write these |
//! | [`proxy`] | forwards a request that was admitted, and its response |
//! | [`forward_auth`] | answers nginx, Traefik and Caddy, which ask before they forward |
//! | [`ext_authz`] | the same for Envoy |
//! | `command` | the subcommands of `dpop gateway` |
//! | `asked` | what these tell of a request, and who may ask |
//! | [`reload_state`] | what outlives a change of the file, above all the proofs that were used |
//! | `live` | what is in force now, and how it is replaced |
//! | `cors` | which pages of other origins may use the service |
//! | `names` | headers that no client may have passed on, under any spelling |
//! | `tls` | certificates, keys and handshakes |
//! | `server` | connections, limits, the end, and what HTTP itself asks of a request |
//! | `observed` | who is told of what goes over a connection |

mod asked;
mod command;
mod cors;
pub mod ext_authz;
pub mod forward_auth;
pub mod guard;
pub mod identity;
mod live;
mod names;
mod observed;
pub mod proxy;
pub mod reload_state;
mod server;
pub mod settings;
mod tls;

pub use self::{
    asked::TrustedProxies,
    command::{Command, run},
    live::{Gateway, watch},
    server::{Shutdown, serve},
    settings::{Settings, SettingsError},
    tls::ClientCertificate,
};
