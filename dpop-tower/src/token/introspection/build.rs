use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::sync::Semaphore;

use super::{
    Introspection, Place,
    answer::Checks,
    call::{Endpoint, Form},
    circuit::Circuit,
    flight::Flights,
    location::{self, Discovered, Location},
    signed::SignedAnswers,
    verdicts::Verdicts,
    verifier::{IntrospectionVerifier, Shared, TURN},
};
use crate::{
    clock::TimeSource,
    crypto::CryptoProvider,
    error::{ConfigError, ConfigErrorKind},
    keys::{self, KeyFetching, KeySource, PlainHttp},
    proof::TOKEN_LEEWAY,
    token::jwt::issuer::check_issuer,
};

/// The lifetime of a token if the issuer does not state one, unless its verdict is cached for longer.
const LIFETIME_WITHOUT_EXP: Duration = Duration::from_secs(60);

/// The longest time that verdicts can be cached. A token that is revoked can be used for as long.
const LONGEST_CACHED: Duration = Duration::from_secs(10 * 60);

/// The longest time that verdicts on tokens that cannot be used can be cached.
const LONGEST_REJECTED: Duration = Duration::from_secs(60);

const LONGEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The number of calls that may wait, for each call that may be under way.
const WAITING_PER_CALL: usize = 16;

/// The time that a call may need besides its turn and the answer. It may wait for metadata that another call
/// fetches, for its own attempt, and for the keys of signed answers. Each takes ten seconds at most.
const LOOK_UPS: Duration = Duration::from_secs(32);

impl Introspection {
    /// Checks the settings, and makes the verifier.
    pub(in crate::token) fn build(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<IntrospectionVerifier, ConfigError> {
        (self.checked(crypto, clock)).map_err(ConfigError::about_introspection)
    }

    fn checked(
        self,
        crypto: &Arc<dyn CryptoProvider>,
        clock: &Arc<dyn TimeSource>,
    ) -> Result<IntrospectionVerifier, ConfigError> {
        let leeway = self.check(&**crypto)?;
        let location = self.location(clock)?;
        let Some(client) = self.client else {
            return Err(ConfigError::new(
                ConfigErrorKind::ClientAuthentication,
                "it is not said how this API authenticates at the introspection endpoint: give \
                 `client_secret_basic` or `private_key_jwt`",
            ));
        };
        let mut limit = TURN.saturating_add(self.timeout);
        if self.signed || matches!(location, Location::Discovered(_)) {
            limit = limit.saturating_add(LOOK_UPS);
        }
        let signed = match self.signed {
            false => None,
            true => {
                let plain_http = PlainHttp::to_loopback(self.plain_http);
                let endpoint = match &self.jwks_url {
                    Some(url) => keys::Endpoint::jwks(url, plain_http)?,
                    None => keys::Endpoint::discover(&self.issuer, plain_http)?,
                };
                let intervals = KeyFetching::new().check()?;
                let algorithms = self.algorithms.clone();
                let crypto = Arc::clone(crypto);
                let keys = (self.fetched).of(endpoint, intervals, algorithms, crypto, clock)?;
                let keys: Arc<dyn KeySource> = Arc::new(keys);
                Some(SignedAnswers {
                    issuer: self.issuer.clone(),
                    client_id: client.id.clone(),
                    leeway,
                    algorithms: self.algorithms,
                    keys,
                })
            }
        };
        let form = if signed.is_some() {
            Form::Jwt
        } else {
            Form::Json
        };
        Ok(IntrospectionVerifier::new(Shared {
            endpoint: Endpoint::new(
                location,
                self.issuer.clone(),
                client,
                form,
                self.timeout,
                self.max_calls,
            )?,
            checks: Checks {
                issuer: self.issuer,
                audiences: self.audiences,
                aud_may_be_missing: self.aud_may_be_missing,
                leeway,
                lifetime: self.cache_for.max(LIFETIME_WITHOUT_EXP),
            },
            signed,
            verdicts: Verdicts::new(
                self.cache_capacity,
                self.cache_for,
                self.cache_rejections_for,
            ),
            flights: Arc::new(Flights::new(
                self.max_calls.saturating_mul(WAITING_PER_CALL),
                limit,
            )),
            circuit: Arc::new(Circuit::new(Arc::clone(clock))),
            turns: Semaphore::new(self.max_calls),
            clock: Arc::clone(clock),
            logged: Mutex::default(),
        }))
    }

    fn location(&self, clock: &Arc<dyn TimeSource>) -> Result<Location, ConfigError> {
        Ok(match &self.place {
            Place::NotGiven => {
                return Err(ConfigError::new(
                    ConfigErrorKind::AccessTokens,
                    "it is not said where the introspection endpoint is: give `endpoint` after \
                     `Introspection::new`, or begin with `Introspection::discover`",
                ));
            }
            Place::Url(url) => Location::Configured(location::configured(
                "the introspection endpoint",
                url,
                self.plain_http,
            )?),
            Place::Discover => Location::Discovered(Arc::new(Discovered::new(
                &self.issuer,
                self.plain_http,
                Arc::clone(clock),
            )?)),
        })
    }

    /// Checks what does not depend on the endpoint, and returns the leeway.
    fn check(&self, crypto: &dyn CryptoProvider) -> Result<Duration, ConfigError> {
        let reject = |kind, message: &'static str| Err(ConfigError::new(kind, message));
        check_issuer(&self.issuer)?;
        if self.audiences.is_empty() {
            return reject(
                ConfigErrorKind::AccessTokens,
                "no audience: name this API with `Introspection::audience`",
            );
        }
        if self.audiences.iter().any(String::is_empty) {
            return reject(ConfigErrorKind::AccessTokens, "an audience is empty");
        }
        if self
            .client
            .as_ref()
            .is_some_and(|client| client.id.is_empty())
        {
            return reject(
                ConfigErrorKind::ClientAuthentication,
                "the client id of this API is empty",
            );
        }
        for (what, time, longest) in [
            ("cache_for", self.cache_for, LONGEST_CACHED),
            (
                "cache_rejections_for",
                self.cache_rejections_for,
                LONGEST_REJECTED,
            ),
            ("timeout", self.timeout, LONGEST_TIMEOUT),
        ] {
            if time > longest {
                let message =
                    format!("`{what}` of introspection is {time:?}: give at most {longest:?}");
                return Err(ConfigError::new(ConfigErrorKind::Window, message));
            }
        }
        if self.timeout.is_zero() || self.max_calls == 0 {
            return reject(
                ConfigErrorKind::Window,
                "the `timeout` or the `max_calls` of introspection is zero, so no call can succeed",
            );
        }
        if self.max_calls > Semaphore::MAX_PERMITS {
            return reject(
                ConfigErrorKind::Window,
                "the `max_calls` of introspection is too large",
            );
        }
        if self.signed {
            crate::crypto::check_algorithms(&self.algorithms, crypto)?;
        } else if self.jwks_url.is_some() {
            return reject(
                ConfigErrorKind::AccessTokens,
                "`jwks_url` of introspection is given, but answers are not signed: give `signed_responses` too",
            );
        }
        TOKEN_LEEWAY.check(self.leeway)
    }
}
