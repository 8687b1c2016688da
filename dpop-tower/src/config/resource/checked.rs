use std::{borrow::Cow, net::Ipv4Addr, sync::Arc};

use http::Uri;
use serde_json::{Map, Value};

use crate::{
    error::{ConfigError, ConfigErrorKind, shown},
    proof::Htu,
};

/// RFC 9728 section 3. It is inserted between the host and the path of the resource identifier.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The checked settings. The document and the challenges both come from here.
#[derive(Debug)]
pub(crate) struct Resources {
    /// At least one.
    pub(crate) resources: Vec<Resource>,
    pub(crate) authorization_servers: Vec<String>,
    /// `None` for those of the policies.
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) more: Map<String, Value>,
}

/// A resource and the place of its metadata.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    pub(crate) identifier: String,
    /// Normalised, without a trailing slash.
    pub(crate) origin: String,
    /// The path of the resource, with a leading slash.
    path: String,
    /// The path of the metadata.
    pub(crate) metadata_path: String,
    /// The URL of the metadata, whose characters need no escapes in a quoted string.
    pub(crate) url: Arc<str>,
}

impl Resource {
    pub(super) fn parse(identifier: &str, allows_plain_http: bool) -> Result<Self, ConfigError> {
        let wrong = |what: &str| {
            let identifier = shown(identifier);
            rejected(format!("{identifier} is no resource identifier: {what}"))
        };
        // RFC 9728 section 1.2.
        if identifier.contains('#') {
            return Err(wrong("it has a fragment"));
        }
        if identifier.contains('?') {
            return Err(wrong("it has a query"));
        }
        let htu = Htu::parse(identifier)
            .map_err(|error| wrong("it is not an https URL").with_source(error))?;
        if htu.scheme() != "https" && !(allows_plain_http && is_loopback(htu.host())) {
            return Err(wrong(
                "it is not an https URL (`danger_allow_plain_http` also allows http on this machine)",
            ));
        }
        let (normal, path) = (htu.as_str(), htu.path());
        let origin = normal.strip_suffix(path).unwrap_or(normal);
        // Clients compare it with the URL that they call, character by character.
        if identifier != normal && identifier != origin {
            return Err(wrong(&format!("write {:?}", normal)));
        }
        let of_paths =
            |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
        if !path.bytes().all(of_paths) {
            return Err(wrong("its path has a character that no path has"));
        }
        // RFC 9728 section 3.1: without the slash of a resource that has no path.
        let metadata_path = format!("{WELL_KNOWN}{}", if path == "/" { "" } else { path });
        Ok(Self {
            identifier: identifier.to_owned(),
            url: format!("{origin}{metadata_path}").into(),
            origin: origin.to_owned(),
            path: path.to_owned(),
            metadata_path,
        })
    }

    pub(crate) fn is_on_origin_of(&self, uri: &Htu) -> bool {
        uri.as_str().strip_suffix(uri.path()) == Some(&self.origin)
    }

    /// Returns whether the path of a request is that of the resource or below it.
    fn contains(&self, path: &str) -> bool {
        let own = self.path.strip_suffix('/').unwrap_or(&self.path);
        path.strip_prefix(own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Resources {
    /// Returns the number of the resource that a request for this URI is for. Anything else counts as the first one.
    pub(crate) fn called(&self, uri: &Htu) -> usize {
        let all = self.resources.iter().enumerate();
        let here = all.filter(|(_, resource)| resource.is_on_origin_of(uri));
        let (mut first, mut longest) = (None, None::<(usize, &Resource)>);
        for (number, resource) in here {
            first = first.or(Some(number));
            let is_longer = longest.is_none_or(|(_, other)| other.path.len() < resource.path.len());
            if resource.contains(uri.path()) && is_longer {
                longest = Some((number, resource));
            }
        }
        longest.map(|(number, _)| number).or(first).unwrap_or(0)
    }
}

/// Returns whether this is an absolute `https` URL without user information and fragment.
pub(super) fn is_url(text: &str, allows_plain_http: bool) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => allows_plain_http && is_loopback(host),
        _ => false,
    };
    scheme && !host.is_empty() && !text.contains(['#', '@', '"', '\\'])
}

fn is_loopback(host: &str) -> bool {
    let is_v4 = |address: Ipv4Addr| address.is_loopback();
    matches!(host, "localhost" | "[::1]") || host.parse().is_ok_and(is_v4)
}

pub(super) fn rejected(message: impl Into<Cow<'static, str>>) -> ConfigError {
    ConfigError::new(ConfigErrorKind::ResourceMetadata, message)
}
