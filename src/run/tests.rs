//! Runs without a process: over manifests on disk, with systems and an inventory in memory.

mod from_cluster;
mod trees;
