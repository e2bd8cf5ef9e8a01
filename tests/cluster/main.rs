//! The operator and the custom resources against a real API server: etcd and kube-apiserver from their Go modules.
//!
//! ```text
//! test --kubectl--> kube-apiserver <--watches, ledger, lease-- scopeward operator --HTTP--> sandbox (in the test)
//! ```
//!
//! `make cluster` runs them. A test that stops or breaks something has an API server of its own; the others share one, each
//! in a namespace of its own.

mod approval;
mod crds;
mod deletions;
mod events;
mod flows;
mod health;
mod kstatus;
mod lease;
mod ledger;
mod metrics;
mod outages;
mod proxy;
mod restores;
mod rights;
mod safety;
mod scale;
mod server;
mod support;
mod tenancy;
mod watches;
