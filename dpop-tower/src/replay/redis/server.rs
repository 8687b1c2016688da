//! What a server says about itself.

use crate::{
    clock::UnixTime,
    replay::shared::{ClockBound, Failure},
};

/// The part of `INFO` that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) is_cluster: bool,
    /// A new one begins with each start and each promotion.
    pub(super) replication_id: String,
    pub(super) evicted: u64,
    is_master: bool,
    policy: String,
    replicas: u32,
}

/// What is asked of a server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) cluster: bool,
    pub(super) replicas: u32,
    pub(super) allow_eviction: bool,
}

impl Info {
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let find = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(str::trim)
                .ok_or_else(|| {
                    Failure::session(format!("INFO of the server does not contain {name}"))
                })
        };
        let number = |name: &str| {
            find(name)?.parse::<u64>().map_err(|_| {
                Failure::session(format!("{name} in INFO of the server is not a number"))
            })
        };
        Ok(Self {
            is_cluster: find("cluster_enabled").is_ok_and(|enabled| enabled == "1"),
            replication_id: find("master_replid")?.to_owned(),
            evicted: number("evicted_keys")?,
            is_master: find("role")? == "master",
            policy: find("maxmemory_policy")?.to_owned(),
            replicas: number("connected_slaves")?.try_into().unwrap_or(u32::MAX),
        })
    }

    /// Checks that the server keeps what it was given.
    pub(super) fn check(&self, wanted: Wanted) -> Result<(), Failure> {
        if !self.is_master {
            return Err(Failure::session("the server is a replica"));
        }
        if self.is_cluster != wanted.cluster {
            return Err(Failure::session(match wanted.cluster {
                true => "the server is not part of a cluster: use redis:// or rediss://",
                false => {
                    "the server is part of a cluster: use redis-cluster:// or rediss-cluster://"
                }
            }));
        }
        // Also without a limit now: it can be set at any time, and the first eviction would let a replay pass.
        if self.policy != "noeviction" && !wanted.allow_eviction {
            return Err(Failure::session(format!(
                "maxmemory-policy of the server is {}, which removes live entries: set it to noeviction",
                self.policy
            )));
        }
        if self.replicas < wanted.replicas {
            return Err(Failure::session(format!(
                "the server has {} replicas, and {} have to acknowledge each proof",
                self.replicas, wanted.replicas
            )));
        }
        Ok(())
    }

    /// Checks that nothing was evicted since there were `before` evictions.
    pub(super) fn check_evicted(&self, before: u64, allow_eviction: bool) -> Result<(), Failure> {
        if self.evicted <= before {
            return Ok(());
        }
        let count = self.evicted - before;
        if allow_eviction {
            tracing::warn!(
                count,
                "the server of the replay store has evicted entries: replays may pass"
            );
            return Ok(());
        }
        Err(Failure::lost(format!(
            "the server has evicted {count} entries"
        )))
    }
}

/// Compares the answer to `TIME`.
pub(super) fn check_time(
    bound: &ClockBound,
    before: UnixTime,
    seconds: i64,
) -> Result<(), Failure> {
    bound.check(before, UnixTime::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Memory\r\nmaxmemory_policy:noeviction\r\n# Stats\r\nevicted_keys:7\r\n# Replication\r\n\
                        role:master\r\nconnected_slaves:1\r\nmaster_replid:abc\r\nmaster_replid2:000\r\n\
                        # Cluster\r\ncluster_enabled:0\r\n";

    const WANTED: Wanted = Wanted {
        cluster: false,
        replicas: 1,
        allow_eviction: false,
    };

    #[test]
    fn a_server_has_to_be_a_master_that_evicts_nothing() {
        assert_eq!(Info::parse(INFO).unwrap().replication_id, "abc");
        for (from, to, why) in [
            ("role:master", "role:slave", "a replica"),
            (
                "noeviction",
                "allkeys-lru",
                "maxmemory-policy of the server is allkeys-lru",
            ),
            ("cluster_enabled:0", "cluster_enabled:1", "redis-cluster://"),
            ("connected_slaves:1", "connected_slaves:0", "has 0 replicas"),
            ("master_replid:", "x:", "does not contain master_replid"),
            ("evicted_keys:7", "evicted_keys:x", "evicted_keys in INFO"),
        ] {
            let info = INFO.replace(from, to);
            let result = Info::parse(&info).and_then(|info| info.check(WANTED));
            let text = result.unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
        }
        Info::parse(INFO).unwrap().check(WANTED).unwrap();
    }

    #[test]
    fn evictions_are_a_loss_unless_they_are_allowed() {
        let info = Info::parse(INFO).unwrap();
        assert!(info.check_evicted(7, false).is_ok());
        assert!(info.check_evicted(6, false).is_err());
        assert!(info.check_evicted(6, true).is_ok());
    }
}
