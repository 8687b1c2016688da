//! Layers around and inside each other, and where they stand in a router.

mod modes;
mod once;
mod requirements;
mod routing;
mod upgrades;
