//! `generate`: the files that follow from the types.

use super::{Exit, Stop};
use crate::cli;

pub(super) async fn run(_args: cli::Generate) -> Result<Exit, Stop> {
    Err(Stop::usage("not yet"))
}
