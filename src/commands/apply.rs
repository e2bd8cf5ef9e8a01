//! `apply` and `sync`: plan, ask, write, verify.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::output::Outputs;
use super::session::Session;
use super::{Exit, Stop, hint, ledger, output, signal};
use crate::apply::{Progress, Report, RunResult, always_wanted};
use crate::cli::{self, Format, Planning};
use crate::diagnostic::Diagnostic;
use crate::inventory::{Fence, Ledger};
use crate::model::Record;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Mode, NewInventory};
use crate::provider::{Interrupt, Provider};
use crate::render;
use crate::run::{self, Execution, Judging, Reading};

pub(super) async fn run(args: cli::Apply, mode: Mode) -> Result<Exit, Stop> {
    let planning = &args.planning;
    let asks = !args.yes && !planning.reach.sandbox;
    if asks {
        can_ask(planning)?;
    }
    let run_id = uuid::Uuid::new_v4().to_string();
    let started_at = Timestamp::now();
    let outputs = Outputs::open(&planning.output).await?;
    let session = Session::start(&planning.reach).await?;
    let ledger = ledger::open(&session.inventory_path, &run_id).await?;
    interrupt_on_signal(session.systems.interrupt.clone());
    ledger::rename_roots(&session.loaded, ledger.as_ref()).await?;

    let new_inventory = if planning.new_inventory {
        NewInventory::Allow
    } else {
        NewInventory::Refuse
    };
    let snapshot = ledger.snapshot().await;
    let judging = session.judging(mode, new_inventory, planning, &snapshot);
    let readings = session.systems.providers(&session.wanted);
    let (readings, approved) = plan(&session, readings, ledger.as_ref(), &judging).await;
    let learned = session.show_learned(&approved, &readings, &snapshot, &judging.coverage);
    let verb = match mode {
        Mode::Apply => "apply",
        Mode::Sync => "sync",
    };
    let text = render::text::Options {
        dry_run: false,
        verbose: planning.verbose,
        commands: hint::commands(verb, planning),
    };
    show(&session, &outputs, &approved, &text)?;
    let asked = asks && approved.has_runs();
    let confirmed = if asked {
        let judged_by = (ledger.as_ref(), &judging);
        confirm(&session, &outputs, (readings, approved), judged_by, &text).await
    } else {
        Ok((readings, approved))
    };
    let (readings, approved) = match confirmed {
        Ok(confirmed) => confirmed,
        Err(stop) => {
            ledger::close(ledger).await?;
            return Err(stop);
        }
    };
    let progress = Progress::default();
    let total = approved.targets().iter().map(ApprovedTarget::run_count);
    let total = total.sum::<usize>() as u64;
    let execution = Execution {
        run_id,
        who: ledger::who(),
        started_at,
        ledger: ledger.as_ref(),
        systems: &session.systems,
        progress: &progress,
        fence: Fence::default(),
        still_wanted: &always_wanted,
        slice: None,
    };
    let work = run::execute(execution, &session.wanted, &readings, &judging, approved);
    let report = with_progress(work, &progress, total).await;
    let ended = Ended {
        closed: ledger::close(ledger).await,
        session,
        report,
        learned,
    };
    finish(ended, planning, outputs, &text).await
}

/// Shows the plan before anything is done about it.
fn show(
    session: &Session,
    outputs: &Outputs,
    approved: &ApprovedPlan,
    text: &render::text::Options,
) -> Result<(), Stop> {
    if let Some(embedded) = &session.embedded {
        output::note(&embedded.heading());
    }
    if outputs.is_text() {
        output::print(&render::text::plan(approved, text))?;
    }
    let starts = |target: &&ApprovedTarget| {
        target.may_record() && target.plan().records.contains(&Record::Start)
    };
    for target in approved.targets().iter().filter(starts) {
        if session.embedded.is_none() {
            output::line(&format!(
                "note: {} is new to the inventory {}, which keeps what is managed there from now on",
                target.plan().target,
                session.inventory_path.display()
            ));
        }
    }
    Ok(())
}

type Planned = (Vec<Reading<dyn Provider>>, ApprovedPlan);

/// Asks whether to go ahead, and looks again after the "yes": what was shown is what is done, or nothing is.
async fn confirm(
    session: &Session,
    outputs: &Outputs,
    (readings, approved): Planned,
    (ledger, judging): (&dyn Ledger, &Judging),
    text: &render::text::Options,
) -> Result<Planned, Stop> {
    // Nobody answers for a plan that went into a file.
    if !outputs.is_text() || !io::stdout().is_terminal() {
        output::note(&render::text::plan(&approved, text));
    }
    if !confirmed(&session.systems.interrupt).await? {
        return Err(Stop::failed("not confirmed; nothing was written"));
    }
    let again = plan(session, readings, ledger, judging).await;
    if again.1.digest() != approved.digest() {
        return Err(Stop::stale(
            "the live state moved since the plan was shown; nothing was written",
        )
        .help("run it again and look at the new plan"));
    }
    Ok(again)
}

/// Whether somebody can be asked; off a terminal nobody can, and manifests from standard input take its place.
fn can_ask(planning: &Planning) -> Result<(), Stop> {
    if planning.reach.inputs.paths.iter().any(|path| path == "-") {
        return Err(Stop::usage(
            "manifests come from standard input, so nobody can be asked there",
        )
        .help("look at `scopeward plan` first, then pass --yes"));
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(());
    }
    Err(Stop::usage("this is no terminal, so nobody can be asked")
        .help("look at `scopeward plan` first, then pass --yes"))
}

fn interrupt_on_signal(interrupt: Interrupt) {
    tokio::spawn(async move {
        signal::terminated().await;
        output::note("interrupted: finishing the calls in flight (once more ends at once)");
        interrupt.cancel();
        signal::terminated().await;
        std::process::exit(130);
    });
}

async fn plan(
    session: &Session,
    readings: Vec<Reading<dyn Provider>>,
    ledger: &dyn Ledger,
    judging: &Judging,
) -> Planned {
    let readings = run::read(&session.systems, readings).await;
    let snapshot = ledger.snapshot().await;
    let now = Timestamp::now();
    let approved = run::judge(&session.wanted, &readings, &snapshot, judging, now);
    (readings, approved)
}

/// Asks on the terminal, on a thread that may block. Ctrl-C is a no.
async fn confirmed(interrupt: &Interrupt) -> Result<bool, Stop> {
    let question = tokio::task::spawn_blocking(|| {
        let mut stderr = anstream::stderr();
        write!(stderr, "Go ahead? Only \"yes\" is a yes: ").and_then(|()| stderr.flush())?;
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = tokio::select! {
        answer = question => answer,
        () = interrupt.cancelled() => return Ok(false),
    };
    let answer = answer.map_err(|error| Stop::failed(error.to_string()))?;
    let answer = answer.map_err(|error| Stop::failed(format!("cannot ask: {error}")))?;
    Ok(answer.trim() == "yes")
}

/// Shows how far a run is until it is through.
async fn with_progress(
    work: impl Future<Output = Report>,
    progress: &Progress,
    total: u64,
) -> Report {
    let finished = AtomicBool::new(total == 0);
    let work = async {
        let report = work.await;
        finished.store(true, Ordering::Relaxed);
        report
    };
    let (report, ()) = tokio::join!(work, show_progress(progress, total, &finished));
    report
}

/// A bar on a terminal, one line elsewhere.
async fn show_progress(progress: &Progress, total: u64, finished: &AtomicBool) {
    if total == 0 {
        return;
    }
    if !io::stderr().is_terminal() {
        output::note(&format!("applying   {}", render::count(total, "change")));
        return;
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("applying   {wide_bar} {pos} of {len}  {elapsed}")
    {
        bar.set_style(style);
    }
    while !finished.load(Ordering::Relaxed) {
        bar.set_position(progress.finished());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bar.finish_and_clear();
    output::note(&format!(
        "applying   {} of {total}   {:.1} s",
        progress.finished(),
        bar.elapsed().as_secs_f64()
    ));
}

/// What a run that is through leaves to be said.
struct Ended {
    session: Session,
    report: Report,
    /// Whether the inventory could be closed.
    closed: Result<(), Stop>,
    /// What only the live state and the inventory told of the manifests.
    learned: Vec<Diagnostic>,
}

/// Says what was done, in every form that was asked for, and with which exit code.
async fn finish(
    ended: Ended,
    planning: &Planning,
    outputs: Outputs,
    text: &render::text::Options,
) -> Result<Exit, Stop> {
    let Ended {
        session,
        report,
        closed,
        learned,
    } = ended;
    let invalid = session.wanted.is_invalid();
    let mut all = session.loaded.diagnostics.clone();
    all.extend(learned);
    let result = report.result(invalid);
    let mut closing = render::text::report(&report, invalid, text);
    if matches!(result, RunResult::Applied | RunResult::Partial) {
        closing.push_str("Inventory: ");
        closing.push_str(&session.inventory_path.display().to_string());
        closing.push('\n');
    }
    if let Some(embedded) = &session.embedded {
        let paths = hint::arguments(&planning.reach.inputs.paths);
        let plan = hint::command("plan", &planning.reach);
        closing.push_str(&embedded.next_steps(&paths, &plan, result));
    }
    let is_text = outputs.is_text();
    let told = outputs
        .write(|format| match format {
            Format::Text => closing.clone(),
            Format::Json => output::json(&render::json::report(&report, &all, invalid)),
            Format::Markdown => render::markdown::report(&report, &all, invalid, &text.commands),
        })
        .await;
    if !is_text || told.is_err() {
        output::note(closing.trim_end());
    }
    let stopped = match session.embedded {
        Some(embedded) => embedded.stop().await,
        None => Ok(()),
    };
    let exit = match result {
        RunResult::NoChanges | RunResult::Applied => Exit::Done,
        RunResult::Partial => Exit::Partial,
        RunResult::Refused => Exit::Refused,
        RunResult::Failed => Exit::Failed,
        RunResult::Stale => Exit::Stale,
    };
    // What was done to the live systems weighs more than what could not be written down here.
    closed.and(told).and(stopped).map_err(|stop| Stop {
        exit: match result {
            RunResult::Applied => Exit::Partial,
            RunResult::NoChanges => Exit::Failed,
            _ => exit,
        },
        ..stop
    })?;
    Ok(exit)
}
