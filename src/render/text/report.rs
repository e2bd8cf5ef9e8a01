//! What became of a run: its failures, what is left, and a last line.

use std::fmt::Write as _;

use super::{Options, go_ahead, sign, skip_words};
use crate::apply::{Outcome, Report, RunResult, Shortfall, TargetReport};
use crate::plan::guard::ApprovedTarget;
use crate::plan::{Failure, SkipReason};
use crate::render::style::{CHANGE, HEAD, REMOVE, paint};
use crate::render::{count, done_summary, summary_words, target_label, visible};

/// What became of a run: failures, what is left, and a last line that says what happened.
pub fn report(report: &Report, invalid: bool, options: &Options) -> String {
    let mut out = String::new();
    for (verdict, result) in report.approved.targets().iter().zip(&report.targets) {
        let target = verdict.plan();
        let label = target_label(&report.approved, target);
        if let Some(error) = &result.error {
            failure(&mut out, &label, "", error);
        }
        for (index, (planned, outcome)) in target.changes.iter().zip(&result.outcomes).enumerate() {
            let label_of = visible(&planned.object.label);
            let what = format!("{} {label_of}", planned.change.action());
            match outcome {
                Outcome::Failed(error) => failure(&mut out, &label, &what, error),
                Outcome::Unknown(error) => {
                    failure(&mut out, &label, &what, error);
                    let _ = writeln!(out, "  it may have taken effect; the next run looks");
                }
                Outcome::Skipped(reason)
                    if verdict.why_withheld(index) != Some(SkipReason::Refused) =>
                {
                    let _ = writeln!(
                        out,
                        "{}: {label}: {what}: {}",
                        paint(CHANGE, "not done"),
                        skip_words(*reason)
                    );
                }
                Outcome::Skipped(_) | Outcome::Done { .. } => {}
            }
        }
        left(&mut out, &label, result, options);
    }
    closing(&mut out, report, invalid);
    out
}

fn failure(out: &mut String, label: &str, what: &str, error: &Failure) {
    let what = if what.is_empty() {
        String::new()
    } else {
        format!(" {what}:")
    };
    let _ = writeln!(
        out,
        "{}: {label}:{what} {}",
        paint(REMOVE, "error"),
        visible(&error.message)
    );
    if let Some(help) = &error.help {
        let _ = writeln!(out, "  help: {}", visible(help));
    }
}

fn left(out: &mut String, label: &str, result: &TargetReport, options: &Options) {
    let remaining = result.remaining.as_ref();
    let Some(remaining) = remaining.filter(|remaining| !remaining.changes.is_empty()) else {
        return;
    };
    let verb = match result.converged {
        Some(false) => "did not converge, a further run would",
        _ => "left",
    };
    let digest = remaining.digest();
    let summary = summary_words(&remaining.summary());
    let _ = writeln!(out, "{label}: {verb}: {summary}   digest {digest}");
    for planned in remaining.changes.iter().take(20) {
        let (sign, _) = sign(&planned.change);
        let action = planned.change.action();
        let object = visible(&planned.object.label);
        let _ = writeln!(out, "  {sign} {action:<8} {object}");
    }
    if remaining
        .all_refusals()
        .any(|refusal| refusal.rule.is_liftable())
    {
        go_ahead(out, "To go ahead with it once", options, &digest);
    }
}

fn closing(out: &mut String, report: &Report, invalid: bool) {
    let is_verified = |approved: &ApprovedTarget, target: &TargetReport| {
        target.converged == Some(true) && target.shortfall(approved) == Shortfall::None
    };
    let verified = report
        .results()
        .filter(|(approved, target)| !invalid && is_verified(approved, target))
        .count();
    if verified > 0 {
        let _ = writeln!(
            out,
            "verified   {} what the manifests say",
            match verified {
                1 => "1 target holds".to_owned(),
                n => format!("{n} targets hold"),
            }
        );
    }
    let _ = writeln!(out, "{}", paint(HEAD, last_line(report, invalid)));
}

/// What happened, in one line.
pub(crate) fn last_line(report: &Report, invalid: bool) -> String {
    let planned = report.approved.targets();
    let mut done = crate::plan::Summary::default();
    for (target, result) in planned.iter().zip(&report.targets) {
        let of = done_summary(target.plan(), result);
        done.create += of.create;
        done.update += of.update;
        done.rename += of.rename;
        done.attach += of.attach;
        done.replace += of.replace;
        done.detach += of.detach;
        done.delete += of.delete;
    }
    let refused: usize = planned.iter().map(|target| target.refusals().len()).sum();
    let refusals = if refused > 0 {
        format!("; {} (see above)", count(refused as u64, "refusal"))
    } else {
        String::new()
    };
    let as_declared = report.as_declared(invalid);
    let of_targets = format!("{as_declared} of {} targets as declared", planned.len());
    let but = if as_declared < planned.len() {
        format!("; {of_targets}")
    } else {
        String::new()
    };
    let manifests = if invalid {
        "; the manifests have errors (see above)"
    } else {
        ""
    };
    let interrupted = if report.interrupted {
        "Interrupted. "
    } else {
        ""
    };
    match report.result(invalid) {
        RunResult::NoChanges => format!(
            "No changes: {}{but}.",
            count(planned.len() as u64, "target")
        ),
        RunResult::Applied => format!("Done: {}{but}.", done_words(&done)),
        RunResult::Partial => format!(
            "{interrupted}Done in part: {}{refusals}{manifests}; {of_targets}.",
            done_words(&done)
        ),
        RunResult::Refused => format!(
            "Refused{}: nothing was written{refusals}.",
            if invalid { " in part" } else { "" }
        ),
        RunResult::Failed => {
            format!("{interrupted}Failed: nothing was written{manifests}; {of_targets}.")
        }
        RunResult::Stale => {
            "Stale: what the plan rests on moved; nothing was written. Run it again.".to_owned()
        }
    }
}

fn done_words(done: &crate::plan::Summary) -> String {
    let words = [
        (done.create, "created"),
        (done.update, "updated"),
        (done.rename, "renamed"),
        (done.attach, "attached"),
        (done.replace, "replaced"),
        (done.detach, "detached"),
        (done.delete, "deleted"),
    ];
    let named: Vec<String> = words
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if named.is_empty() {
        "nothing".to_owned()
    } else {
        named.join(", ")
    }
}
