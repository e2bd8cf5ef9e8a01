//! `apply` and `sync`: plan, ask, write, verify.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::output::Outputs;
use super::session::{self, Reading, Session, Writer};
use super::{Exit, Stop, output, signal};
use crate::apply::{self, Progress, Report, Run, Work, run_target};
use crate::cli::{self, Format, Planning};
use crate::inventory::{FileLedger, Ledger, Snapshot};
use crate::model::{Live, Owned};
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Mode, NewInventory, PlanOptions, plan_target};
use crate::provider::{Interrupt, Observe};
use crate::render::{self, RunResult};

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
    let inventory = open_inventory(&session, &run_id).await?;
    interrupt_on_signal(session.interrupt.clone());

    let writers = session.writers();
    let options = options(&session, mode, planning, &inventory.snapshot().await);
    let (mut readings, mut approved) =
        plan(&session, &writers, inventory.as_ref(), &options, planning).await;
    let snapshot = inventory.snapshot().await;
    let live = session::live_findings(&approved, &session);
    session::findings(&live);
    session.orphaned_identities(&readings, &snapshot, &options.coverage);

    let verb = match mode {
        Mode::Apply => "apply",
        Mode::Sync => "sync",
    };
    let text = render::text::Options {
        dry_run: false,
        verbose: planning.verbose,
        commands: session::commands(verb, planning),
    };
    if let Some(embedded) = &session.embedded {
        output::note(&embedded.heading());
    }
    if outputs.is_text() {
        output::print(&render::text::plan(&approved, &text))?;
    }
    if asks && approved.has_runs() {
        // Nobody answers for a plan that went into a file.
        if !outputs.is_text() || !io::stdout().is_terminal() {
            output::note(&render::text::plan(&approved, &text));
        }
        if !confirmed(&session.interrupt).await? {
            close(inventory).await?;
            return Err(Stop::failed("not confirmed; nothing was written"));
        }
        let again = plan(&session, &writers, inventory.as_ref(), &options, planning).await;
        if again.1.digest() != approved.digest() {
            close(inventory).await?;
            return Err(Stop::stale(
                "the live state moved since the plan was shown; nothing was written",
            )
            .help("run it again and look at the new plan"));
        }
        (readings, approved) = again;
    }

    let report = execute(
        &session,
        &writers,
        &readings,
        inventory.as_ref(),
        approved,
        &options,
        run_id,
        started_at,
    )
    .await;
    let closed = close(inventory).await;
    finish(session, &report, closed, live, planning, outputs, &text).await
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

fn options(session: &Session, mode: Mode, planning: &Planning, snapshot: &Snapshot) -> PlanOptions {
    let allowed = planning.new_inventory || mode == Mode::Apply;
    session.plan_options(
        mode,
        if allowed {
            NewInventory::Allow
        } else {
            NewInventory::Refuse
        },
        snapshot,
    )
}

/// Opens the inventory for writing, on a thread that may block.
pub(super) async fn open_inventory(
    session: &Session,
    run_id: &str,
) -> Result<Box<dyn Ledger>, Stop> {
    let path = session.inventory_path.clone();
    let holder = format!(
        "{}, process {}, since {}, run {run_id}",
        who(),
        std::process::id(),
        Timestamp::now()
    );
    let opened = tokio::task::spawn_blocking(move || FileLedger::open(&path, &holder)).await;
    let opened = opened
        .map_err(|error| Stop::failed(error.to_string()))?
        .map_err(|error| session::inventory_stop(&error))?;
    Ok(Box::new(opened))
}

/// Closes the inventory.
pub(super) async fn close(ledger: Box<dyn Ledger>) -> Result<(), Stop> {
    let closed = ledger.close().await;
    closed.map_err(|error| session::inventory_stop(&error))
}

/// Who runs this, for the lock and the audit log.
fn who() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("GITHUB_ACTOR")
        .or_else(|| variable("GITLAB_USER_LOGIN"))
        .or_else(|| variable("USER"));
    let host = variable("HOSTNAME")
        .map(|host| format!("@{host}"))
        .unwrap_or_default();
    format!("{}{host}", user.unwrap_or_else(|| "unknown".to_owned()))
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
    writers: &[Writer],
    ledger: &dyn Ledger,
    options: &PlanOptions,
    planning: &Planning,
) -> (Vec<Reading>, ApprovedPlan) {
    let observers = writers.iter().map(|writer| match writer {
        Ok(provider) => {
            let observer: &dyn Observe = provider.as_ref();
            Ok(observer)
        }
        Err(error) => Err(error),
    });
    let readings = session.read(observers).await;
    let snapshot = ledger.snapshot().await;
    let approved = session::judged(session, &readings, &snapshot, options, planning);
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

#[expect(
    clippy::too_many_arguments,
    reason = "one call, and each is a different thing"
)]
async fn execute(
    session: &Session,
    writers: &[Writer],
    readings: &[Reading],
    ledger: &dyn Ledger,
    approved: ApprovedPlan,
    options: &PlanOptions,
    run_id: String,
    started_at: Timestamp,
) -> Report {
    let progress = Progress::default();
    let total: usize = approved
        .targets()
        .iter()
        .map(ApprovedTarget::run_count)
        .sum();
    let who = who();
    let run = Run {
        run_id: &run_id,
        who: &who,
        ledger,
        interrupt: &session.interrupt,
        progress: &progress,
    };
    let each = approved.targets().iter().zip(writers).zip(readings).map(
        async |((target, writer), reading)| {
            let Ok(provider) = writer else {
                return nothing_run(target.plan());
            };
            let desired = &reading.desired;
            let after = PlanOptions {
                new_inventory: NewInventory::Allow,
                ..reading.options(options)
            };
            let replan = |live: &Live, owned: &Owned| {
                plan_target(
                    desired,
                    &session.placed(live.clone()),
                    owned,
                    &PlanOptions {
                        now: Timestamp::now(),
                        ..after.clone()
                    },
                )
            };
            let work = Work {
                provider: provider.as_ref(),
                max_in_flight: desired.target.limits.max_in_flight,
                interest: session::interest(desired),
                replan: &replan,
            };
            run_target(&run, target, &work).await
        },
    );
    let finished = AtomicBool::new(total == 0);
    let work = async {
        let targets = join_all(each).await;
        finished.store(true, Ordering::Relaxed);
        targets
    };
    let (targets, ()) = tokio::join!(work, show_progress(&progress, total as u64, &finished));
    let interrupted = session.interrupt.is_cancelled();
    Report {
        run_id,
        started_at,
        finished_at: Timestamp::now(),
        approved,
        targets,
        interrupted,
    }
}

/// A target that could not be opened: everything about it is left.
fn nothing_run(plan: &crate::plan::TargetPlan) -> apply::TargetReport {
    apply::TargetReport {
        target: plan.target.clone(),
        outcomes: Vec::new(),
        requests: 0,
        writes: 0,
        converged: None,
        remaining: None,
        error: plan.error.clone(),
    }
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

async fn finish(
    session: Session,
    report: &Report,
    closed: Result<(), Stop>,
    live: Vec<crate::diagnostic::Diagnostic>,
    planning: &Planning,
    outputs: Outputs,
    text: &render::text::Options,
) -> Result<Exit, Stop> {
    let invalid = session.invalid();
    let mut all = session.loaded.diagnostics.clone();
    all.extend(live);
    let result = render::run_result(report, invalid);
    let mut closing = render::text::report(report, invalid, text);
    if matches!(result, RunResult::Applied | RunResult::Partial) {
        closing.push_str("Inventory: ");
        closing.push_str(&session.inventory_path.display().to_string());
        closing.push('\n');
    }
    if let Some(embedded) = &session.embedded {
        let paths = session::words(&planning.reach.inputs.paths);
        let plan = session::command("plan", &planning.reach);
        closing.push_str(&embedded.next_steps(&paths, &plan, result));
    }
    let is_text = outputs.is_text();
    let told = outputs
        .write(|format| match format {
            Format::Text => closing.clone(),
            Format::Json => output::json(&render::json::report(report, &all, invalid)),
            Format::Markdown => render::markdown::report(report, &all, invalid, &text.commands),
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
