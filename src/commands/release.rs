//! `release`: what the inventory holds for a manifest is not ours any more; the live object stays as it is.

use std::collections::BTreeSet;

use super::ledger::{self, Opened, Place};
use super::{Exit, Stop, hint, inventory, output};
use crate::cli::{self, Only};
use crate::inventory::Snapshot;
use crate::inventory::remote::Claimed;
use crate::model::{LiveIdentity, ManifestRef, ScopeName, TargetId};
use crate::plan::adopt::{Release, release};
use crate::render::{count, visible};

/// What is to be ours no more, and where.
type Chosen<'a> = (&'a LiveIdentity, &'a TargetId, Release<'a>);

pub(super) async fn run(args: cli::Release) -> Result<Exit, Stop> {
    let location = &args.location;
    let place = Place::of(location).await?;
    let run_id = uuid::Uuid::new_v4().to_string();
    let opened = place.open(&run_id, args.waiting).await?;
    let let_go = let_go(&args, &opened).await;
    let closed = opened.close().await;
    let (released, unknown) = let_go?;
    closed?;
    output::print(&format!(
        "Released: {}. Inventory: {}\n",
        count(released, "object"),
        visible(&place.to_string())
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

/// Takes what is meant out of the inventory; gives how many objects that were, and the `--only` that mean none.
async fn let_go(args: &cli::Release, opened: &Opened) -> Result<(u64, Vec<String>), Stop> {
    let is_on = |target: &TargetId| {
        let named = |name: &String| target.name == *name || target.to_string() == *name;
        args.target.is_empty() || args.target.iter().any(named)
    };
    let mut snapshot = opened.ledger().snapshot().await;
    let chosen = loop {
        let chosen = all_chosen(args, &snapshot, &is_on)?;
        let each = chosen.iter().flatten();
        let concerned: BTreeSet<_> = each.map(|(identity, ..)| *identity).collect();
        if opened.claim(concerned).await? == Claimed::AsLoaded {
            break chosen;
        }
        drop(chosen);
        snapshot = opened.ledger().snapshot().await;
    };
    let mut released = 0;
    let mut unknown: Vec<String> = Vec::new();
    for (only, chosen) in args.only.iter().zip(chosen) {
        if chosen.is_empty() {
            unknown.push(only.to_string());
        }
        for (identity, target, Release { label, records, .. }) in chosen {
            let recorded = opened.ledger().record(identity, target, records).await;
            recorded.map_err(|error| ledger::inventory_stop(&error))?;
            let line = format!("released   {label} on {target}; the live object stays");
            output::print(&format!("{}\n", visible(&line)))?;
            released += 1;
        }
    }
    Ok((released, unknown))
}

/// What each `--only` means, unless one means several manifests.
fn all_chosen<'a>(
    args: &cli::Release,
    snapshot: &'a Snapshot,
    is_on: &dyn Fn(&TargetId) -> bool,
) -> Result<Vec<Vec<Chosen<'a>>>, Stop> {
    let each = args.only.iter();
    each.map(|only| {
        let chosen = chosen(snapshot, only, is_on);
        several(only, &chosen).map_or(Ok(chosen), Err)
    })
    .collect()
}

/// What an `--only` means among what the inventory holds.
fn chosen<'a>(
    snapshot: &'a Snapshot,
    only: &Only,
    is_on: &dyn Fn(&TargetId) -> bool,
) -> Vec<Chosen<'a>> {
    let is_meant = |manifest: &ManifestRef| {
        let namespace = only.namespace.as_ref();
        manifest.kind == only.kind
            && manifest.name == only.name
            && namespace.is_none_or(|namespace| *namespace == manifest.namespace)
    };
    let is_named = |name: &ScopeName| only.kind == "Scope" && name.as_str() == only.name;
    let identities = snapshot.identities();
    let identities = identities.filter(|(_, target, _)| is_on(target));
    identities
        .flat_map(|(identity, target, owned)| {
            let releases = release(owned, &is_meant, &is_named).into_iter();
            releases.map(move |release| (identity, target, release))
        })
        .collect()
}

/// Why nothing is released where a name is that of several manifests, of other namespaces or repositories: one of them is
/// meant, and the others lose what they hold if it is guessed.
fn several(only: &Only, chosen: &[Chosen<'_>]) -> Option<Stop> {
    let (_, _, first) = chosen.first()?;
    if chosen
        .iter()
        .all(|(.., release)| release.holder == first.holder)
    {
        return None;
    }
    let objects = chosen.iter().map(|(_, target, release)| {
        let holder = inventory::of(release.holder);
        format!("{} on {target} ({holder})", release.label)
    });
    let objects: Vec<String> = objects.collect();
    let message = format!(
        "--only {only}: several manifests of that name hold something: {}",
        visible(&objects.join(", "))
    );
    let help = format!(
        "write {}/NAMESPACE/{} or add --target, so that one of them is meant; nothing was released",
        only.kind, only.name
    );
    Some(Stop::usage(message).help(help))
}
