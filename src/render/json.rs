//! Plans and reports for programs: versioned, stable, and without any secret.

mod schema;

pub use schema::schemas;

use serde_json::{Value, json};

use super::{Commands, text};
use crate::apply::{Outcome, Report, Shortfall, TargetReport, outcome_words};
use crate::diagnostic::Diagnostic;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Failure, PlannedChange, Refusal, SkipReason, Skipped};

/// The version of both formats: a field is added freely, renamed or removed only with a new one.
pub const FORMAT_VERSION: &str = "1.0";

/// A plan.
pub fn plan(approved: &ApprovedPlan, diagnostics: &[Diagnostic]) -> Value {
    let targets = approved.targets().iter();
    let targets: Vec<Value> = targets
        .map(|target| target_plan(target, None, false))
        .collect();
    json!({
        "formatVersion": FORMAT_VERSION,
        "digest": approved.digest(),
        "mode": approved.mode(),
        "source": { "paths": approved.paths() },
        "targets": targets,
        "diagnostics": diagnostics,
        "summary": approved.summary(),
    })
}

/// A report: the plan's shape, with an outcome for each change.
pub fn report(report: &Report, diagnostics: &[Diagnostic], invalid: bool) -> Value {
    let mut value = plan(&report.approved, diagnostics);
    let targets: Vec<Value> = report
        .results()
        .map(|(target, result)| target_plan(target, Some(result), invalid))
        .collect();
    value["targets"] = Value::Array(targets);
    value["result"] = report.result(invalid).word().into();
    value["runId"] = report.run_id.clone().into();
    value["startedAt"] = report.started_at.to_string().into();
    value["finishedAt"] = report.finished_at.to_string().into();
    value
}

fn target_plan(verdict: &ApprovedTarget, result: Option<&TargetReport>, invalid: bool) -> Value {
    let target = verdict.plan();
    let outcome = |index: usize| result.and_then(|result| result.outcomes.get(index));
    let changes: Vec<Value> = target
        .changes
        .iter()
        .enumerate()
        .map(|(index, planned)| {
            let withheld = verdict.why_withheld(index);
            change(planned, withheld, outcome(index))
        })
        .collect();
    let mut value = json!({
        "target": target.target,
        "system": target.system,
        "liveIdentity": target.identity,
        "digest": verdict.digest(),
        "complete": target.error.is_none() && !target.suspended,
        "suspended": target.suspended,
        "error": target.error.as_ref().map(failure),
        "requests": result.map_or(target.requests, |result| result.requests),
        "population": target.population,
        "unchanged": target.unchanged,
        "changes": changes,
        "skipped": target.skipped.iter().map(skipped).collect::<Vec<_>>(),
        "access": target.access,
        "refusals": verdict.refusals().iter().map(refusal).collect::<Vec<_>>(),
        "summary": target.summary(),
    });
    if let Some(result) = result {
        value["writes"] = result.writes.into();
        let is_as_declared = !invalid && result.shortfall(verdict) == Shortfall::None;
        value["converged"] = result.converged.map(|_| is_as_declared).into();
        if let Some(error) = &result.error {
            value["error"] = failure(error);
        }
        let remaining = result
            .remaining
            .iter()
            .flat_map(|plan| &plan.changes)
            .map(|planned| change(planned, None, None));
        value["remaining"] = remaining.collect();
        if let Some(remaining) = &result.remaining {
            value["remainingDigest"] = json!(remaining.digest());
        }
    }
    value
}

fn change(
    planned: &PlannedChange,
    withheld: Option<SkipReason>,
    outcome: Option<&Outcome>,
) -> Value {
    let mut value = json!({
        "action": planned.change.action(),
        "object": planned.object,
        "manifest": planned.manifest,
        "reason": planned.reason,
        "remark": planned.remark,
        "withheld": withheld,
        "fields": planned.change.fields(),
        "precondition": { "before": planned.precondition() },
    });
    let Some(outcome) = outcome else { return value };
    let (word, _) = outcome_words(outcome);
    value["outcome"] = word.into();
    match outcome {
        Outcome::Done { remote_id } => {
            value["remoteId"] = json!(remote_id.as_ref().or(planned.object.remote_id.as_ref()));
        }
        Outcome::Failed(error) | Outcome::Unknown(error) => value["error"] = failure(error),
        Outcome::Skipped(reason) => {
            value["error"] = json!({ "reason": reason, "message": text::skip_words(*reason) });
        }
    }
    value
}

fn failure(failure: &Failure) -> Value {
    json!({
        "reason": failure.reason,
        "status": failure.status,
        "message": failure.message,
        "help": failure.help,
    })
}

fn skipped(skip: &Skipped) -> Value {
    let mut value = json!({ "object": skip.object, "reason": skip.reason });
    if !skip.entries.is_empty() {
        value["entries"] = json!(skip.entries);
    }
    value
}

fn refusal(refusal: &Refusal) -> Value {
    // The same whatever the command was.
    let commands = Commands {
        run: String::new(),
        adopt: "adopt".to_owned(),
        inventory: String::new(),
    };
    let mut value = json!({
        "rule": refusal.rule,
        "message": refusal.message,
        "wayThrough": commands.way_through(refusal),
        "liftable": refusal.rule.is_liftable(),
    });
    if let Some(object) = &refusal.object {
        value["object"] = json!(object);
    }
    if let Some(limit) = refusal.limit {
        value["limit"] = limit.into();
    }
    if let Some(actual) = refusal.actual {
        value["actual"] = actual.into();
    }
    value
}
