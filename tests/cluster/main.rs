//! The operator and the custom resources against a real API server: etcd and kube-apiserver from their Go modules.
//!
//! ```text
//! test --kubectl's API--> kube-apiserver <--watches, ledger, lease-- scopeward operator --HTTP--> sandbox (in the test)
//! ```
//!
//! `make cluster` runs them. Each test that stops or breaks something has an API server of its own; the others share one,
//! each with a namespace and a sandbox of its own.

mod crds;
mod flows;
mod server;
mod support;
