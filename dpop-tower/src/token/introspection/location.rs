//! Finds the URL of the endpoint.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::Url;

use super::error::Failure;
use crate::{
    clock::TimeSource,
    error::{ConfigError, ConfigErrorKind},
    keys::IntrospectionEndpoint,
};

/// A URL that is older than this is looked up again, and stays in use meanwhile.
const REFRESH_AFTER: Duration = Duration::from_secs(60 * 60);
/// After a failed attempt, calls fail without another one for this long.
const PAUSE: Duration = Duration::from_secs(5);

/// The endpoint's URL, which is configured or named by the metadata.
#[derive(Debug)]
pub(super) enum Location {
    Configured(Url),
    Discovered(Arc<Discovered>),
}

impl Location {
    /// Returns the URL. The caller runs in a task of its own, so others can wait for its attempt.
    pub(super) async fn url(&self) -> Result<Url, Failure> {
        match self {
            Self::Configured(url) => Ok(url.clone()),
            Self::Discovered(discovered) => discovered.url().await,
        }
    }
}

pub(super) struct Discovered {
    source: IntrospectionEndpoint,
    plain_http: bool,
    clock: Arc<dyn TimeSource>,
    known: Mutex<Known>,
    /// Held during an attempt, so that there is one at a time.
    attempt: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    url: Option<Url>,
    /// When the last attempt began.
    began: Option<Duration>,
    /// Why the last attempt failed, and when.
    failed: Option<(String, Duration)>,
}

impl Discovered {
    pub(super) fn new(
        issuer: &str,
        plain_http: bool,
        clock: Arc<dyn TimeSource>,
    ) -> Result<Self, ConfigError> {
        Ok(Self {
            source: IntrospectionEndpoint::discover(issuer, plain_http)?,
            plain_http,
            clock,
            known: Mutex::default(),
            attempt: tokio::sync::Mutex::default(),
        })
    }

    async fn url(self: &Arc<Self>) -> Result<Url, Failure> {
        if let Some(url) = self.at_hand() {
            return Ok(url);
        }
        let _one_at_a_time = self.attempt.lock().await;
        let known = self.known();
        if let Some(url) = known.url {
            return Ok(url);
        }
        if let Some((why, at)) = known.failed
            && self.clock.monotonic().saturating_sub(at) < PAUSE
        {
            return Err(Failure::Metadata(why));
        }
        self.look_up().await
    }

    /// Returns the URL if it is known, and looks an old one up again in the background.
    fn at_hand(self: &Arc<Self>) -> Option<Url> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let url = known.url.clone()?;
        let now = self.clock.monotonic();
        let age = known.began.map(|began| now.saturating_sub(began));
        if age.is_none_or(|age| age >= REFRESH_AFTER) {
            known.began = Some(now);
            let discovered = Arc::clone(self);
            tokio::spawn(async move {
                let _one_at_a_time = discovered.attempt.lock().await;
                let _ = discovered.look_up().await;
            });
        }
        Some(url)
    }

    async fn look_up(&self) -> Result<Url, Failure> {
        let began = self.clock.monotonic();
        let found = self.source.find().await;
        let found = found.and_then(|url| {
            check(&url, self.plain_http).map_err(|why| {
                format!("the introspection endpoint that the metadata names cannot be used: {why}")
            })?;
            Ok(url)
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.began = Some(began);
        match found {
            Ok(url) => {
                *known = Known {
                    url: Some(url.clone()),
                    began: Some(began),
                    failed: None,
                };
                Ok(url)
            }
            Err(why) => {
                tracing::warn!(error = %why, "the introspection endpoint could not be looked up");
                known.failed = Some((why.clone(), self.clock.monotonic()));
                Err(Failure::Metadata(why))
            }
        }
    }

    fn known(&self) -> Known {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }
}

impl fmt::Debug for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discovered")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Parses a configured URL.
pub(super) fn configured(
    what: &'static str,
    url: &str,
    plain_http: bool,
) -> Result<Url, ConfigError> {
    let reject = |why: String| {
        let message = format!("{what} {why}");
        ConfigError::new(ConfigErrorKind::AccessTokens, message)
    };
    let parsed =
        Url::parse(url).map_err(|error| reject("is not a URL".to_owned()).with_source(error))?;
    check(&parsed, plain_http).map_err(|why| reject(why.to_owned()))?;
    Ok(parsed)
}

/// Checks that tokens and credentials may be sent to this URL.
fn check(url: &Url, plain_http: bool) -> Result<(), &'static str> {
    if url.scheme() == "http" && plain_http {
        if !is_loopback(url) {
            return Err("is plain http, which is only allowed to this machine");
        }
    } else if url.scheme() != "https" {
        return Err(
            "must be an https URL; for tests, see `Introspection::danger_allow_plain_http`",
        );
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain credentials");
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment");
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(url: &str, plain_http: bool) -> bool {
        configured("the endpoint", url, plain_http).is_ok()
    }

    #[test]
    fn tokens_are_sent_over_https_or_to_this_machine_if_that_is_allowed() {
        for good in [
            "https://idp.example.com/introspect",
            "https://10.0.0.1:8443/oauth2/introspect?tenant=1",
        ] {
            assert!(is_good(good, false) && is_good(good, true), "{good}");
        }
        for loopback in [
            "http://127.0.0.1:9000/introspect",
            "http://127.9.9.9/introspect",
            "http://localhost:9000/introspect",
            "http://[::1]:9000/introspect",
        ] {
            assert!(!is_good(loopback, false), "{loopback}");
            assert!(is_good(loopback, true), "{loopback}");
        }
        for wrong in [
            "http://idp.example.com/introspect",
            "http://10.0.0.1/introspect",
            "http://localhost.example.com/introspect",
            "http://127.0.0.1.example.com/introspect",
            "ftp://127.0.0.1/introspect",
            "https://user:secret@idp.example.com/introspect",
            "https://user@idp.example.com/introspect",
            "https://idp.example.com/introspect#1",
            "idp.example.com/introspect",
            "",
        ] {
            assert!(!is_good(wrong, true), "{wrong}");
            let error = configured("the endpoint", wrong, false).unwrap_err();
            assert_eq!(error.kind(), ConfigErrorKind::AccessTokens);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
