//! Runs on a system and an inventory in memory.

mod bounds;
mod chunks;
mod looks;
mod others;
mod properties;
mod renames;
mod stage;
mod trouble;
