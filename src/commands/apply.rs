//! `apply` and `sync`: plan, ask, write, verify.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::ledger::{self, Opened};
use super::output::Outputs;
use super::session::Session;
use super::{Exit, Stop, hint, output, signal};
use crate::apply::{Progress, Report, RunResult, always_wanted};
use crate::cli::{self, Format, Planning};
use crate::diagnostic::Diagnostic;
use crate::inventory::remote::Claimed;
use crate::inventory::{Fence, Snapshot};
use crate::model::{LiveIdentity, Record};
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
    let opened = session.place.open(&run_id, args.waiting).await?;
    interrupt_on_signal(session.systems.interrupt.clone());
    ledger::rename_roots(&session.loaded, &opened).await?;
    let planner = Planner {
        session: &session,
        opened: &opened,
        mode,
        planning,
    };
    let verb = match mode {
        Mode::Apply => "apply",
        Mode::Sync => "sync",
    };
    let text = render::text::Options {
        dry_run: false,
        verbose: planning.verbose,
        commands: hint::commands(verb, planning),
    };
    let (planned, learned) = match agree(&planner, &outputs, asks, &text).await {
        Ok(agreed) => agreed,
        Err(stop) => return Err(given_up(opened, stop).await),
    };
    let Planned {
        readings,
        approved,
        judging,
        ..
    } = planned;
    let progress = Progress::default();
    let total = approved.targets().iter().map(ApprovedTarget::run_count);
    let total = total.sum::<usize>() as u64;
    let execution = Execution {
        run_id,
        who: ledger::who(),
        started_at,
        ledger: opened.ledger(),
        systems: &session.systems,
        progress: &progress,
        fence: Fence::default(),
        still_wanted: &always_wanted,
        slice: None,
    };
    let work = run::execute(execution, &session.wanted, &readings, &judging, approved);
    let report = with_progress(work, &progress, total).await;
    let ended = Ended {
        closed: opened.close().await,
        session,
        report,
        learned,
    };
    finish(ended, planning, outputs, &text).await
}

/// Plans, shows it, and asks where somebody is to be asked; gives the findings of the live state too.
async fn agree(
    planner: &Planner<'_>,
    outputs: &Outputs,
    asks: bool,
    text: &render::text::Options,
) -> Result<(Planned, Vec<Diagnostic>), Stop> {
    let session = planner.session;
    let readings = session.systems.providers(&session.wanted);
    let mut planned = planner.plan(readings).await;
    // Who is asked keeps nobody waiting meanwhile.
    if !(asks && planned.approved.has_runs()) {
        planned = planner.claimed(planned).await?;
    }
    let learned = planned.show_learned(session);
    show(session, outputs, &planned.approved, text)?;
    if asks && planned.approved.has_runs() {
        planned = confirm(planner, outputs, planned, text).await?;
    }
    Ok((planned, learned))
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
                session.place
            ));
        }
    }
    Ok(())
}

/// Gives the inventory back, since nothing comes of the run.
async fn given_up(opened: Opened, stop: Stop) -> Stop {
    opened.close().await.err().unwrap_or(stop)
}

/// A plan, and what it rests on.
struct Planned {
    readings: Vec<Reading<dyn Provider>>,
    approved: ApprovedPlan,
    judging: Judging,
    snapshot: Snapshot,
}

impl Planned {
    /// Shows what only the live state and the inventory told of the manifests, and gives the findings.
    fn show_learned(&self, session: &Session) -> Vec<Diagnostic> {
        let coverage = &self.judging.coverage;
        session.show_learned(&self.approved, &self.readings, &self.snapshot, coverage)
    }

    /// The live systems whose inventories it writes to.
    fn concerned(&self) -> Vec<&LiveIdentity> {
        let is_concerned = |target: &&ApprovedTarget| {
            target.run_count() > 0 || target.may_record() && !target.plan().records.is_empty()
        };
        let concerned = self.approved.targets().iter().filter(is_concerned);
        concerned
            .filter_map(|target| target.plan().identity.as_ref())
            .collect()
    }
}

/// What all plans of a run have in common.
struct Planner<'a> {
    session: &'a Session,
    opened: &'a Opened,
    mode: Mode,
    planning: &'a Planning,
}

impl Planner<'_> {
    /// Looks, and plans with what the inventory says now.
    async fn plan(&self, readings: Vec<Reading<dyn Provider>>) -> Planned {
        let session = self.session;
        let new_inventory = if self.planning.new_inventory {
            NewInventory::Allow
        } else {
            NewInventory::Refuse
        };
        let snapshot = self.opened.ledger().snapshot().await;
        let judging = session.judging(self.mode, new_inventory, self.planning, &snapshot);
        let readings = run::read(&session.systems, readings).await;
        let now = Timestamp::now();
        let approved = run::judge(&session.wanted, &readings, &snapshot, &judging, now);
        Planned {
            readings,
            approved,
            judging,
            snapshot,
        }
    }

    /// Makes the inventories of a plan this run's alone, and plans again as long as others wrote to them meanwhile.
    async fn claimed(&self, mut planned: Planned) -> Result<Planned, Stop> {
        loop {
            let claim = self.opened.claim(planned.concerned());
            let claimed = tokio::select! {
                // What needs no waiting is not cut short.
                biased;
                claimed = claim => claimed?,
                () = self.session.systems.interrupt.cancelled() => {
                    return Err(Stop::failed("interrupted; nothing was written"));
                }
            };
            if claimed == Claimed::AsLoaded {
                return Ok(planned);
            }
            planned = self.plan(planned.readings).await;
        }
    }
}

/// Asks whether to go ahead, and looks again after the "yes": what was shown is what is done, or nothing is.
async fn confirm(
    planner: &Planner<'_>,
    outputs: &Outputs,
    planned: Planned,
    text: &render::text::Options,
) -> Result<Planned, Stop> {
    let digest = planned.approved.digest().clone();
    // Nobody answers for a plan that went into a file.
    if !outputs.is_text() || !io::stdout().is_terminal() {
        output::note(&render::text::plan(&planned.approved, text));
    }
    if !confirmed(&planner.session.systems.interrupt).await? {
        return Err(Stop::failed("not confirmed; nothing was written"));
    }
    let claimed = planner.claimed(planned).await?;
    let again = planner.plan(claimed.readings).await;
    if *again.approved.digest() != digest {
        return Err(Stop::stale(
            "the live state or the inventory moved since the plan was shown; nothing was written",
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
        closing.push_str(&session.place.to_string());
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
