//! Section 4.3: the list of checks, item by item.

mod binding;
mod form;
mod signature;
mod target;

use self::{binding::*, form::*, signature::*, target::*};

cases! { rfc9449::section_4_3 as section_4_3;
each_way [
    a_good_request_is_admitted_once,
    item_1_there_is_exactly_one_dpop_header,
    item_2_only_the_compact_serialization_is_a_proof,
    item_3_every_required_claim_is_there,
    item_4_typ_is_dpop_jwt_to_the_letter,
    item_5_none_is_no_algorithm,
    item_5_an_hmac_is_no_signature,
    item_5_algorithms_are_those_of_the_configuration,
    item_6_the_signature_verifies_with_the_key_in_the_header,
    item_6_a_known_key_is_known_for_one_algorithm,
    item_6_the_signature_covers_header_and_payload_as_sent,
    item_7_no_private_member_is_tolerated,
    item_8_htm_is_the_method_to_the_letter,
    item_9_equivalent_spellings_of_htu_are_accepted,
    item_9_the_query_of_the_request_is_not_part_of_htu,
    item_9_another_htu_is_rejected,
    item_9_a_proof_does_not_fit_a_request_for_another_spelling,
    item_9_nothing_that_the_caller_says_moves_the_expected_htu,
    item_10_the_nonce_is_one_of_the_server,
    item_11_iat_lies_within_the_window_to_the_second,
    item_11_the_default_window_is_70_s_back_and_10_s_ahead,
    item_12_ath_is_the_hash_of_this_token,
    item_12_the_token_is_bound_to_the_key_of_the_proof,
]
}
