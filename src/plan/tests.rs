//! The planner's rules, each a row of a table or a test with its name.

mod access;
mod adopting;
mod approvals;
mod apps;
mod digests;
mod guard;
mod hashes;
mod ownership;
mod removal;
mod roles;
mod targets;
mod withholding;
pub(crate) mod world;
