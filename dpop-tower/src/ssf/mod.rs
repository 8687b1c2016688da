//! Security events: the issuer reports that a session has ended or that credentials have changed, and the tokens
//! that this concerns are revoked at once.
//!
//! An [`EventReceiver`] is a tower service. The issuer, as a [`Transmitter`] of the OpenID Shared Signals Framework
//! (SSF) 1.0, delivers each event as a signed Security Event Token (SET, RFC 8417) in a `POST` request (RFC 8935).
//! The receiver verifies it and fills a revocation list, which a configuration asks about each token:
//!
//! ```
//! # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "axum"))]
//! # fn app() -> Result<axum::Router, dpop_tower::ConfigError> {
//! use std::sync::Arc;
//!
//! use axum::Router;
//! use dpop_tower::{
//!     DpopConfig, DpopLayer, Issuer, PublicOrigin,
//!     revocation::MemoryRevocationList,
//!     ssf::{EventReceiver, Transmitter},
//! };
//!
//! # let secret_from_a_file = "Bearer 7Fjfp0ZBr1KtDRbnfVdmIw";
//! let list = Arc::new(MemoryRevocationList::new());
//! let transmitter = Transmitter::discover("https://idp.example.com")
//!     .audience("https://api.example.com/security-events")
//!     .authorization(secret_from_a_file);
//! let receiver = EventReceiver::builder([transmitter], Arc::clone(&list)).build()?;
//!
//! let config = DpopConfig::builder(
//!     PublicOrigin::new("https://api.example.com")?,
//!     Issuer::discover("https://idp.example.com").audience("https://api.example.com"),
//! )
//! .revocation_list(list)
//! .build()?;
//! let app = Router::new()
//!     // … the routes of the API …
//!     .layer(DpopLayer::new(config))
//!     // Outside the layer, because the transmitter has no access token.
//!     .route_service("/security-events", receiver);
//! # Ok(app)
//! # }
//! # #[cfg(all(any(feature = "aws-lc-rs", feature = "josekit"), feature = "axum"))]
//! # app().unwrap();
//! ```
//!
//! # Events
//!
//! | event | effect |
//! |---|---|
//! | CAEP `session-revoked` | revokes the session, and the user's tokens if they may lack a `sid` |
//! | CAEP `credential-change`, whatever the change | revokes the user's tokens |
//! | CAEP `token-claims-change` | revokes the token or the user's tokens, so that the client gets new claims |
//! | SSF `verification` | none |
//! | SSF `stream-updated` | none; a line at `warn` if the stream is no longer enabled, because no events come then |
//! | any other | none; a line at `warn` |
//!
//! The user's tokens are those that were issued up to the second of the event, which is its `event_timestamp`, the
//! `toe` or else the `iat` of the SET, and never later than `iat`. A token that is issued afterwards is good.
//!
//! # Subjects
//!
//! | subject (RFC 9493, SSF 1.0 section 3) | names |
//! |---|---|
//! | `iss_sub` | a user, by the `sub` of the tokens |
//! | `opaque` | a user, by the `sub` of the tokens; in `session-revoked` also a session, by their `sid` |
//! | `jwt_id` | one token, by its `jti` |
//! | `aliases` | everything that one of them names |
//! | `complex` | its `session` in `session-revoked`, and its `user`. Other members are not looked at, so an event about one device or tenant of a user concerns all tokens of the user |
//! | any other | nothing; the event has no effect, and there is a line at `warn` |
//!
//! The subject is the `sub_id` of the SET, or the `subject` of the event in SETs of older drafts. Tokens are those of
//! the transmitter's own issuer, or of the issuers that [`Transmitter::tokens_of`] names. An event about another
//! issuer's subject is rejected with `access_denied`.
//!
//! # What the transmitter learns
//!
//! | response | when |
//! |---|---|
//! | 202 | the SET is valid, and what it revokes is on the list. The same for a SET that came before, and for one without an effect |
//! | 400, `authentication_failed` | the `Authorization` header is not that of the transmitter |
//! | 400, `invalid_issuer` | the SET is of no configured transmitter |
//! | 400, `invalid_audience` | the SET is not for this receiver |
//! | 400, `invalid_key` | no key of the transmitter verifies the SET |
//! | 400, `access_denied` | the event is about tokens of an issuer that the transmitter does not speak for |
//! | 400, `invalid_request` | anything else that is wrong with the SET |
//! | 405, 408, 413, 415 | not a `POST` with `application/secevent+jwt`, not sent in ten seconds, or more than 64 KiB |
//! | 503, with `Retry-After` | the transmitter's keys are out of reach, or the list is full. The transmitter has to try again, and the revocation is not lost |
//!
//! # Security
//!
//! - A SET is not an access token and an access token is not a SET, even if both are signed with the same key: each
//!   has its own `typ`, and a SET with `exp` or `sub` is rejected (SSF 1.0 sections 4.1.2 and 4.1.7).
//! - The signature decides. [`Transmitter::authorization`] keeps strangers from causing signature checks, and a
//!   captured SET from being sent again. Without it, such a SET is acknowledged and has no further effect.
//! - A `jti` counts once. Of the last 10,000 it is known that they came; an older SET has the effect that it had
//!   before, which is to revoke tokens that are revoked already.
//! - Serve the receiver over TLS, as SSF requires.
//!
//! # Metrics
//!
//! With the feature `metrics`, each request increments the counter `dpop_security_events_total`. Its label `outcome`
//! is one of `revoked`, `repeated`, `no_effect` (an unsupported event or subject, or one whose tokens have all
//! expired), `stream` (`verification`, `stream-updated`), `rejected` and `unavailable`.

mod answer;
mod body;
mod delivery;
mod event;
mod receiver;
mod subject;
mod transmitter;

pub use self::{
    receiver::{EventReceiver, EventReceiverBuilder, Receiving},
    transmitter::Transmitter,
};
