//! Where to listen: for requests to forward, and for proxies that only ask.

use std::{net::SocketAddr, path::Path};

use toml::Spanned;

use super::{
    error::{SettingsError, Source},
    file::{File, ProxyName},
    origins::network_of,
    upstreams,
};
use crate::gateway::{asked::TrustedProxies, forward_auth::AskingProxy, proxy::Upstreams};

/// Who asks over HTTP, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What asks.
    pub proxy: AskingProxy,
    /// Whose word on what was requested counts.
    pub trusted_proxies: TrustedProxies,
}

/// Who asks over gRPC, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtAuthzSettings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Whose word on what was requested counts.
    pub trusted_proxies: TrustedProxies,
}

/// Both are there, or neither is and somebody may ask.
pub(super) fn proxying(
    file: &File,
    source: &Source,
    folder: &Path,
    warnings: &mut Vec<String>,
) -> Result<Option<(SocketAddr, Upstreams)>, SettingsError> {
    let missing = |field| source.error(0..0, "", format!("missing field `{field}`"));
    let is_asked = file.forward_auth.is_some() || file.ext_authz.is_some();
    match (file.listen, &file.upstream) {
        (None, None) if is_asked => Ok(None),
        (None, _) => Err(missing("listen")),
        (_, None) => Err(missing("upstream")),
        (Some(listen), Some(upstream)) => {
            upstreams::upstreams(upstream, file, source, folder, warnings)
                .map(|upstreams| Some((listen, upstreams)))
        }
    }
}

pub(super) fn forward_auth(
    file: &File,
    source: &Source,
) -> Result<Option<ForwardAuthSettings>, SettingsError> {
    let Some(asking) = file.forward_auth.as_ref().map(Spanned::get_ref) else {
        return Ok(None);
    };
    Ok(Some(ForwardAuthSettings {
        listen: *asking.listen.get_ref(),
        proxy: match asking.proxy {
            ProxyName::Nginx => AskingProxy::Nginx,
            ProxyName::Traefik => AskingProxy::Traefik,
            ProxyName::Caddy => AskingProxy::Caddy,
        },
        trusted_proxies: trusted_proxies(
            "forward_auth",
            &asking.listen,
            asking.networks.as_ref(),
            source,
        )?,
    }))
}

pub(super) fn ext_authz(
    file: &File,
    source: &Source,
) -> Result<Option<ExtAuthzSettings>, SettingsError> {
    let Some(asking) = file.ext_authz.as_ref().map(Spanned::get_ref) else {
        return Ok(None);
    };
    Ok(Some(ExtAuthzSettings {
        listen: *asking.listen.get_ref(),
        trusted_proxies: trusted_proxies(
            "ext_authz",
            &asking.listen,
            asking.networks.as_ref(),
            source,
        )?,
    }))
}

fn trusted_proxies(
    table: &str,
    listen: &Spanned<SocketAddr>,
    networks: Option<&Spanned<Vec<Spanned<String>>>>,
    source: &Source,
) -> Result<TrustedProxies, SettingsError> {
    let Some(networks) = networks else {
        if listen.get_ref().ip().to_canonical().is_loopback() {
            return Ok(TrustedProxies::loopback());
        }
        // Nobody else is believed unless the file says so, so nothing would be answered.
        let message = "beyond this machine, `networks` has to say where the proxy asks from";
        return Err(source.error(listen.span(), format!("{table}.listen"), message));
    };
    let field = format!("{table}.networks");
    if networks.get_ref().is_empty() {
        let message = "no proxy can ask; leave it out for those on this machine";
        return Err(source.error(networks.span(), field, message));
    }
    let network = |(index, network): (usize, &Spanned<String>)| {
        let parsed =
            network_of(network.get_ref()).ok_or("it looks like 10.0.0.0/8 or 2001:db8::/32");
        let parsed = parsed.and_then(|parsed| match parsed.prefix_len() {
            0 => Err("it has everybody in it, so that anyone could say what was requested"),
            _ => Ok(parsed),
        });
        parsed.map_err(|message| source.error(network.span(), format!("{field}[{index}]"), message))
    };
    let networks = networks.get_ref().iter().enumerate();
    networks
        .map(network)
        .collect::<Result<_, _>>()
        .map(TrustedProxies::in_networks)
}
