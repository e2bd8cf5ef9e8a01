//! Command lines that hints repeat, ready to be pasted.

use std::borrow::Cow;

use crate::cli::{FromCluster, Inputs, InventoryLocation, Planning, Reach};
use crate::render::Commands;

/// What to say of going on: everything that decides what the run is about, with another verb or none of the flags of
/// planning.
pub(super) fn commands(verb: &str, planning: &Planning) -> Commands {
    let mut run = command(verb, &planning.reach);
    if planning.new_inventory {
        run.push_str(" --new-inventory");
    }
    Commands {
        run,
        adopt: command("adopt", &planning.reach),
        inventory: inventory_of(
            &planning.reach.inputs.paths,
            planning.reach.inventory.as_deref(),
            planning.reach.sandbox,
        ),
    }
}

/// The command line of a verb on the same manifests and systems.
pub(super) fn command(verb: &str, reach: &Reach) -> String {
    let Reach {
        inputs:
            Inputs {
                paths,
                strict,
                selector,
                repository,
                overlays,
            },
        target,
        credentials,
        inventory,
        cluster:
            FromCluster {
                from_cluster,
                default_namespace,
                prune_selector,
            },
        sandbox,
    } = reach;
    let mut parts = vec![format!("scopeward {verb}")];
    if !paths.is_empty() {
        parts.push(arguments(paths));
    }
    let mut flag = |name: &str, value: &str| parts.push(format!("{name} {}", quoted(value)));
    for overlay in overlays {
        flag("-k", overlay);
    }
    if let Some(repository) = repository {
        flag("--repository", repository.as_str());
    }
    for name in target {
        flag("--target", name);
    }
    if let Some(selector) = selector {
        flag("-l", &selector.to_string());
    }
    if let Some(folder) = credentials {
        flag("--credentials", &folder.display().to_string());
    }
    if let Some(inventory) = inventory {
        flag("--inventory", inventory);
    }
    if let Some(namespace) = default_namespace {
        flag("--default-namespace", namespace);
    }
    if let Some(selector) = prune_selector {
        flag("--prune-selector", &selector.to_string());
    }
    for (given, name) in [
        (from_cluster, "--from-cluster"),
        (strict, "--strict"),
        (sandbox, "--sandbox"),
    ] {
        if *given {
            parts.push(name.to_owned());
        }
    }
    parts.join(" ")
}

/// The command line of a verb of `inventory` on the same one.
pub(super) fn inventory_command(verb: &str, location: &InventoryLocation) -> String {
    let InventoryLocation {
        paths,
        inventory,
        sandbox,
    } = location;
    let place = inventory_of(paths, inventory.as_deref(), *sandbox);
    format!("scopeward inventory {verb} {place}")
}

fn inventory_of(paths: &[String], inventory: Option<&str>, sandbox: bool) -> String {
    let mut words = arguments(paths);
    if let Some(inventory) = inventory {
        words.push_str(" --inventory ");
        words.push_str(&quoted(inventory));
    }
    if sandbox {
        words.push_str(" --sandbox");
    }
    words
}

/// The PATHs of a run, as they were given.
pub(super) fn arguments(paths: &[String]) -> String {
    let paths: Vec<Cow<'_, str>> = paths.iter().map(|path| quoted(path)).collect();
    paths.join(" ")
}

/// A word for a shell. One with a NUL character cannot be passed to any program, and is shown as it is.
fn quoted(word: &str) -> Cow<'_, str> {
    shlex::try_quote(word).unwrap_or(Cow::Borrowed(word))
}
