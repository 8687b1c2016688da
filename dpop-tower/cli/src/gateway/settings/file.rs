//! The file as it is written: names, types and defaults. Other modules check the values.

use std::{collections::BTreeMap, fmt, net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use serde::Deserialize;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<SocketAddr>,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) upstream_tls: Option<Spanned<UpstreamTls>>,
    pub(super) tls: Option<Spanned<Tls>>,
    pub(super) public_origins: Spanned<Vec<Spanned<String>>>,
    pub(super) path_prefix: Option<Spanned<String>>,
    pub(super) profile: Option<ProfileName>,
    #[serde(default)]
    pub(super) mode: ModeName,
    #[serde(default)]
    pub(super) danger_pass_on_credentials: bool,
    /// Seconds.
    #[serde(default = "thirty")]
    pub(super) shutdown_timeout: u64,
    pub(super) issuer: Spanned<Vec<Spanned<IssuerTable>>>,
    #[serde(default)]
    pub(super) proof: Proof,
    #[serde(default)]
    pub(super) nonces: Nonces,
    pub(super) trusted_proxies: Option<Spanned<TrustedProxies>>,
    #[serde(default)]
    pub(super) identity: Identity,
    #[serde(default)]
    pub(super) route: Vec<Spanned<Route>>,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) replay: Replay,
    pub(super) revocation: Option<Revocation>,
    pub(super) cors: Option<Spanned<Cors>>,
    pub(super) metadata: Option<Spanned<Metadata>>,
    pub(super) forward_auth: Option<Spanned<ForwardAuth>>,
    pub(super) ext_authz: Option<Spanned<ExtAuthz>>,
    pub(super) probe: Option<Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProfileName {
    Atproto,
    Fapi2,
    Mcp,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ModeName {
    #[default]
    Strict,
    Optional,
    ReportOnly,
    Off,
    Deny,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuerTable {
    pub(super) url: Spanned<String>,
    pub(super) audiences: Spanned<Vec<String>>,
    pub(super) jwks_url: Option<Spanned<String>>,
    pub(super) jwks_file: Option<Spanned<PathBuf>>,
    pub(super) jwe_keys_file: Option<Spanned<PathBuf>>,
    pub(super) require_encrypted_tokens: Option<Spanned<bool>>,
    pub(super) algorithms: Option<Spanned<Vec<Spanned<String>>>>,
    /// Seconds.
    pub(super) leeway: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) danger_leeway: Option<Spanned<u64>>,
    pub(super) scope_claim: Option<Spanned<String>>,
    pub(super) client_id_claim: Option<Spanned<String>>,
    pub(super) typ: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) accept_typ_jwt_if: Option<Spanned<Mark>>,
    #[serde(default)]
    pub(super) danger_allow_plain_http: bool,
    #[serde(default)]
    pub(super) danger_allow_plain_http_to_any_host: bool,
    #[serde(default)]
    pub(super) danger_accept_typ_jwt: bool,
    pub(super) key_fetching: Option<Spanned<KeyFetching>>,
    pub(super) introspection: Option<Spanned<Introspection>>,
    pub(super) status_list: Option<Spanned<StatusList>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatusList {
    pub(super) origins: Spanned<Vec<Spanned<String>>>,
    /// Seconds.
    pub(super) max_age: Option<Spanned<u64>>,
    /// Bytes.
    pub(super) max_size: Option<Spanned<usize>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Introspection {
    pub(super) url: Option<Spanned<String>>,
    pub(super) client_id: Spanned<String>,
    pub(super) client_secret_file: Option<Spanned<PathBuf>>,
    pub(super) client_secret_env: Option<Spanned<String>>,
    pub(super) client_key_file: Option<Spanned<PathBuf>>,
    /// Seconds.
    pub(super) cache_for: Option<Spanned<u64>>,
    #[serde(default)]
    pub(super) signed_responses: bool,
    #[serde(default)]
    pub(super) danger_accept_missing_audience: bool,
}

/// What tells access tokens from other JWTs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mark {
    pub(super) claim: Spanned<String>,
    pub(super) values: Spanned<Vec<Spanned<String>>>,
}

/// All in seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFetching {
    pub(super) refresh_after: Option<Spanned<u64>>,
    pub(super) danger_refresh_after: Option<Spanned<u64>>,
    pub(super) min_refresh_after: Option<u64>,
    pub(super) max_refresh_after: Option<Spanned<u64>>,
    pub(super) danger_max_refresh_after: Option<Spanned<u64>>,
    pub(super) max_key_age: Option<Spanned<u64>>,
    pub(super) danger_max_key_age: Option<Spanned<u64>>,
    pub(super) unknown_key_cool_down: Option<u64>,
    pub(super) min_retry_delay: Option<u64>,
    pub(super) max_retry_delay: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Proof {
    /// Seconds.
    pub(super) max_age: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) danger_max_age: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) leeway: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) danger_leeway: Option<Spanned<u64>>,
    pub(super) algorithms: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Nonces {
    pub(super) mode: NonceMode,
    pub(super) secret_file: Option<Spanned<PathBuf>>,
    pub(super) secret_env: Option<Spanned<String>>,
    pub(super) also_accept_file: Option<Spanned<PathBuf>>,
    pub(super) also_accept_env: Option<Spanned<String>>,
    pub(super) secrets_file: Option<Spanned<PathBuf>>,
    pub(super) partition: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) bind_to_key: bool,
    /// Seconds.
    pub(super) period: Option<Spanned<u64>>,
    pub(super) accept_for_iat: Option<Spanned<bool>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NonceMode {
    #[default]
    Off,
    Required,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrustedProxies {
    pub(super) networks: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) header: ForwardedSyntax,
    #[serde(default)]
    pub(super) prefixes: Vec<Spanned<String>>,
    pub(super) client_certificate: Option<Spanned<ReportedCertificate>>,
}

/// Where a proxy reports the certificate of its client. Some have the name of the header.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ReportedCertificate {
    ClientCert,
    XForwardedClientCert,
    /// In the attributes of Envoy's question.
    PeerCertificate,
    EscapedPem(String),
    Base64Der(String),
    Sha256Hex(String),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ForwardedSyntax {
    #[default]
    XForwarded,
    Forwarded,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Identity {
    pub(super) thumbprint: Option<Spanned<String>>,
    pub(super) principal: Option<Spanned<String>>,
    pub(super) claims: Option<BTreeMap<String, Spanned<String>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) path: Spanned<String>,
    pub(super) methods: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) mode: ModeName,
    pub(super) issuers: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) scopes: Vec<Spanned<String>>,
    pub(super) any_scope: Option<Spanned<Vec<String>>>,
    pub(super) acr: Option<Spanned<Vec<String>>>,
    /// Seconds.
    pub(super) max_auth_age: Option<u64>,
    /// Seconds.
    pub(super) max_age: Option<u64>,
    #[serde(default)]
    pub(super) require_nonce: bool,
    #[serde(default)]
    pub(super) offer_nonce: bool,
    #[serde(default)]
    pub(super) accept_certificate_bound: bool,
    #[serde(default)]
    pub(super) require_certificate_bound: bool,
    pub(super) upstream: Option<Spanned<String>>,
    pub(super) upstream_tls: Option<Spanned<UpstreamTls>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) certificate_file: Spanned<PathBuf>,
    pub(super) key_file: Spanned<PathBuf>,
    pub(super) client_ca_file: Option<Spanned<PathBuf>>,
    pub(super) client_certificates: Option<Spanned<ClientCertificates>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ClientCertificates {
    Required,
    Optional,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UpstreamTls {
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) server_name: Option<Spanned<String>>,
    pub(super) client_certificate_file: Option<Spanned<PathBuf>>,
    pub(super) client_key_file: Option<Spanned<PathBuf>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Limits {
    pub(super) connections: Spanned<usize>,
    /// Bytes.
    pub(super) header_size: Spanned<usize>,
    /// Seconds.
    pub(super) header_timeout: Spanned<u64>,
    /// Seconds.
    pub(super) idle_timeout: Spanned<u64>,
    /// Seconds.
    pub(super) connect_timeout: Spanned<u64>,
    /// Seconds.
    pub(super) response_timeout: Spanned<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Spanned::new(0..0, 10_000),
            header_size: Spanned::new(0..0, 64 * 1024),
            header_timeout: Spanned::new(0..0, 10),
            idle_timeout: Spanned::new(0..0, 60),
            connect_timeout: Spanned::new(0..0, 5),
            response_timeout: Spanned::new(0..0, 30),
        }
    }
}

#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Replay {
    pub(super) store: Option<Spanned<String>>,
    pub(super) store_env: Option<Spanned<String>>,
    pub(super) password_file: Option<Spanned<PathBuf>>,
    pub(super) password_env: Option<Spanned<String>>,
    pub(super) capacity: Option<Spanned<NonZeroUsize>>,
    pub(super) capacity_per_key: Option<Spanned<NonZeroUsize>>,
    pub(super) capacity_per_subject: Option<Spanned<NonZeroUsize>>,
    pub(super) fence: Option<Spanned<bool>>,
    /// Milliseconds.
    pub(super) time_out_ms: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) clock_margin: Option<Spanned<u64>>,
    /// Seconds.
    pub(super) window: Option<Spanned<u64>>,
    pub(super) ca_file: Option<Spanned<PathBuf>>,
    pub(super) danger_fall_back_to_memory: Option<Spanned<bool>>,
    pub(super) key_prefix: Option<Spanned<String>>,
    pub(super) wait_for_replicas: Option<Spanned<u32>>,
    pub(super) danger_allow_eviction: Option<Spanned<bool>>,
    pub(super) table: Option<Spanned<String>>,
    pub(super) create_table: Option<Spanned<bool>>,
    pub(super) max_connections: Option<Spanned<usize>>,
}

/// The URL may have a password in it.
impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Revocation {
    pub(super) capacity: Option<Spanned<NonZeroUsize>>,
    pub(super) path: Option<Spanned<String>>,
    /// Seconds.
    pub(super) token_lifetime: Option<Spanned<u64>>,
    #[serde(default = "none", rename = "transmitter")]
    pub(super) transmitters: Spanned<Vec<Spanned<Transmitter>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Transmitter {
    pub(super) issuer: Spanned<String>,
    pub(super) audience: Spanned<String>,
    pub(super) jwks_url: Option<Spanned<String>>,
    pub(super) authorization_file: Option<Spanned<PathBuf>>,
    pub(super) authorization_env: Option<Spanned<String>>,
    pub(super) tokens_of: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) tokens_have_sid: bool,
    pub(super) algorithms: Option<Spanned<Vec<Spanned<String>>>>,
    #[serde(default)]
    pub(super) danger_allow_plain_http: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cors {
    pub(super) origins: Spanned<Vec<Spanned<String>>>,
    pub(super) methods: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) headers: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) expose: Vec<Spanned<String>>,
    /// Seconds.
    pub(super) max_age: Option<Spanned<u64>>,
}

/// The names are those of RFC 9728, except `resources`, since there can be several.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Metadata {
    pub(super) resources: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) authorization_servers: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) scopes_supported: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) resource_name: Option<Spanned<String>>,
    pub(super) resource_documentation: Option<Spanned<String>>,
    pub(super) resource_policy_uri: Option<Spanned<String>>,
    pub(super) resource_tos_uri: Option<Spanned<String>>,
    pub(super) danger_allow_plain_http: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForwardAuth {
    pub(super) listen: Spanned<SocketAddr>,
    pub(super) proxy: ProxyName,
    pub(super) networks: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) client_certificate: Option<Spanned<ReportedCertificate>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProxyName {
    Nginx,
    Traefik,
    Caddy,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtAuthz {
    pub(super) listen: Spanned<SocketAddr>,
    pub(super) networks: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) client_certificate: Option<Spanned<ReportedCertificate>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    pub(super) listen: SocketAddr,
}

fn none() -> Spanned<Vec<Spanned<Transmitter>>> {
    Spanned::new(0..0, Vec::new())
}

const fn thirty() -> u64 {
    30
}
