//! RFC 9449, section by section. Each case runs with each crypto backend in process, over a socket and
//! through a proxy.

mod case;
pub mod downgrade_matrix;
pub mod known_bugs;
pub mod nonce_for_iat;
pub mod section_11_1;
pub mod section_4_2;
pub mod section_4_3;
pub mod section_6;
pub mod section_7_1;
pub mod section_7_2;
pub mod section_9;
