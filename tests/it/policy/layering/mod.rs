//! Nested layers, and their position in a router.

mod modes;
mod once;
mod requirements;
mod routing;
mod upgrades;
