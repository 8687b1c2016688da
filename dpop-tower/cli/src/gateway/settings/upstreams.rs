//! Reads the default upstream and the upstreams of routes.

use std::{ops::Range, path::Path};

use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{File, UpstreamTls as Table},
};
use crate::gateway::{
    proxy::{Upstream, Upstreams},
    tls::{TlsError, UpstreamFiles},
};

/// Returns the default upstream together with those of the routes.
pub(super) fn upstreams(
    default: &Spanned<String>,
    file: &File,
    source: &Source,
    folder: &Path,
    warnings: &mut Vec<String>,
) -> Result<Upstreams, SettingsError> {
    let tls = file.upstream_tls.as_ref();
    let mut upstream = |prefix: &str, url, table| {
        let upstream = upstream(prefix, url, table, source, folder)?;
        if let (Some(table), Some(tls)) = (table, upstream.tls()) {
            let place = |(name, message): &(&'static str, String)| {
                let field = format!("{prefix}upstream_tls.{name}");
                let error = source.error(span_of(table, name), field, message);
                error.to_string()
            };
            warnings.extend(tls.warnings().iter().map(place));
        }
        Ok(upstream)
    };
    let default = upstream("", default, tls)?;
    let mut upstreams = Upstreams::of(default);
    for (index, route) in file.route.iter().enumerate() {
        let route = route.get_ref();
        let prefix = format!("route[{index}].");
        let tls = route.upstream_tls.as_ref();
        let (own, span) = match (&route.upstream, tls) {
            (Some(url), tls) => (Some(upstream(&prefix, url, tls)?), url.span()),
            (None, None) => (None, route.path.span()),
            (None, Some(table)) => {
                let message = "there is no `upstream` in this route to use it";
                return Err(source.error(table.span(), format!("{prefix}upstream_tls"), message));
            }
        };
        upstreams
            .add_route(route.path.get_ref(), own)
            .map_err(|message| source.error(span, format!("{prefix}upstream"), message))?;
    }
    upstreams
        .build()
        .map_err(|error| source.error(0..0, "route", explain(&error)))
}

fn upstream(
    prefix: &str,
    url: &Spanned<String>,
    table: Option<&Spanned<Table>>,
    source: &Source,
    folder: &Path,
) -> Result<Upstream, SettingsError> {
    let upstream = Upstream::new(url.get_ref())
        .map_err(|message| source.error(url.span(), format!("{prefix}upstream"), message))?;
    let Some(table) = table else {
        return Ok(upstream);
    };
    let tls = table.get_ref();
    let field = |name: &str| match name {
        "" => format!("{prefix}upstream_tls"),
        name => format!("{prefix}upstream_tls.{name}"),
    };
    if !upstream.is_https() {
        let message = "the upstream is not `https`, so it would not be used";
        return Err(source.error(table.span(), field(""), message));
    }
    let client = match (&tls.client_certificate_file, &tls.client_key_file) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((
            folder.join(certificate.get_ref()),
            folder.join(key.get_ref()),
        )),
        (Some(certificate), None) => {
            let message = "`client_key_file` has to say where its key is";
            let field = field("client_certificate_file");
            return Err(source.error(certificate.span(), field, message));
        }
        (None, Some(key)) => {
            let message = "`client_certificate_file` has to say what it is the key of";
            return Err(source.error(key.span(), field("client_key_file"), message));
        }
    };
    let files = UpstreamFiles {
        ca: tls.ca_file.as_ref().map(|ca| folder.join(ca.get_ref())),
        server_name: tls.server_name.as_ref().map(|name| name.get_ref().clone()),
        client,
    };
    upstream.with_tls(files).map_err(|error| {
        let TlsError {
            field: name,
            message,
        } = error;
        source.error(span_of(table, name), field(name), message)
    })
}

fn span_of(table: &Spanned<Table>, field: &str) -> Range<usize> {
    let tls = table.get_ref();
    let path = match field {
        "ca_file" => tls.ca_file.as_ref(),
        "client_certificate_file" => tls.client_certificate_file.as_ref(),
        "client_key_file" => tls.client_key_file.as_ref(),
        "server_name" => return tls.server_name.as_ref().map_or(table.span(), Spanned::span),
        _ => None,
    };
    path.map_or(table.span(), Spanned::span)
}
