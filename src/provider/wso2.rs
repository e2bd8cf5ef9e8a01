//! WSO2.
mod convert;
