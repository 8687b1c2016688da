//! Code generated from `proto/orders.proto`.

#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::doc_markdown,
    clippy::missing_errors_doc,
    reason = "generated"
)]

tonic::include_proto!("orders.v1");

/// The descriptors of the proto, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("orders");
