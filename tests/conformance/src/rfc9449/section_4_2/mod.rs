//! Section 4.2: the syntax of a proof, one part broken at a time.

mod claims;
mod form;
mod header;
mod keys;

use self::{claims::*, form::*, header::*, keys::*};

cases! { rfc9449::section_4_2 as section_4_2;
each_way [
    rfc_7515_section_2_base64url_has_one_spelling,
    header_and_payload_are_one_json_object_each,
    every_header_parameter_is_required_and_has_its_json_type,
    every_claim_is_required_and_has_its_json_type,
    empty_and_overlong_claims_are_rejected,
    duplicate_members_are_rejected_in_every_spelling,
    rfc_7515_section_4_1_1_algorithm_names_have_a_case,
    an_alg_that_does_not_fit_the_key_is_rejected,
    ed25519_clients_may_use_either_name,
    every_parameter_of_the_key_is_required_and_has_its_json_type,
    further_members_of_the_key_are_ignored,
    other_kinds_of_keys_are_rejected,
    a_point_off_its_curve_is_rejected,
    an_ed25519_key_of_small_order_is_rejected,
    rsa_keys_have_2048_to_4096_bits,
    an_rsa_exponent_is_odd_and_not_tiny,
    the_examples_of_the_rfc_are_good_proofs,
    rfc_7515_section_4_1_11_critical_extensions_are_rejected,
    unknown_header_parameters_and_claims_are_ignored,
    a_key_elsewhere_in_the_header_is_not_the_key,
    without_configured_nonces_a_nonce_is_ignored_unless_it_is_no_text,
    no_iat_is_too_extreme_for_arithmetic,
    rfc_7519_section_2_iat_may_have_a_fraction,
    exp_and_nbf_of_a_proof_are_obeyed,
    a_jti_has_1_to_256_bytes,
    a_proof_has_at_most_16_kib,
]
}
