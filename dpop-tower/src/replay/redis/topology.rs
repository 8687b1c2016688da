//! Which servers hold which records.

use redis::{Value, aio::MultiplexedConnection, cmd, pipe};

use super::{
    connect::Connector,
    errors::failure,
    location::{Host, Kind, Location},
    marker::{self, BUCKETS},
};
use crate::replay::shared::Failure;

/// A master, and a connection to it.
pub(super) struct Master {
    pub(super) host: Host,
    pub(super) connection: MultiplexedConnection,
}

/// The masters, and which of them each bucket belongs to.
pub(super) struct Topology {
    pub(super) masters: Vec<Master>,
    pub(super) buckets: Vec<Bucket>,
}

pub(super) struct Bucket {
    /// The place of its master in the list.
    pub(super) master: usize,
    /// What the keys of the bucket begin with.
    pub(super) prefix: String,
}

impl Topology {
    /// Finds the masters and connects to them.
    pub(super) async fn find(
        location: &Location,
        connector: &Connector,
        sentinels: &Connector,
        prefix: &str,
    ) -> Result<Self, Failure> {
        let single = |master| Self {
            masters: vec![master],
            buckets: vec![Bucket {
                master: 0,
                prefix: marker::prefix(prefix, None),
            }],
        };
        let mut last = Failure::session("the URL names no server");
        for host in &location.hosts {
            let found = match &location.kind {
                Kind::Single => connect(connector, host.clone()).await.map(single),
                Kind::Sentinel(service) => match ask_sentinel(sentinels, host, service).await {
                    Ok(host) => connect(connector, host).await.map(single),
                    Err(failure) => Err(failure),
                },
                Kind::Cluster => cluster(connector, host, prefix).await,
            };
            match found {
                Ok(topology) => return Ok(topology),
                Err(failure) => last = failure,
            }
        }
        Err(last)
    }
}

async fn connect(connector: &Connector, host: Host) -> Result<Master, Failure> {
    let connection = connector.connect(&host).await?;
    Ok(Master { host, connection })
}

async fn ask_sentinel(connector: &Connector, host: &Host, service: &str) -> Result<Host, Failure> {
    let mut connection = connector.connect(host).await?;
    let address: Option<(String, u16)> = cmd("SENTINEL")
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(service)
        .query_async(&mut connection)
        .await
        .map_err(|error| failure(&error))?;
    let (name, port) = address
        .ok_or_else(|| Failure::session("the sentinel does not know the service of the URL"))?;
    Ok(Host { name, port })
}

async fn cluster(connector: &Connector, seed: &Host, prefix: &str) -> Result<Topology, Failure> {
    let mut connection = connector.connect(seed).await?;
    let mut asked = pipe();
    asked.cmd("CLUSTER").arg("SLOTS");
    let prefixes: Vec<String> = (0..BUCKETS)
        .map(|bucket| marker::prefix(prefix, Some(bucket)))
        .collect();
    for prefix in &prefixes {
        asked.cmd("CLUSTER").arg("KEYSLOT").arg(prefix);
    }
    let mut answers: std::vec::IntoIter<Value> = asked
        .query_async::<Vec<Value>>(&mut connection)
        .await
        .map_err(|error| failure(&error))?
        .into_iter();
    let ranges: Vec<Range> = array(answers.next().unwrap_or(Value::Nil))
        .into_iter()
        .filter_map(|range| Range::read(range, seed))
        .collect();
    let mut topology = Topology {
        masters: Vec::new(),
        buckets: Vec::new(),
    };
    for (prefix, slot) in prefixes.into_iter().zip(answers) {
        let Value::Int(slot) = slot else {
            return Err(Failure::session(
                "the cluster does not say where keys belong",
            ));
        };
        let range = ranges
            .iter()
            .find(|range| range.first <= slot && slot <= range.last)
            .ok_or_else(|| Failure::session(format!("no master of the cluster has slot {slot}")))?;
        let known = topology
            .masters
            .iter()
            .position(|master| master.host == range.host);
        let master = match known {
            Some(place) => place,
            None => {
                topology
                    .masters
                    .push(connect(connector, range.host.clone()).await?);
                topology.masters.len() - 1
            }
        };
        topology.buckets.push(Bucket { master, prefix });
    }
    Ok(topology)
}

/// Slots that one master has.
struct Range {
    first: i64,
    last: i64,
    host: Host,
}

impl Range {
    /// Reads an element of the answer to `CLUSTER SLOTS`: the first and the last slot, the master, the replicas.
    fn read(range: Value, seed: &Host) -> Option<Self> {
        let mut range = array(range).into_iter();
        let (first, last) = (integer(&range.next()?)?, integer(&range.next()?)?);
        let mut master = array(range.next()?).into_iter();
        let name = match master.next()? {
            Value::BulkString(name) => String::from_utf8(name).ok()?,
            Value::SimpleString(name) => name,
            _ => String::new(),
        };
        // A server that does not know its own address means the one that it was reached at.
        let name = if name.is_empty() || name == "?" {
            seed.name.clone()
        } else {
            name
        };
        let port = integer(&master.next()?)?.try_into().ok()?;
        Some(Self {
            first,
            last,
            host: Host { name, port },
        })
    }
}

fn array(value: Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values,
        _ => Vec::new(),
    }
}

const fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}
