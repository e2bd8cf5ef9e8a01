//! What stands in for the sandbox in a build without it: every way to it says so.
#![expect(
    clippy::unused_async,
    reason = "the sandbox's own functions, which these stand in for, wait"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use url::Url;

use super::{Exit, Stop};
use crate::apply::RunResult;
use crate::cli;
use crate::model::{DesiredTarget, TargetId};
use crate::provider::Credential;

/// A sandbox that cannot be started, so that there is never one.
pub(super) enum Embedded {}

impl Embedded {
    pub(super) async fn start(
        _: &[Arc<DesiredTarget>],
        _: &[String],
        _: &Path,
    ) -> Result<Self, Stop> {
        Err(none("--sandbox"))
    }

    pub(super) fn copies(&self) -> BTreeMap<TargetId, (Url, Credential)> {
        match *self {}
    }

    pub(super) fn heading(&self) -> String {
        match *self {}
    }

    pub(super) fn next_steps(&self, _: &str, _: &str, _: RunResult) -> String {
        match *self {}
    }

    pub(super) async fn stop(self) -> Result<(), Stop> {
        match self {}
    }
}

/// `scopeward sandbox`.
pub(super) async fn run(_: cli::Sandbox) -> Result<Exit, Stop> {
    Err(none("sandbox"))
}

fn none(asked: &str) -> Stop {
    Stop::usage(format!("`{asked}`: this build has no sandbox"))
        .help("a build with the default features has one")
}
