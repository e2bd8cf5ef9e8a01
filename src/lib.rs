//! Scopeward keeps OAuth scopes, their role bindings and the scope sets of apps the way Git says they should be.

pub mod apply;
pub mod diagnostic;
pub mod inventory;
pub mod model;
pub mod plan;
pub mod provider;
pub mod sandbox;
