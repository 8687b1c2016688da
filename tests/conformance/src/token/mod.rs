//! What RFC 9068 section 4, RFC 7519 and RFC 8725 require of a token, one part broken at a time.

mod algorithms;
mod claims;
mod form;
mod handlers;
mod known;
mod signature;

use dpop_tower::{Issuer, crypto::Algorithm};
use serde_json::{Map, Value, json};

use self::{algorithms::*, claims::*, form::*, handlers::*, known::*, signature::*};
use crate::{
    crypto::JoseKey,
    support::{Api, ORIGIN, Verdict, Way, invalid_token},
};

cases! { token as token;
each_way [
    rfc_7519_section_4_1_4_a_token_ends_at_the_second_of_exp,
    rfc_7519_section_4_1_5_nbf_and_iat_may_be_ahead_by_the_leeway,
    no_date_of_a_token_is_too_extreme_for_arithmetic,
    every_claim_that_is_read_has_its_json_type,
    a_claim_that_is_handed_on_decides_nothing,
    scopes_may_be_an_array_or_in_another_claim,
    iss_aud_and_exp_are_required_and_other_claims_are_not,
    rfc_9068_section_4_iss_is_the_issuer_to_the_letter,
    rfc_9068_section_4_aud_names_this_api_to_the_letter,
    rfc_9068_section_4_typ_is_at_jwt,
    rfc_8725_section_3_2_none_is_no_algorithm,
    rfc_8725_section_3_1_a_public_key_is_no_hmac_secret,
    rfc_8725_section_3_1_algorithms_are_those_of_the_configuration,
    five_algorithms_are_allowed_by_default,
    rfc_9864_both_names_of_ed25519_fit_a_key_that_is_marked_with_either,
    rfc_7517_section_4_4_a_key_serves_only_the_alg_it_is_marked_with,
    a_token_of_either_kind_of_test_issuer_is_accepted,
    rfc_7515_section_4_1_11_critical_extensions_are_rejected,
    duplicate_members_are_rejected_in_every_spelling,
    header_and_payload_are_one_json_object_each,
    only_the_compact_serialization_is_a_token,
    a_token_has_at_most_16_kib,
    a_token_is_signed_with_a_key_of_the_issuer,
    the_signature_covers_header_and_payload_as_sent,
    a_kid_is_a_name_in_the_key_set_and_nothing_else,
    rfc_8725_section_3_10_keys_in_the_header_are_never_used,
    unknown_header_parameters_and_claims_are_ignored,
    a_token_that_was_accepted_before_ends_at_exp_all_the_same,
    a_token_that_was_accepted_before_begins_at_nbf_all_the_same,
    a_token_and_a_key_that_were_accepted_before_cost_less,
    a_token_that_was_accepted_before_still_needs_its_key,
    a_token_that_was_accepted_before_is_still_no_bearer_token,
    a_changed_token_gains_nothing_from_the_original_being_known,
    tokens_are_not_mixed_up_however_small_the_cache_is,
    the_reason_says_which_claim_it_is_and_nothing_of_the_token,
]
each_way_of_the_layer [
    a_handler_sees_the_scopes_of_the_token,
    a_handler_sees_what_the_token_says,
]
}

const ISSUER: &str = "https://issuer.test";

trait Present {
    /// Sends the token with a valid proof for it.
    async fn present(&self, token: &str) -> Verdict;
    async fn reject(&self, what: &str, token: &str, reason: &'static str);
    async fn accept(&self, what: &str, token: &str);
}

impl Present for Api {
    async fn present(&self, token: &str) -> Verdict {
        self.get(token, &self.proof(token).sign()).await
    }

    async fn reject(&self, what: &str, token: &str, reason: &'static str) {
        assert_eq!(self.present(token).await, invalid_token(reason), "{what}");
    }

    async fn accept(&self, what: &str, token: &str) {
        assert_eq!(self.present(token).await, Verdict::Admitted, "{what}");
    }
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap()
}

/// Returns keys as an issuer publishes them.
fn jwks(keys: &[Map<String, Value>]) -> String {
    json!({ "keys": keys }).to_string()
}

fn with(mut jwk: Map<String, Value>, members: &[(&str, Value)]) -> Map<String, Value> {
    for (name, value) in members {
        jwk.insert((*name).to_owned(), value.clone());
    }
    jwk
}

/// Returns an API that trusts these keys, whatever keys its test issuer has.
fn api_with_keys(way: Way, keys: &[Map<String, Value>], algorithms: &[Algorithm]) -> Api {
    let jwks = jwks(keys);
    way.api_with(
        |_| {
            Issuer::new(ISSUER)
                .jwks(jwks)
                .audience(ORIGIN)
                .algorithms(algorithms.iter().copied())
        },
        |config| config,
    )
}

/// Returns a token for the API's client, signed with a key of josekit.
fn jose_token(api: &Api, key: &JoseKey, header: &[(&str, Value)]) -> String {
    let base = json!({"typ": "at+jwt", "alg": key.algorithm.as_str()});
    let header = with(base.as_object().unwrap().clone(), header);
    key.jws(
        &Value::Object(header).to_string(),
        &api.token().payload_json(),
    )
}
