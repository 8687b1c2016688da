//! RFC 9449, section by section: each test runs with each crypto backend, in process and over a
//! socket.

mod case;
mod downgrade_matrix;
mod known_bugs;
mod nonce_for_iat;
mod section_11_1;
mod section_4_2;
mod section_4_3;
mod section_6;
mod section_7_1;
mod section_7_2;
mod section_9;
