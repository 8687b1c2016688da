//! The addresses to listen on: for requests to forward, and for proxies that only ask.

use std::{net::SocketAddr, path::Path};

use dpop_tower::target::CertificateHeader;
use toml::Spanned;

use super::{
    certificates::{self, EnvoyCertificate},
    error::{SettingsError, Source},
    file::{File, ProxyName},
    origins::network_of,
    upstreams,
};
use crate::gateway::{asked::TrustedProxies, forward_auth::AskingProxy, proxy::Upstreams};

/// The `[forward_auth]` table: a proxy that asks over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardAuthSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The proxy that asks.
    pub proxy: AskingProxy,
    /// The proxies that may describe a request.
    pub trusted_proxies: TrustedProxies,
    /// The header in which they report the certificate of their client.
    pub client_certificate: Option<CertificateHeader>,
}

/// The `[ext_authz]` table: Envoy, which asks over gRPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtAuthzSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The proxies that may describe a request.
    pub trusted_proxies: TrustedProxies,
    /// Where they report the certificate of their client.
    pub client_certificate: Option<EnvoyCertificate>,
}

/// Requires `listen` and `upstream` together. Both may be missing if another proxy may ask.
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
        client_certificate: (asking.client_certificate.as_ref())
            .map(|field| certificates::header(field, "forward_auth", source))
            .transpose()?,
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
        client_certificate: (asking.client_certificate.as_ref())
            .map(|field| certificates::of_envoy(field, source))
            .transpose()?,
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
        // Without `networks`, only loopback peers may ask, so nothing would be answered.
        let message =
            "an address that is not loopback needs `networks` to list the addresses of the proxy";
        return Err(source.error(listen.span(), format!("{table}.listen"), message));
    };
    let field = format!("{table}.networks");
    if networks.get_ref().is_empty() {
        let message = "must not be empty; leave it out to allow only proxies on this machine";
        return Err(source.error(networks.span(), field, message));
    }
    let network = |(index, network): (usize, &Spanned<String>)| {
        let parsed = network_of(network.get_ref())
            .ok_or("expected a network such as 10.0.0.0/8 or 2001:db8::/32");
        let parsed = parsed.and_then(|parsed| match parsed.prefix_len() {
            0 => Err("must not include every address, or anyone could describe a request"),
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
