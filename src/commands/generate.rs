//! `generate`: the files that follow from the types.

pub(super) use crate::manifest::generate::{crds, schemas};

use super::{Exit, Stop, output};
use crate::cli;
use crate::manifest::generate::File;

pub(super) async fn run(files: Vec<File>, into: cli::Into) -> Result<Exit, Stop> {
    let Some(dir) = into.dir else {
        for (_, text) in &files {
            output::print(text)?;
        }
        return Ok(Exit::Done);
    };
    let cannot = |path: &std::path::Path, error: std::io::Error| {
        Stop::failed(format!("cannot write \"{}\": {error}", path.display()))
    };
    tokio::fs::create_dir_all(&dir)
        .await
        .map_err(|error| cannot(&dir, error))?;
    for (name, text) in &files {
        let path = dir.join(name);
        tokio::fs::write(&path, text)
            .await
            .map_err(|error| cannot(&path, error))?;
        output::line(&format!("wrote {}", path.display()));
    }
    Ok(Exit::Done)
}
