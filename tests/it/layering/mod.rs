//! Layers around and inside of each other, and where they stand in a router.

mod demands;
mod modes;
mod once;
mod routing;
mod upgrades;
