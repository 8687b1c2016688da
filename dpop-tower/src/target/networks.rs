//! The networks of proxies that are trusted.

use std::{borrow::Cow, net::IpAddr};

use ipnet::IpNet;

use super::public_origin::rejected;
use crate::error::ConfigError;

#[derive(Clone, Debug)]
pub(super) struct Networks(Vec<IpNet>);

impl Networks {
    /// Parses networks and single addresses. `without` is the error of an empty list.
    pub(super) fn parse<'n>(
        networks: impl IntoIterator<Item = &'n str>,
        without: impl Into<Cow<'static, str>>,
    ) -> Result<Self, ConfigError> {
        let networks = networks
            .into_iter()
            .map(network)
            .collect::<Result<Vec<_>, _>>()?;
        if networks.is_empty() {
            return Err(rejected(without));
        }
        Ok(Self(networks))
    }

    /// Returns whether one of the networks has every address of its version.
    pub(super) fn include_everyone(&self) -> bool {
        self.0.iter().any(|network| network.prefix_len() == 0)
    }

    /// Returns whether the peer is in one of the networks. An unknown peer is in none.
    pub(super) fn include(&self, peer: Option<IpAddr>) -> bool {
        // A socket that serves both has IPv4 peers as `::ffff:10.0.0.1`.
        let peer = peer.map(|peer| peer.to_canonical());
        peer.is_some_and(|peer| self.0.iter().any(|network| network.contains(&peer)))
    }
}

fn network(text: &str) -> Result<IpNet, ConfigError> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>(),
    };
    network.map_err(|error| {
        let message = format!("{text:?} is no network: one looks like 10.0.0.0/8 or 2001:db8::/32");
        rejected(message).with_source(error)
    })
}
