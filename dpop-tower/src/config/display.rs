//! The text of a configuration: its effective settings, one a line.

use std::{fmt, time::Duration};

use super::{DpopConfig, Settings, warnings};
use crate::{
    policy::{Mode, Policy},
    proof::DANGER,
    target::ClientCertificates,
    token::{IssuerFacts, TokensFacts},
};

/// Writes the effective settings, one a line, for a log at start.
///
/// Lines that begin with `warning` say what is valid but often a mistake; see [`DpopConfig::warnings`]. Settings whose
/// method has `danger` in its name have the mark `[danger]`. If the configuration began with a
/// profile, such as [`DpopConfig::fapi2`], lines with `not met` say what the profile asks for and the
/// configuration does not do. No line has a secret. The text is for humans, and may change with every version.
///
/// The policies of a layer are not part of its configuration. [`DpopLayer`](crate::DpopLayer) and
/// [`Verifier`](crate::Verifier) write them as well.
///
/// ```
/// # #[cfg(feature = "test-util")] {
/// use dpop_tower::{DpopConfig, PublicOrigin};
/// # use dpop_tower::test_util::TestIssuer;
///
/// # let (origin, issuer) = (PublicOrigin::new("https://api.example.com")?, TestIssuer::new().tokens());
/// let config = DpopConfig::builder(origin, issuer).build()?;
/// println!("{config}");
/// # assert!(config.to_string().contains("https://api.example.com"));
/// # }
/// # Ok::<(), dpop_tower::ConfigError>(())
/// ```
impl fmt::Display for DpopConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Effective::of(&self.0).fmt(f)
    }
}

/// The settings that are in force somewhere: those of a configuration, with these policies.
pub(crate) struct Effective<'a> {
    config: &'a Settings,
    /// A name and a policy each.
    policies: Vec<(String, &'a Policy)>,
    /// `None` where there are no streams to end.
    ends_streams: Option<bool>,
    /// What is valid but often a mistake in the table that the policies come from.
    of_table: Vec<String>,
}

impl<'a> Effective<'a> {
    /// Returns the settings of a configuration, with its own policy.
    pub(super) fn of(config: &'a Settings) -> Self {
        let policies = vec![("policy".to_owned(), &config.policy)];
        Self::new(config, policies, None, Vec::new())
    }

    pub(crate) const fn new(
        config: &'a Settings,
        policies: Vec<(String, &'a Policy)>,
        ends_streams: Option<bool>,
        of_table: Vec<String>,
    ) -> Self {
        Self {
            config,
            policies,
            ends_streams,
            of_table,
        }
    }

    /// Returns what is valid but often a mistake.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut all = self.config.warnings.clone();
        all.extend(self.config.replay.shortages());
        all.extend(self.warnings_of_policies());
        all
    }

    /// Returns the warnings that depend on the policies.
    pub(crate) fn warnings_of_policies(&self) -> Vec<String> {
        let mut all = warnings::of_policies(self.config, &self.policies);
        all.extend_from_slice(&self.of_table);
        all
    }

    /// Returns what the profile asks for and these settings do not do.
    fn not_met(&self) -> Vec<String> {
        let Some(profile) = self.config.profile else {
            return Vec::new();
        };
        let mut not_met = profile.not_met(self.config);
        for (name, policy) in &self.policies {
            if let Some(why) = profile.policy_not_met(policy) {
                not_met.push(format!("{name}: {why}"));
            }
        }
        not_met
    }
}

impl fmt::Display for Effective<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Lines::default();
        if let Some(profile) = self.config.profile {
            lines.add("profile", profile);
            for why in self.not_met() {
                lines.add("  not met", why);
            }
        }
        for warning in self.warnings() {
            lines.add("warning", warning);
        }
        lines.target(self.config);
        lines.tokens(&self.config.token_facts);
        lines.proofs(self.config);
        lines.replay(self.config);
        lines.nonces(self.config);
        let revocations = self.config.names.revocations.map_or("none", |name| name);
        lines.add("revocation list", short(revocations));
        lines.add("crypto", short(self.config.names.crypto));
        let clock = short(self.config.names.clock);
        if clock != "SystemClock" {
            lines.add("clock", clock);
        }
        lines.policies(&self.policies);
        if let Some(ends_streams) = self.ends_streams {
            let text = match ends_streams {
                true if self.config.revocations.is_some() => {
                    "end when their token expires or is revoked"
                }
                true => "end when their token expires",
                false => "not ended by the layer when their token expires",
            };
            lines.add("streams", text);
        }
        f.write_str(&lines.0.join("\n"))
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl Lines {
    fn add(&mut self, name: &str, value: impl fmt::Display) {
        self.0.push(format!("{name:<20}  {value}"));
    }

    fn target(&mut self, config: &Settings) {
        let origins = config.target.origins();
        if origins.is_empty() {
            self.add("public origins", "decided for each request");
        }
        for origin in origins {
            self.add("public origin", origin.as_str());
        }
        let header = config.client_certificates.as_ref();
        match header.map(ClientCertificates::header_name) {
            None => self.add("client certificates", "of connections to this server"),
            Some(name) => self.add(
                "client certificates",
                format!("header {name} of trusted proxies"),
            ),
        }
        let resources = config.resources.iter().flat_map(|it| &it.resources);
        for resource in resources {
            self.add("resource", &resource.identifier);
            self.add("  metadata", &resource.url);
        }
    }

    fn tokens(&mut self, facts: &TokensFacts) {
        match facts {
            TokensFacts::Issuers(issuers) => {
                for IssuerFacts { issuer, lines, .. } in issuers {
                    self.add("issuer", issuer);
                    for (name, value) in lines {
                        self.add(&format!("  {name}"), value);
                    }
                }
            }
            #[cfg(feature = "jwks")]
            TokensFacts::Dynamic => self.add("issuers", "looked up at run time"),
            TokensFacts::Custom => self.add("tokens", "verified by a type of your own"),
            TokensFacts::None => self.add("tokens", "none is accepted"),
        }
    }

    fn proofs(&mut self, config: &Settings) {
        let proof = &config.proof;
        let names: Vec<&str> = (proof.allowed_algorithms().iter())
            .map(|alg| alg.as_str())
            .collect();
        self.add("proof algorithms", names.join(" "));
        self.add("proof age", config.max_age);
        self.add("proof leeway", config.leeway);
        if config.nonce_for_iat {
            self.add("proof time", "that of the nonce, where there is one");
        }
    }

    fn replay(&mut self, config: &Settings) {
        let Some(remembered_for) = config.remembered_for else {
            let text = format!("{DANGER} proofs may be used again while they are valid");
            return self.add("replay", text);
        };
        let store = (config.replay.description()).unwrap_or_else(|| short(config.names.replay));
        self.add(
            "replay",
            format!(
                "{store}, proofs are remembered for {}",
                secs(remembered_for)
            ),
        );
        if let Some(limits) = config.replay_limits {
            let (entries, key) = (limits.entries, limits.per_client);
            let subject = limits.per_subject;
            self.add(
                "replay capacity",
                format!("{entries} proofs, {key} a key, {subject} a subject"),
            );
        }
    }

    fn nonces(&mut self, config: &Settings) {
        let required = match config.nonces_everywhere {
            true => "required",
            false => "required where a policy says so",
        };
        let offered = match config.offers_nonces {
            true => ", offered with every response",
            false => "",
        };
        self.add("nonces", format!("{required}{offered}"));
        let source = match config.names.nonces {
            Some(name) => short(name),
            None => "StatelessNonces".to_owned(),
        };
        let secret = match config.nonces.is_per_process() {
            true => " with a random secret of this process",
            false => "",
        };
        let life = match config.nonces.longest_life() {
            Some(life) => format!("accepted for up to {}", secs(life)),
            None => "of unknown lifetime".to_owned(),
        };
        self.add("nonce source", format!("{source}{secret}, {life}"));
    }

    fn policies(&mut self, policies: &[(String, &Policy)]) {
        let has = |test: fn(&Policy) -> bool| policies.iter().any(|(_, policy)| test(policy));
        let enforces = |policy: &Policy| matches!(policy.mode(), Mode::Strict | Mode::Optional);
        let bindings: Vec<&str> = [
            ("a key", has(enforces)),
            ("a certificate", has(Policy::accepts_certificate_bound)),
            ("nothing", has(|policy| policy.mode() == Mode::Optional)),
        ]
        .into_iter()
        .filter_map(|(name, is_accepted)| is_accepted.then_some(name))
        .collect();
        let bindings = match bindings.as_slice() {
            [] => "no token is required".to_owned(),
            bindings => bindings.join(" or "),
        };
        self.add("tokens bound to", bindings);
        for (name, policy) in policies {
            let mark = match policy.mode() {
                Mode::Off | Mode::ReportOnly => " (protects nothing)",
                _ if policy.lets_streams_outlive_tokens() => " [danger]",
                _ => "",
            };
            self.add(name, format_args!("{policy}{mark}"));
        }
    }
}

fn secs(duration: Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Returns the name of a type without the paths of its modules, and without an `Arc` around it.
fn short(name: &str) -> String {
    let mut text = String::new();
    for part in name.split_inclusive(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        text.push_str(part.rsplit("::").next().unwrap_or_default());
    }
    let inner = text
        .strip_prefix("Arc<")
        .and_then(|rest| rest.strip_suffix('>'));
    inner.map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_shown_without_its_modules() {
        for (name, shown) in [
            (
                "dpop_tower::replay::memory::MemoryReplayStore",
                "MemoryReplayStore",
            ),
            (
                "alloc::sync::Arc<dpop_tower::replay::memory::MemoryReplayStore>",
                "MemoryReplayStore",
            ),
            (
                "alloc::sync::Arc<dyn dpop_tower::replay::ReplayStore>",
                "dyn ReplayStore",
            ),
            ("a::B<c::D<e::F>, g::H>", "B<D<F>, H>"),
            ("Local", "Local"),
        ] {
            assert_eq!(short(name), shown);
        }
    }
}
