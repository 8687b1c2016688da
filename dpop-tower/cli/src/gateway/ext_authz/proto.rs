//! Code generated from `proto`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/protos.rs"));
