//! `adopt`: what the manifests declare and is live becomes ours, without a write to the system.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::ledger::{self, Opened, inventory_stop};
use super::session::Session;
use super::{Exit, Stop, hint, output};
use crate::cli::{self, Only};
use crate::inventory::Ledger;
use crate::inventory::remote::Claimed;
use crate::model::{Coverage, DesiredTarget, Live, Source};
use crate::plan::adopt::{AdoptOutcome, Choice, Chosen, adopt};
use crate::plan::settle::settle;
use crate::provider::Observe;
use crate::render::{count, visible};
use crate::run::{self, Picture, Reading};

/// A manifest: kind, namespace and name.
type Key<'a> = (&'a str, &'a str, &'a str);
/// Whether and how a manifest's object is to be adopted.
type Choose<'a> = dyn Fn(&Source) -> Option<Chosen> + Sync + 'a;

/// What came of it so far.
#[derive(Default)]
struct Tally {
    adopted: u64,
    left: u64,
    /// Whether a target could not be read.
    failed: bool,
    /// The manifests whose object is ours now.
    settled: BTreeSet<[String; 3]>,
}

pub(super) async fn run(args: cli::Adopt) -> Result<Exit, Stop> {
    let session = Session::start(&args.reach).await?;
    if let Some(embedded) = &session.embedded {
        output::note(&embedded.heading());
    }
    let targets = session.wanted.targets.iter();
    let all: BTreeSet<Key<'_>> = targets
        .flat_map(|target| declared(target).map(key))
        .collect();
    let wanted: BTreeSet<Key<'_>> = args
        .only
        .iter()
        .map(|only| named(only, &all, &args.reach))
        .collect::<Result<_, _>>()?;
    let chosen = |source: &Source| match (wanted.contains(&key(source)), args.all) {
        (true, _) => Some(Chosen::Named),
        (false, true) => Some(Chosen::All),
        (false, false) => None,
    };
    let run_id = uuid::Uuid::new_v4().to_string();
    let opened = session.place.open(&run_id, args.waiting).await?;
    let readings = session.systems.observers(&session.wanted);
    let adopted = take_all(&session, readings, &opened, &chosen).await;
    let closed = opened.close().await;
    let tally = adopted?;
    closed?;
    let path = session.place.to_string();
    if let Some(embedded) = session.embedded {
        embedded.stop().await?;
    }
    let left = match tally.left {
        0 => String::new(),
        left => format!("; {left} left as they were"),
    };
    output::print(&format!(
        "Adopted: {}{left}. Inventory: {}\n",
        count(tally.adopted, "object"),
        visible(&path)
    ))?;
    let is_settled = |(kind, namespace, name): &Key<'_>| {
        let key = [*kind, *namespace, *name].map(str::to_owned);
        tally.settled.contains(&key)
    };
    let failed = tally.failed || !session.loaded.complete || !wanted.iter().all(is_settled);
    Ok(match (failed, tally.adopted) {
        (false, _) => Exit::Done,
        (true, 0) => Exit::Failed,
        (true, _) => Exit::Partial,
    })
}

/// Adopts what is chosen on every target.
async fn take_all(
    session: &Session,
    readings: Vec<Reading<dyn Observe>>,
    opened: &Opened,
    chosen: &Choose<'_>,
) -> Result<Tally, Stop> {
    ledger::rename_roots(&session.loaded, opened).await?;
    let mut readings = run::read(&session.systems, readings).await;
    let live = readings.iter().filter_map(Reading::live);
    if opened.claim(live.map(|live| &live.identity)).await? == Claimed::Newer {
        readings = run::read(&session.systems, readings).await;
    }
    let coverage = session.cover(&opened.ledger().snapshot().await);
    let adopting = Adopting {
        ledger: opened.ledger(),
        coverage: &coverage,
        chosen,
    };
    let mut tally = Tally::default();
    for reading in &readings {
        match &reading.picture {
            Picture::Failed(error) => {
                let why = crate::apply::failure(error);
                let target = &reading.desired.target.id;
                output::line(&format!("error: {target}: {}", why.message));
                if let Some(help) = why.help {
                    output::line(&format!("  help: {help}"));
                }
                tally.failed = true;
            }
            Picture::Suspended => {
                let meant = declared(&reading.desired).filter(|source| chosen(source).is_some());
                for Source { kind, name, .. } in meant {
                    let target = &reading.desired.target.id;
                    let line = format!("left       {kind} {name} on {target}: it is suspended");
                    output::print(&format!("{}\n", visible(&line)))?;
                    tally.left += 1;
                }
            }
            Picture::Live(live) => {
                take(reading, live, &adopting, &mut tally).await?;
            }
        }
    }
    Ok(tally)
}

/// What is adopted into which inventory.
struct Adopting<'a> {
    ledger: &'a dyn Ledger,
    coverage: &'a Coverage,
    chosen: &'a Choose<'a>,
}

/// Adopts what is chosen on one target.
async fn take(
    reading: &Reading<dyn Observe>,
    live: &Live,
    adopting: &Adopting<'_>,
    tally: &mut Tally,
) -> Result<(), Stop> {
    let Adopting {
        ledger,
        coverage,
        chosen,
    } = adopting;
    let target = &reading.desired.target.id;
    // What a killed run left open is settled first, and what was renamed goes by its present name.
    let failed = |error| inventory_stop(&error);
    let owned = ledger.owned(&live.identity).await.map_err(failed)?;
    let (owned, learned): (Cow<'_, _>, _) =
        settle(&reading.desired, live, &owned, Timestamp::now());
    let recorded = ledger.record(&live.identity, target, learned).await;
    recorded.map_err(failed)?;
    for Choice {
        manifest,
        label,
        outcome,
    } in adopt(&reading.desired, live, &owned, coverage, chosen)
    {
        let (word, why) = match outcome {
            AdoptOutcome::Taken { record, from } => {
                let recorded = ledger.record(&live.identity, target, vec![*record]).await;
                recorded.map_err(failed)?;
                tally.adopted += 1;
                tally.settled.insert(owned_key(manifest));
                let from = from.map(|from| {
                    let from = from.file.beside(&manifest.file);
                    format!(", which {from} held")
                });
                ("adopted", from.unwrap_or_default())
            }
            AdoptOutcome::Unchanged => {
                tally.left += 1;
                tally.settled.insert(owned_key(manifest));
                ("left", ": adopted already".to_owned())
            }
            AdoptOutcome::Left(why) => {
                tally.left += 1;
                ("left", format!(": {why}"))
            }
        };
        let line = format!("{word:<9}  {label} on {target}{why}");
        output::print(&format!("{}\n", visible(&line)))?;
    }
    Ok(())
}

/// The manifest that `--only` names.
fn named<'a>(
    only: &Only,
    declared: &BTreeSet<Key<'a>>,
    reach: &cli::Reach,
) -> Result<Key<'a>, Stop> {
    let is_meant = |(kind, namespace, name): &&Key<'_>| {
        let meant = only
            .namespace
            .as_deref()
            .is_none_or(|own| own == *namespace);
        meant && *kind == only.kind && *name == only.name
    };
    let found: Vec<&Key<'_>> = declared.iter().filter(is_meant).collect();
    match found[..] {
        [key] => Ok(*key),
        [] => Err(Stop::usage(format!(
            "--only {only}: no manifest of that name is among {}",
            hint::arguments(&reach.inputs.paths)
        ))),
        _ => {
            let names = found.iter().map(|(_, namespace, _)| *namespace);
            let names: Vec<&str> = names.collect();
            Err(Stop::usage(format!(
                "--only {only}: there is one in each of the namespaces {}",
                names.join(", ")
            ))
            .help(format!("write {}/NAMESPACE/{}", only.kind, only.name)))
        }
    }
}

fn key(source: &Source) -> Key<'_> {
    (&source.kind, &source.namespace, &source.name)
}

fn owned_key(source: &Source) -> [String; 3] {
    let (kind, namespace, name) = key(source);
    [kind, namespace, name].map(str::to_owned)
}

fn declared(target: &DesiredTarget) -> impl Iterator<Item = &Source> {
    let scopes = target.scopes.values().map(|scope| &scope.source);
    scopes.chain(target.apps.iter().map(|app| &app.source))
}
