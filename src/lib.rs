//! Scopeward keeps OAuth scopes, their role bindings and the scope sets of apps the way Git says they should be.

pub mod diagnostic;
pub mod manifest;
pub mod model;
pub mod plan;
pub mod provider;
pub mod render;
