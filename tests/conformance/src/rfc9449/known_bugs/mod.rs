//! Bugs of other software, as requests. docs/known-bugs.md says where each was found.

mod headers;
mod proofs;
mod tokens;

use self::{headers::*, proofs::*, tokens::*};

cases! { rfc9449::known_bugs as known_bugs;
each_way [
    no_flood_of_proofs_makes_an_earlier_one_pass_again,
    a_proof_from_the_future_is_known_to_its_last_second,
    the_length_that_counts_is_that_of_the_proof,
    a_jti_is_a_name_and_nothing_else,
    strangers_all_get_the_same_nonce,
    jkt_has_one_spelling,
    what_comes_before_a_fragment_is_the_resource,
    bytes_that_are_not_printable_are_no_part_of_htu,
    no_spelling_of_a_forwarded_header_moves_the_target,
    what_connection_names_counts_all_the_same,
    a_header_of_almost_the_right_name_is_none,
    a_public_key_in_pem_is_no_hmac_secret,
    nothing_is_decrypted,
    a_token_that_has_ended_is_never_kept,
    no_claim_becomes_a_header_and_no_header_a_claim,
    by_default_both_names_of_ed25519_are_advertised,
]
}
