//! `sandbox`: the three systems, emulated, until Ctrl-C.

use std::path::Path;

use super::{Exit, Stop, output, sentence, signal};
use crate::cli;
use scopeward_sandbox::{Options, Sandbox, World};

pub(super) async fn run(args: cli::Sandbox) -> Result<Exit, Stop> {
    let world = match &args.world {
        Some(file) => read_world(file).await?,
        None if args.state.as_deref().is_some_and(Path::exists) => World::default(),
        None => {
            return Err(Stop::usage(
                "--world or a --state that exists is needed: the sandbox has to know what there is",
            )
            .help("examples/quickstart/sandbox.yaml is a world to start from"));
        }
    };
    let options = Options {
        listen: args.listen,
        state: args.state.clone(),
        tls: args.tls.is_some(),
    };
    let sandbox = Sandbox::start(world, options)
        .await
        .map_err(|error| Stop::failed(sentence(&error)))?;
    if let (Some(file), Some(certificate)) = (&args.tls, sandbox.certificate()) {
        let written = tokio::fs::write(file, certificate).await;
        written.map_err(|error| {
            Stop::failed(format!("cannot write \"{}\": {error}", file.display()))
        })?;
    }
    output::print(&format!("{}\n", sandbox.url()))?;
    output::note("serving until Ctrl-C; requests so far: /__sandbox/requests, log: /__sandbox/log");
    signal::terminated().await;
    sandbox
        .shutdown()
        .await
        .map_err(|error| Stop::failed(sentence(&error)))?;
    Ok(Exit::Done)
}

/// Reads a world file.
pub(super) async fn read_world(file: &Path) -> Result<World, Stop> {
    let cannot = |error: &dyn std::error::Error| {
        Stop::failed(format!(
            "cannot read the world \"{}\": {}",
            file.display(),
            sentence(error)
        ))
    };
    let text = tokio::fs::read_to_string(file)
        .await
        .map_err(|error| cannot(&error))?;
    World::from_yaml(&text).map_err(|error| cannot(&error))
}
