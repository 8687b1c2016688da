//! The layer among the crates and layers that it is used with: that they compile, and what comes of a request.

mod names;
