use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    config::{Resource, Resources},
    policy::{Mode, Policy},
    verifier::Verifier,
};

/// RFC 9728 section 2. Section 3.2: members without elements are left out.
#[derive(Serialize)]
struct Document<'a> {
    resource: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    authorization_servers: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scopes_supported: Vec<&'a str>,
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: Vec<&'static str>,
    #[serde(skip_serializing_if = "is_false")]
    dpop_bound_access_tokens_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_client_certificate_bound_access_tokens: bool,
    #[serde(flatten)]
    more: &'a Map<String, Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it")]
const fn is_false(value: &bool) -> bool {
    !*value
}

pub(super) fn text(verifier: &Verifier, resources: &Resources, resource: &Resource) -> String {
    let policies = || verifier.policies().map(|(_, policy)| policy);
    let document = Document {
        resource: &resource.identifier,
        authorization_servers: &resources.authorization_servers,
        scopes_supported: scopes(resources, policies()),
        bearer_methods_supported: ["header"],
        dpop_signing_alg_values_supported: (verifier.config().proof.allowed_algorithms().iter())
            .map(|algorithm| algorithm.as_str())
            .collect(),
        dpop_bound_access_tokens_required: requires_dpop(policies()),
        tls_client_certificate_bound_access_tokens: policies().any(takes_certificate_bound),
        more: &resources.more,
    };
    // Texts, lists of texts and JSON values always serialise.
    serde_json::to_string(&document).unwrap_or_default()
}

/// Returns the scopes that were set, or those of the policies.
fn scopes<'a>(
    resources: &'a Resources,
    policies: impl Iterator<Item = &'a Policy>,
) -> Vec<&'a str> {
    let mut scopes = Vec::new();
    let mut add = |scope: &'a str| {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    };
    match &resources.scopes {
        Some(given) => given.iter().for_each(|scope| add(scope)),
        None => {
            let looked_at = policies.filter(|policy| protects(policy));
            looked_at
                .flat_map(|policy| policy.requirements().named_scopes())
                .for_each(add);
        }
    }
    scopes
}

/// Returns whether every route that looks at tokens rejects those that are not bound by DPoP.
fn requires_dpop<'a>(policies: impl Iterator<Item = &'a Policy>) -> bool {
    let mut policies = policies.filter(|policy| protects(policy)).peekable();
    policies.peek().is_some()
        && policies
            .all(|policy| policy.mode() == Mode::Strict && !policy.accepts_certificate_bound())
}

fn takes_certificate_bound(policy: &Policy) -> bool {
    let is_required = policy.requirements().certificate_bound;
    protects(policy) && (is_required || policy.accepts_certificate_bound())
}

/// Returns whether any token is of use where this policy applies.
fn protects(policy: &Policy) -> bool {
    !matches!(policy.mode(), Mode::Off | Mode::Deny)
}
