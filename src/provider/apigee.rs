//! Apigee.
mod convert;
