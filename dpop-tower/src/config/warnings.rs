//! What is valid but often a mistake, for the log and for the text of a configuration.

use super::Settings;
use crate::{
    clock::UnixTime,
    policy::{Mode, Policy},
};

/// Returns the warnings that hold whatever the policies. `has_unused_store` says that a replay store was set although
/// proofs may be used again.
pub(super) fn of_settings(config: &Settings, has_unused_store: bool) -> Vec<String> {
    let mut warnings = of_origins(config);
    warnings.extend(config.target.warnings());
    let (max_age, leeway) = (config.proof.max_age, config.proof.leeway);
    if leeway > max_age {
        warnings.push(format!(
            "the leeway of {} s is longer than the maximum age of {} s, so a proof is valid for {} s: lower `leeway`, \
             too",
            leeway.as_secs(),
            max_age.as_secs(),
            max_age.saturating_add(leeway).as_secs()
        ));
    }
    if has_unused_store {
        warnings.push(
            "`replay_store` has no effect, because `danger_allow_reuse_within_lifetime` admits proofs again".to_owned(),
        );
    }
    if config.nonces_everywhere && challenges_each_time(config) {
        warnings.push(format!("nonces are required{ONE_PROCESS}"));
    }
    if config.clock.now() == UnixTime::END {
        warnings.push(
            "the clock shows the end of time, as `SystemClock` does if that of the system cannot be right: every token \
             and every proof counts as expired until it is set"
                .to_owned(),
        );
    }
    warnings
}

const ONE_PROCESS: &str = ", and their secret is that of this process, but other processes share the replay store: \
                           unless this is the only one that clients call, they are challenged by each process again. \
                           Set a shared secret with `nonce_source`";

/// Returns whether clients of several processes are sent from one challenge to the next.
fn challenges_each_time(config: &Settings) -> bool {
    config.is_shared && config.nonces.is_per_process()
}

fn of_origins(config: &Settings) -> Vec<String> {
    let origins = config.target.origins();
    let has_tls = origins.iter().any(|origin| origin.scheme() == "https");
    let plain = origins.iter().filter(|origin| origin.scheme() == "http");
    let warnings = plain.filter_map(|origin| {
        let shown = origin.as_str();
        match (origin.is_loopback(), has_tls) {
            (false, _) => Some(format!(
                "clients call {shown} without TLS, so tokens and proofs can be read on the way, and used before they \
                 arrive"
            )),
            (true, true) => Some(format!(
                "{shown} is listed beside an origin with TLS, so a proof that was made for a program on the client's \
                 own machine is good here: list it for development only"
            )),
            (true, false) => None,
        }
    });
    warnings.collect()
}

/// Returns the warnings about the policies that are in force together, each of which has a name.
pub(super) fn of_policies(config: &Settings, policies: &[(String, &Policy)]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, policy) in policies {
        let of_policy = of_policy(config, policy).into_iter();
        warnings.extend(of_policy.map(|why| format!("{name} ({policy}): {why}")));
    }
    let modes = || policies.iter().map(|(_, policy)| policy.mode());
    // A layer that is off for all requests is for what an outer layer protects, and says so in its code.
    let is_meant = matches!(policies, [(_, policy)] if policy.mode() == Mode::Off)
        && config.policy.mode() != Mode::Off;
    if !modes().any(Mode::enforces) && !is_meant {
        warnings.push(
            "no policy rejects a request: unless another layer does, requests without a token reach the service"
                .to_owned(),
        );
    }
    let gives_nonces = |policy: &Policy| {
        policy.mode() != Mode::Off && (config.needs_nonce(policy) || config.offers_nonce(policy))
    };
    let any_gives_nonces = policies.iter().any(|(_, policy)| gives_nonces(policy));
    if config.nonce_for_iat && !any_gives_nonces {
        warnings.push(
            "`accept_nonce_for_iat` has no effect where no client gets a nonce: require or offer nonces".to_owned(),
        );
    }
    warnings
}

fn of_policy(config: &Settings, policy: &Policy) -> Vec<&'static str> {
    let requirements = policy.requirements();
    let is_of_proofs = requirements.limits_proofs();
    let mut warnings = Vec::new();
    if policy.mode() == Mode::ReportOnly && requirements.nonce {
        warnings.push(
            "a policy that only reports gives out no nonces, so its reports do not cover them",
        );
    }
    if policy.mode() == Mode::Optional && is_of_proofs {
        warnings
            .push("a bearer token passes without a proof, whatever the policy requires of proofs");
    }
    if (requirements.max_proof_age()).is_some_and(|max_age| max_age >= config.proof.max_age) {
        warnings.push("its maximum age of proofs has no effect, because that of the configuration is not longer");
    }
    if !config.nonces_everywhere && config.needs_nonce(policy) && challenges_each_time(config) {
        warnings.push(
            "it requires nonces, whose secret is that of this process, but other processes share the replay store: \
             set a shared secret with `nonce_source`",
        );
    }
    warnings
}
