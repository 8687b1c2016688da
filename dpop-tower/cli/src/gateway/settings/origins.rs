//! The gateway's public origins, and the proxies that it trusts.

use std::{net::IpAddr, ops::Range, sync::Arc};

use dpop_tower::{
    ConfigError, PublicOrigin,
    proof::Htu,
    target::{ForwardedTarget, TargetUri},
};
use ipnet::IpNet;

use super::{
    certificates,
    error::{SettingsError, Source, explain},
    file::{File, ForwardedSyntax, TrustedProxies},
};
use crate::gateway::proxy::{ForwardedHeader, Forwarding};

pub(super) fn forwarding(file: &File, source: &Source) -> Result<Forwarding, SettingsError> {
    let target = target(file, source)?;
    let proxies = file.trusted_proxies.as_ref();
    let networks = proxies
        .into_iter()
        .flat_map(|proxies| proxies.get_ref().networks.get_ref());
    let header = match proxies.map(|proxies| proxies.get_ref().header) {
        None | Some(ForwardedSyntax::XForwarded) => ForwardedHeader::XForwarded,
        Some(ForwardedSyntax::Forwarded) => ForwardedHeader::Forwarded,
    };
    let (client_certificate, certificates_of_others) = certificates::names(file, source)?;
    Ok(Forwarding {
        target,
        trusted: networks
            .filter_map(|network| network_of(network.get_ref()))
            .collect(),
        header,
        prefixes: match (proxies, header) {
            // RFC 7239 has no prefixes.
            (None, _) | (_, ForwardedHeader::Forwarded) => Vec::new(),
            (Some(proxies), ForwardedHeader::XForwarded) => prefixes(proxies.get_ref()),
        },
        danger_pass_on_credentials: file.danger_pass_on_credentials,
        answers_cors: file.cors.is_some(),
        client_certificate,
        certificates_of_others,
    })
}

/// Describes a network of trusted proxies that has every address.
pub(super) fn trusts_everyone(file: &File, source: &Source) -> Option<String> {
    let networks = file.trusted_proxies.as_ref()?.get_ref().networks.get_ref();
    let is_everyone =
        |text: &str| network_of(text).is_some_and(|network| network.prefix_len() == 0);
    let (index, network) =
        (networks.iter().enumerate()).find(|(_, network)| is_everyone(network.get_ref()))?;
    let message = "forwarded headers of every peer are trusted, so each caller chooses what the upstream is told about \
                   its address: list the networks of your proxies";
    let field = format!("trusted_proxies.networks[{index}]");
    Some(source.error(network.span(), field, message).to_string())
}

pub(super) fn network_of(text: &str) -> Option<IpNet> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
}

/// Returns the prefixes in normal form.
fn prefixes(proxies: &TrustedProxies) -> Vec<String> {
    let listed = proxies.prefixes.iter();
    let normal = listed.filter_map(|prefix| {
        let htu = Htu::parse(&format!("https://any.example{}", prefix.get_ref()));
        htu.ok().map(|htu| htu.path().to_owned())
    });
    normal.collect()
}

fn target(file: &File, source: &Source) -> Result<Arc<dyn TargetUri>, SettingsError> {
    let rejected = |span: Range<usize>, field: String| {
        move |error: ConfigError| source.error(span, field, explain(&error))
    };
    let mut origins: Option<PublicOrigin> = None;
    for (index, origin) in file.public_origins.get_ref().iter().enumerate() {
        let text = origin.get_ref();
        let parsed = match origins {
            None => PublicOrigin::new(text),
            Some(origins) => origins.with_alias(text),
        };
        origins =
            Some(parsed.map_err(rejected(origin.span(), format!("public_origins[{index}]")))?);
    }
    let Some(mut origins) = origins else {
        let message = "list the origins by which clients call the gateway, such as \"https://api.example.com\"";
        return Err(source.error(file.public_origins.span(), "public_origins", message));
    };
    if let Some(prefix) = &file.path_prefix {
        origins = origins
            .path_prefix(prefix.get_ref())
            .map_err(rejected(prefix.span(), "path_prefix".to_owned()))?;
    }
    let Some(proxies) = &file.trusted_proxies else {
        return Ok(Arc::new(origins));
    };
    let proxies = proxies.get_ref();
    for (index, network) in proxies.networks.get_ref().iter().enumerate() {
        ForwardedTarget::x_forwarded(origins.clone(), [network.get_ref().as_str()]).map_err(
            rejected(network.span(), format!("trusted_proxies.networks[{index}]")),
        )?;
    }
    let networks = proxies
        .networks
        .get_ref()
        .iter()
        .map(|network| network.get_ref().as_str());
    let forwarded = match proxies.header {
        ForwardedSyntax::XForwarded => ForwardedTarget::x_forwarded(origins, networks),
        ForwardedSyntax::Forwarded => ForwardedTarget::forwarded(origins, networks),
    };
    let mut forwarded = forwarded.map_err(rejected(
        proxies.networks.span(),
        "trusted_proxies.networks".to_owned(),
    ))?;
    for (index, prefix) in proxies.prefixes.iter().enumerate() {
        forwarded = forwarded
            .prefixes([prefix.get_ref().as_str()])
            .map_err(rejected(
                prefix.span(),
                format!("trusted_proxies.prefixes[{index}]"),
            ))?;
    }
    Ok(Arc::new(forwarded))
}
