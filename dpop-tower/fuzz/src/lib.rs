//! Code that the fuzz targets share: a second, independent implementation of everything that the library
//! reads, and a layer around a service that records whether it was called.
//!
//! Nothing in `reading` uses the library, so that the two can be compared.

pub mod model;
pub mod reading;
pub mod rig;
pub mod script;
pub mod session;
