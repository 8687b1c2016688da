//! What the fuzz targets share: a second, independent reading of everything that the library reads,
//! and a layer around a service that says whether it was called.
//!
//! Nothing in `reading` uses the library, so that the two can be held against each other.

pub mod model;
pub mod reading;
pub mod rig;
pub mod script;
pub mod session;
