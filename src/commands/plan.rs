//! `plan`: what `sync` would do. Holds nothing that can write.

use jiff::Timestamp;

use super::output::Outputs;
use super::session::Session;
use super::{Exit, Stop, hint, ledger, output};
use crate::apply::has_errors;
use crate::cli::{self, Format};
use crate::plan::{Mode, NewInventory};
use crate::render;
use crate::run;

pub(super) async fn run(args: cli::Plan) -> Result<Exit, Stop> {
    if args.out.is_some() {
        return Err(Stop::usage("--out: saved plans are not supported yet"));
    }
    let planning = &args.planning;
    let outputs = Outputs::open(&planning.output).await?;
    let session = Session::start(&planning.reach).await?;
    let snapshot = session.place.read().await?;
    let snapshot = ledger::with_renamed_roots(&session.loaded, &session.place, snapshot);

    let readings = session.systems.observers(&session.wanted);
    let readings = run::read(&session.systems, readings).await;
    let mode = if args.no_delete {
        Mode::Apply
    } else {
        Mode::Sync
    };
    let new_inventory = if planning.new_inventory {
        NewInventory::Allow
    } else {
        NewInventory::Warn
    };
    let judging = session.judging(mode, new_inventory, planning, &snapshot);
    let now = Timestamp::now();
    let approved = run::judge(&session.wanted, &readings, &snapshot, &judging, now);
    let learned = session.show_learned(&approved, &readings, &snapshot, &judging.coverage);

    let verb = if args.no_delete { "apply" } else { "sync" };
    let text = render::text::Options {
        dry_run: true,
        verbose: planning.verbose,
        commands: hint::commands(verb, planning),
    };
    if let Some(embedded) = &session.embedded {
        output::note(&embedded.heading());
    }
    let mut all = session.loaded.diagnostics.clone();
    all.extend(learned);
    outputs
        .write(|format| match format {
            Format::Text => render::text::plan(&approved, &text),
            Format::Json => output::json(&render::json::plan(&approved, &all)),
            Format::Markdown => render::markdown::plan(&approved, &all, &text.commands),
        })
        .await?;
    if let Some(embedded) = session.embedded {
        embedded.stop().await?;
    }
    let failed = has_errors(&approved) || all.iter().any(crate::diagnostic::Diagnostic::is_error);
    Ok(if !approved.is_clean() {
        Exit::Refused
    } else if failed || !session.loaded.complete {
        Exit::Failed
    } else if args.detailed_exitcode && approved.summary().total() > 0 {
        Exit::Changes
    } else {
        Exit::Done
    })
}
