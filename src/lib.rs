//! Scopeward keeps OAuth scopes, their role bindings and the scope sets of apps the way Git says they should be.

pub mod apply;
pub mod cli;
pub mod commands;
pub mod diagnostic;
pub mod inventory;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod provider;
pub mod render;
pub mod sandbox;
pub mod telemetry;
