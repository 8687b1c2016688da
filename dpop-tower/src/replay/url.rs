//! Chooses a store by a URL, so that a program can leave the choice to who runs it.

use std::sync::Arc;

#[cfg(feature = "postgres")]
use super::PostgresReplayStoreBuilder;
#[cfg(feature = "redis")]
use super::RedisReplayStoreBuilder;
use super::{MemoryReplayStore, ReplayStore};
use crate::error::{ConfigError, ConfigErrorKind};

/// The schemes of a store, and the feature that it needs.
const SCHEMES: &[(&str, &str)] = &[
    ("redis", "redis"),
    ("rediss", "redis"),
    ("redis-cluster", "redis"),
    ("rediss-cluster", "redis"),
    ("redis-sentinel", "redis"),
    ("rediss-sentinel", "redis"),
    ("postgres", "postgres"),
    ("postgresql", "postgres"),
];

const EXAMPLES: &str = "give `memory`, or a URL such as `redis://127.0.0.1:6379`, `redis-cluster://…`, \
                        `redis-sentinel://…` or `postgres://…`";

/// Makes the replay store that a URL names, with default settings.
///
/// | URL | store | feature |
/// |---|---|---|
/// | `memory` | [`MemoryReplayStore`], without a [fence](super#the-fence) | |
/// | `redis://`, `rediss://` (with TLS) | `RedisReplayStore` on one server | `redis` |
/// | `redis-cluster://`, `rediss-cluster://` | `RedisReplayStore` on a cluster | `redis` |
/// | `redis-sentinel://`, `rediss-sentinel://` | `RedisReplayStore` on the server that Sentinel names | `redis` |
/// | `postgres://`, `postgresql://` | `PostgresReplayStore` | `postgres` |
///
/// The builders of the stores document their URLs. [`ReplayStoreBuilder::from_url`] returns one, for programs that
/// change other settings as well.
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, PublicOrigin, replay};
/// # use dpop_tower::test_util::TestIssuer;
///
/// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
/// let url = std::env::var("DPOP_REPLAY_STORE").unwrap_or_else(|_| "memory".to_owned());
/// let config = DpopConfig::builder(origin, issuer).replay_store(replay::from_url(&url)?).build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
///
/// # Errors
///
/// Returns a [`ConfigError`] that names the part of the URL that is wrong, or the feature that this build lacks. It
/// contains neither the URL nor a password.
pub fn from_url(url: &str) -> Result<Arc<dyn ReplayStore>, ConfigError> {
    ReplayStoreBuilder::from_url(url)?.build()
}

/// The replay store that a URL names, before it is made, from [`from_url`](Self::from_url).
///
/// ```
/// # #[cfg(feature = "redis")] {
/// use dpop_tower::replay::ReplayStoreBuilder;
///
/// let store = match ReplayStoreBuilder::from_url("redis://127.0.0.1:6379")? {
///     ReplayStoreBuilder::Redis(redis) => redis.key_prefix("orders:").build()?,
///     _ => panic!("the service needs Redis"),
/// };
/// # let _ = store;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
#[must_use]
#[allow(
    clippy::large_enum_variant,
    reason = "it is made once, at start, and the difference depends on the features"
)]
pub enum ReplayStoreBuilder {
    /// A [`MemoryReplayStore`], whose settings are its own.
    Memory,
    /// A store in Redis or Valkey.
    #[cfg(feature = "redis")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis")))]
    Redis(RedisReplayStoreBuilder),
    /// A store in PostgreSQL.
    #[cfg(feature = "postgres")]
    #[cfg_attr(docsrs, doc(cfg(feature = "postgres")))]
    Postgres(PostgresReplayStoreBuilder),
}

impl ReplayStoreBuilder {
    /// Returns the builder of the store that the URL names; see [the table](from_url).
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`from_url`].
    pub fn from_url(url: &str) -> Result<Self, ConfigError> {
        if url == "memory" {
            return Ok(Self::Memory);
        }
        // The text may be a password that was put into the wrong setting, so no part of it is quoted.
        let Some((scheme, _)) = url.split_once("://") else {
            return Err(error(format!(
                "the URL of the replay store has no scheme: {EXAMPLES}"
            )));
        };
        let known = SCHEMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(scheme));
        let Some((scheme, feature)) = known else {
            let message = format!("the scheme of the replay store's URL is unknown: {EXAMPLES}");
            return Err(error(message));
        };
        match *feature {
            #[cfg(feature = "redis")]
            "redis" => super::RedisReplayStore::builder(url).map(Self::Redis),
            #[cfg(feature = "postgres")]
            "postgres" => super::PostgresReplayStore::builder(url).map(Self::Postgres),
            missing => Err(error(format!(
                "the scheme `{scheme}` of the replay store's URL needs the feature `{missing}` of dpop-tower, which \
                 this program was built without"
            ))),
        }
    }

    /// Makes the store.
    ///
    /// # Errors
    ///
    /// Returns a [`ConfigError`] if settings contradict each other; see the builders.
    pub fn build(self) -> Result<Arc<dyn ReplayStore>, ConfigError> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryReplayStore::new()),
            #[cfg(feature = "redis")]
            Self::Redis(builder) => Arc::new(builder.build()?),
            #[cfg(feature = "postgres")]
            Self::Postgres(builder) => Arc::new(builder.build()?),
        })
    }
}

fn error(message: String) -> ConfigError {
    ConfigError::new(ConfigErrorKind::Replay, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(url: &str) -> String {
        let error = ReplayStoreBuilder::from_url(url).unwrap_err();
        assert_eq!(error.kind(), ConfigErrorKind::Replay);
        error.to_string()
    }

    #[test]
    fn memory_is_a_store_without_a_fence() {
        let store = from_url("memory").unwrap();
        assert_eq!(store.description().as_deref(), Some("MemoryReplayStore"));
        assert!(store.incarnation().is_none());
    }

    #[test]
    fn an_unknown_store_is_named_without_what_was_given() {
        for (url, part) in [
            ("", "no scheme"),
            ("hunter2", "no scheme"),
            ("Memory", "no scheme"),
            ("memory ", "no scheme"),
            ("redis:hunter2", "no scheme"),
            ("hunter2://redis", "scheme"),
            ("memcached://:hunter2@cache.test", "scheme"),
            ("://cache.test", "scheme"),
        ] {
            let message = message(url);
            assert!(message.contains(part), "{url}: {message}");
            assert!(message.contains("redis://127.0.0.1:6379"), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
            assert!(!message.contains("cache.test"), "{message}");
        }
    }

    #[test]
    fn a_store_that_was_left_out_of_the_build_is_named_with_its_feature() {
        for (scheme, feature) in SCHEMES {
            let is_built_in = match *feature {
                "redis" => cfg!(feature = "redis"),
                _ => cfg!(feature = "postgres"),
            };
            let outcome = ReplayStoreBuilder::from_url(&format!("{scheme}://:hunter2@"));
            // With the feature, the builder says that the host is missing.
            let message = outcome.unwrap_err().to_string();
            let names_feature = message.contains(&format!("feature `{feature}`"));
            assert_eq!(names_feature, !is_built_in, "{scheme}: {message}");
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
