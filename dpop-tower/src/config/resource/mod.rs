//! The metadata of a protected resource (RFC 9728): its settings, and what they result in.

mod checked;

pub(crate) use self::checked::{Resource, Resources};

use serde_json::{Map, Value};

use self::checked::{is_url, rejected};
use crate::{
    error::{ConfigError, shown},
    policy::is_nqchars,
    target::TargetUri,
};

/// The members of the document that come from other settings, so that they cannot contradict these.
const DERIVED: [&str; 8] = [
    "authorization_servers",
    "bearer_methods_supported",
    "dpop_bound_access_tokens_required",
    "dpop_signing_alg_values_supported",
    "resource",
    "scopes_supported",
    "signed_metadata",
    "tls_client_certificate_bound_access_tokens",
];

/// The settings of the metadata of a protected resource (RFC 9728); see [`metadata`](crate::metadata).
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, PublicOrigin, metadata::ResourceMetadata};
/// # use dpop_tower::test_util::TestIssuer;
///
/// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
/// let config = DpopConfig::builder(origin, issuer)
///     .resource_metadata(
///         ResourceMetadata::new()
///             .resource("https://api.example.com/orders")
///             .resource_name("Orders")
///             .resource_documentation("https://docs.example.com/orders"),
///     )
///     .build()?;
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ResourceMetadata {
    resources: Vec<String>,
    authorization_servers: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    links: Vec<(&'static str, String)>,
    more: Vec<(String, Value)>,
    allows_plain_http: bool,
}

impl ResourceMetadata {
    /// Returns the settings with their defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a resource identifier, such as `https://mcp.example.com/mcp`, exactly as clients call the resource.
    ///
    /// It is an `https` URL without query and fragment, on one of the [public origins](crate::PublicOrigin).
    /// Defaults to each public origin. With several identifiers, each has a document of its own, and a challenge
    /// names that of the resource that was called.
    pub fn resource(mut self, identifier: impl Into<String>) -> Self {
        self.resources.push(identifier.into());
        self
    }

    /// Sets the authorization servers that clients learn of. Defaults to all configured issuers.
    ///
    /// If the configuration lists its issuers, each has to be one of them. With an empty list, the document names
    /// none.
    pub fn authorization_servers<I>(mut self, issuers: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.authorization_servers = Some(issuers.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the scopes that clients can request. Defaults to all scopes that the policies name.
    ///
    /// With an empty list, the document names none. Challenges still name those that a policy requires.
    pub fn scopes_supported<I>(mut self, scopes: I) -> Self
    where
        I: IntoIterator<Item: Into<String>>,
    {
        self.scopes = Some(scopes.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the name of the resource for its users. There is none by default.
    pub fn resource_name(self, name: impl Into<String>) -> Self {
        self.parameter("resource_name", name.into())
    }

    /// Sets the URL of a page for developers. There is none by default.
    pub fn resource_documentation(self, url: impl Into<String>) -> Self {
        self.link("resource_documentation", url)
    }

    /// Sets the URL of a page on how clients may use the data. There is none by default.
    pub fn resource_policy_uri(self, url: impl Into<String>) -> Self {
        self.link("resource_policy_uri", url)
    }

    /// Sets the URL of a page with the terms of service. There is none by default.
    pub fn resource_tos_uri(self, url: impl Into<String>) -> Self {
        self.link("resource_tos_uri", url)
    }

    /// Sets another member of the document, such as `resource_name#de` (RFC 9728 section 2.1) or
    /// `authorization_details_types_supported`.
    ///
    /// A member that the configuration decides, such as `dpop_bound_access_tokens_required`, cannot be set.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.more.push((name.into(), value.into()));
        self
    }

    /// Also allows plain `http` for resources and authorization servers on this machine, for tests.
    ///
    /// # Security
    ///
    /// RFC 9728 requires `https`: otherwise anyone on the way can send clients to another authorization server.
    pub const fn danger_allow_plain_http(mut self) -> Self {
        self.allows_plain_http = true;
        self
    }

    fn link(mut self, name: &'static str, url: impl Into<String>) -> Self {
        self.links.push((name, url.into()));
        self
    }

    /// Checks the settings against those of the configuration.
    pub(super) fn build(
        self,
        target: &dyn TargetUri,
        issuers: Option<&[String]>,
    ) -> Result<Resources, ConfigError> {
        let origins: Vec<&str> = target.origins().iter().map(|it| it.as_str()).collect();
        let identifiers: Vec<&str> = match &self.resources[..] {
            [] => origins.clone(),
            given => given.iter().map(String::as_str).collect(),
        };
        if identifiers.is_empty() {
            return Err(rejected(
                "the resource has no identifier, because its origins are not known in advance: give one to \
                 `ResourceMetadata::resource`",
            ));
        }
        let mut resources = Vec::<Resource>::new();
        for identifier in identifiers {
            let resource = Resource::parse(identifier, self.allows_plain_http)?;
            if !origins.is_empty() && !origins.contains(&&*resource.origin) {
                let message = format!(
                    "the resource {} is not on a public origin: {}",
                    shown(identifier),
                    origins.join(" ")
                );
                return Err(rejected(message));
            }
            if resources.iter().any(|other| other.url == resource.url) {
                let message = format!("the resource {} is given twice", shown(identifier));
                return Err(rejected(message));
            }
            resources.push(resource);
        }
        Ok(Resources {
            resources,
            authorization_servers: self.checked_authorization_servers(issuers)?,
            more: self.checked_members()?,
            scopes: self.scopes.map(checked_scopes).transpose()?,
        })
    }

    fn checked_authorization_servers(
        &self,
        issuers: Option<&[String]>,
    ) -> Result<Vec<String>, ConfigError> {
        let servers = match (&self.authorization_servers, issuers) {
            (Some(servers), _) => servers,
            (None, Some(issuers)) => issuers,
            (None, None) => &[][..],
        };
        for server in servers {
            if issuers.is_some_and(|issuers| !issuers.contains(server)) {
                let message = format!(
                    "the authorization server {} is not a configured issuer",
                    shown(server)
                );
                return Err(rejected(message));
            }
            // RFC 8414 section 2, by which clients find its metadata.
            if !is_url(server, self.allows_plain_http) || server.contains('?') {
                let message = format!(
                    "the issuer {} is not an https URL without query and fragment, so clients cannot find it: \
                     name the others with `ResourceMetadata::authorization_servers`",
                    shown(server)
                );
                return Err(rejected(message));
            }
        }
        Ok(servers.to_vec())
    }

    fn checked_members(&self) -> Result<Map<String, Value>, ConfigError> {
        let mut members = Map::new();
        for (name, url) in &self.links {
            if !is_url(url, self.allows_plain_http) {
                let message = format!("the `{name}` {} is not an https URL", shown(url));
                return Err(rejected(message));
            }
            members.insert((*name).to_owned(), url.as_str().into());
        }
        for (name, value) in &self.more {
            let why = match value {
                _ if DERIVED.contains(&name.as_str()) => "comes from other settings",
                _ if members.contains_key(name) => "is set twice",
                Value::Null => "has no value",
                // RFC 9728 section 3.2.
                Value::Array(elements) if elements.is_empty() => "has no element",
                _ => {
                    members.insert(name.clone(), value.clone());
                    continue;
                }
            };
            let message = format!("the member {name:?} of the metadata {why}");
            return Err(rejected(message));
        }
        Ok(members)
    }
}

fn checked_scopes(scopes: Vec<String>) -> Result<Vec<String>, ConfigError> {
    match scopes.iter().find(|scope| !is_nqchars(scope)) {
        Some(scope) => Err(rejected(format!("{scope:?} is not a scope"))),
        None => Ok(scopes),
    }
}
