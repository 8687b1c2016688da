//! The headers in which proxies report the certificates of their clients.

use dpop_tower::target::{CertificateHeader, ClientCertificates};
use http::HeaderName;
use toml::Spanned;

use super::{
    error::{SettingsError, Source, explain},
    file::{File, ReportedCertificate, Route},
};
use crate::gateway::{
    identity::{Identity, is_taken},
    names::is_override,
};

/// Where Envoy reports the certificate of its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvoyCertificate {
    /// In a header of the request.
    Header(CertificateHeader),
    /// In the attributes of the question.
    Peer,
}

impl EnvoyCertificate {
    pub(crate) const fn header(&self) -> Option<&CertificateHeader> {
        match self {
            Self::Header(header) => Some(header),
            Self::Peer => None,
        }
    }
}

/// Returns the header in which the trusted proxies report the certificates of clients, if there is one.
pub(super) fn of_trusted_proxies(
    file: &File,
    source: &Source,
) -> Result<Option<ClientCertificates>, SettingsError> {
    let Some(proxies) = file.trusted_proxies.as_ref().map(Spanned::get_ref) else {
        return Ok(None);
    };
    let Some(field) = &proxies.client_certificate else {
        return Ok(None);
    };
    let header = header(field, "trusted_proxies", source)?;
    let networks = proxies.networks.get_ref().iter();
    let networks = networks.map(|network| network.get_ref().as_str());
    ClientCertificates::forwarded(networks, header)
        .map(Some)
        .map_err(|error| {
            let field_name = "trusted_proxies.client_certificate";
            source.error(field.span(), field_name, explain(&error))
        })
}

/// Describes each route that expects certificates of clients, if nothing reports them.
pub(super) fn without_source(file: &File, source: &Source) -> Vec<String> {
    let tls = file.tls.as_ref().map(Spanned::get_ref);
    let trusted = file.trusted_proxies.as_ref().map(Spanned::get_ref);
    let forward_auth = file.forward_auth.as_ref().map(Spanned::get_ref);
    let ext_authz = file.ext_authz.as_ref().map(Spanned::get_ref);
    let is_reported = tls.is_some_and(|tls| tls.client_ca_file.is_some())
        || trusted.is_some_and(|proxies| proxies.client_certificate.is_some())
        || forward_auth.is_some_and(|asking| asking.client_certificate.is_some())
        || ext_authz.is_some_and(|asking| asking.client_certificate.is_some());
    if is_reported {
        return Vec::new();
    }
    let warning = |(index, route): (usize, &Spanned<Route>)| {
        let route = route.get_ref();
        let (field, effect) = match (
            route.require_certificate_bound,
            route.accept_certificate_bound,
        ) {
            (true, _) => ("require_certificate_bound", "every request is rejected"),
            (false, true) => ("accept_certificate_bound", "it has no effect"),
            (false, false) => return None,
        };
        let message = format!(
            "nothing reports the certificates of clients, so {effect}: see `tls.client_ca_file` and `client_certificate`"
        );
        let warning = source.error(
            route.path.span(),
            format!("route[{index}].{field}"),
            message,
        );
        Some(warning.to_string())
    };
    file.route.iter().enumerate().filter_map(warning).collect()
}

/// Returns the name of the header of the trusted proxies, and then those of the proxies that ask.
pub(super) fn names(
    file: &File,
    source: &Source,
) -> Result<(Option<HeaderName>, Vec<HeaderName>), SettingsError> {
    let trusted = file.trusted_proxies.as_ref();
    let trusted = trusted.and_then(|table| table.get_ref().client_certificate.as_ref());
    let trusted = trusted
        .map(|field| header(field, "trusted_proxies", source))
        .transpose()?;
    let asking = file.forward_auth.as_ref();
    let asking = asking.and_then(|table| table.get_ref().client_certificate.as_ref());
    let asking = asking
        .map(|field| header(field, "forward_auth", source))
        .transpose()?;
    let envoy = file.ext_authz.as_ref();
    let envoy = envoy.and_then(|table| table.get_ref().client_certificate.as_ref());
    let envoy = envoy.map(|field| of_envoy(field, source)).transpose()?;
    let envoy = envoy.as_ref().and_then(EnvoyCertificate::header);
    let name = |header: &CertificateHeader| header.name().clone();
    let others = asking.iter().chain(envoy).map(name);
    Ok((trusted.as_ref().map(name), others.collect()))
}

/// Returns where the field of `[ext_authz]` says the certificate is.
pub(super) fn of_envoy(
    field: &Spanned<ReportedCertificate>,
    source: &Source,
) -> Result<EnvoyCertificate, SettingsError> {
    if matches!(field.get_ref(), ReportedCertificate::PeerCertificate) {
        return Ok(EnvoyCertificate::Peer);
    }
    header(field, "ext_authz", source).map(EnvoyCertificate::Header)
}

/// Returns the header that the field `client_certificate` of this table describes.
pub(super) fn header(
    field: &Spanned<ReportedCertificate>,
    table: &str,
    source: &Source,
) -> Result<CertificateHeader, SettingsError> {
    let rejected = |message: String| {
        source.error(field.span(), format!("{table}.client_certificate"), message)
    };
    let name = |text: &str| {
        let parsed = HeaderName::try_from(text).ok();
        let own = Identity::default();
        let is_usable =
            |name: &HeaderName| !is_taken(name) && !is_override(name) && !own.is_reserved(name);
        (parsed.filter(is_usable))
            .ok_or_else(|| rejected(format!("{text:?} cannot be the name of this header")))
    };
    Ok(match field.get_ref() {
        ReportedCertificate::ClientCert => CertificateHeader::client_cert(),
        ReportedCertificate::XForwardedClientCert => CertificateHeader::x_forwarded_client_cert(),
        ReportedCertificate::PeerCertificate => {
            let message =
                "only Envoy reports it apart from the headers, when it asks: see `ext_authz`";
            return Err(rejected(message.to_owned()));
        }
        ReportedCertificate::EscapedPem(text) => CertificateHeader::escaped_pem(name(text)?),
        ReportedCertificate::Base64Der(text) => CertificateHeader::base64_der(name(text)?),
        ReportedCertificate::Sha256Hex(text) => CertificateHeader::sha256_hex(name(text)?),
    })
}
