//! Scopeward keeps OAuth scopes, their role bindings and the scope sets of apps the way Git says they should be.
//!
//! ```text
//!  YAML files --manifest--> Desired --+
//!                                     +--> plan --> Plan --guard--> ApprovedPlan --apply--> Report --> render
//!  provider.observe() ----> Live -----+
//!  inventory -------------> Owned ----+
//! ```
//!
//! The picture is the reading order: [`model`], [`plan`], [`provider`], then one of the providers. What may import what
//! stands in `docs/architecture.md`, and `tests/it/architecture.rs` checks it.

pub mod apply;
pub mod cli;
mod cluster;
pub mod commands;
pub mod diagnostic;
pub mod inventory;
pub mod manifest;
pub mod model;
mod operator;
pub mod plan;
pub mod provider;
pub mod render;
mod run;
pub mod telemetry;
