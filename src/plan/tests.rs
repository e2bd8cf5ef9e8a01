//! The planner's rules, each a row of a table or a test with its name.

mod access;
mod apps;
mod digests;
mod guard;
mod ownership;
mod properties;
mod removal;
mod renames;
mod roles;
mod simulator;
mod world;
