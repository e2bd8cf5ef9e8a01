//! `release`: what the inventory holds for a manifest is not ours any more; the live object stays as it is.

use super::{Exit, Stop, hint, ledger, output};
use crate::cli;
use crate::model::{ManifestRef, ScopeName, TargetId};
use crate::plan::adopt::release;
use crate::render::{count, visible};

pub(super) async fn run(args: cli::Release) -> Result<Exit, Stop> {
    let location = &args.location;
    let path = ledger::inventory_path(location).await?;
    let ledger = ledger::open(&path, &uuid::Uuid::new_v4().to_string()).await?;
    let snapshot = ledger.snapshot().await;
    let is_chosen = |target: &TargetId| {
        let named = |name: &String| target.name == *name || target.to_string() == *name;
        args.target.is_empty() || args.target.iter().any(named)
    };
    let mut released = 0;
    let mut unknown: Vec<String> = Vec::new();
    for only in &args.only {
        let before = released;
        for (identity, target, owned) in snapshot.identities() {
            if !is_chosen(target) {
                continue;
            }
            let is_meant = |manifest: &ManifestRef| {
                let namespace = only.namespace.as_ref();
                manifest.kind == only.kind
                    && manifest.name == only.name
                    && namespace.is_none_or(|namespace| *namespace == manifest.namespace)
            };
            let is_named = |name: &ScopeName| only.kind == "Scope" && name.as_str() == only.name;
            for (label, records) in release(owned, &is_meant, &is_named) {
                let recorded = ledger.record(identity, target, records).await;
                recorded.map_err(|error| Stop::failed(super::sentence(&error)))?;
                let line = format!("released   {label} on {target}; the live object stays");
                output::print(&format!("{}\n", visible(&line)))?;
                released += 1;
            }
        }
        if released == before {
            unknown.push(only.to_string());
        }
    }
    ledger::close(ledger).await?;
    output::print(&format!(
        "Released: {}. Inventory: {}\n",
        count(released, "object"),
        visible(&path.display().to_string())
    ))?;
    if unknown.is_empty() {
        return Ok(Exit::Done);
    }
    let message = format!("the inventory holds nothing for {}", unknown.join(", "));
    let stop = match released {
        0 => Stop::failed(message),
        _ => Stop::partial(message),
    };
    let show = hint::inventory_command("show", location);
    Err(stop.help(format!("`{show}` lists what it holds")))
}
