//! Plans, reports and findings as people and programs read them. Pure: data in, text out.
//!
//! Text carries ANSI styles; whoever prints it strips them where they are not wanted. Colour adds, and never carries
//! meaning alone.

pub mod finding;
pub mod json;
pub mod markdown;
mod style;
pub mod text;

use crate::apply::{Outcome, Report, TargetReport};
use crate::plan::guard::ApprovedPlan;
pub(crate) use crate::plan::words::count;
use crate::plan::{Plan, Summary, TargetPlan};

/// The word for a whole run, as the report's JSON has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunResult {
    /// Nothing was to be done.
    NoChanges,
    /// Everything was done.
    Applied,
    /// Something was written and something is left.
    Partial,
    /// A safety rule stopped it, and nothing was written.
    Refused,
    /// It failed, and nothing was written.
    Failed,
    /// What it rested on moved, and nothing was written.
    Stale,
}

impl RunResult {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoChanges => "noChanges",
            Self::Applied => "applied",
            Self::Partial => "partial",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Stale => "stale",
        }
    }
}

/// How a target's name is shown: without its namespace where all targets share one.
pub(crate) fn target_label(plan: &Plan, target: &TargetPlan) -> String {
    let shared = plan
        .targets
        .iter()
        .all(|other| other.target.namespace == target.target.namespace);
    if shared {
        target.target.name.clone()
    } else {
        target.target.to_string()
    }
}
/// `1 create, 2 updates`, or `no changes`.
pub(crate) fn summary_words(summary: &Summary) -> String {
    let Summary {
        create,
        update,
        rename,
        attach,
        replace,
        detach,
        delete,
    } = *summary;
    let parts = [
        (create, "create"),
        (update, "update"),
        (rename, "rename"),
        (attach, "attach"),
        (replace, "replace"),
        (detach, "detach"),
        (delete, "delete"),
    ];
    let named = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| match (*n, *word) {
            (1, word) => format!("1 {word}"),
            (n, word @ ("attach" | "detach")) => format!("{n} {word}es"),
            (n, word) => format!("{n} {word}s"),
        });
    let words: Vec<String> = named.collect();
    if words.is_empty() {
        "no changes".to_owned()
    } else {
        words.join(", ")
    }
}

/// What became of a run as a whole. `invalid` says that a document was left out or a finding stands.
pub fn run_result(report: &Report, invalid: bool) -> RunResult {
    let outcomes = || report.targets.iter().flat_map(|target| &target.outcomes);
    let written = report.targets.iter().any(|target| target.writes > 0)
        && outcomes().any(|outcome| matches!(outcome, Outcome::Done { .. } | Outcome::Unknown(_)));
    let stale =
        outcomes().any(|outcome| *outcome == Outcome::Skipped(crate::plan::SkipReason::Stale));
    let refused = !report.approved.is_clean();
    let failed = invalid
        || report.interrupted
        || outcomes().any(|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unknown(_)))
        || report
            .targets
            .iter()
            .any(|target| target.error.is_some() || target.converged == Some(false))
        || has_errors(&report.approved);
    match (written, stale, refused, failed) {
        (true, false, false, false) => RunResult::Applied,
        (true, ..) => RunResult::Partial,
        (false, true, ..) => RunResult::Stale,
        (false, false, true, _) => RunResult::Refused,
        (false, false, false, true) => RunResult::Failed,
        (false, false, false, false) => RunResult::NoChanges,
    }
}

/// Whether a target could not be read, or the live state shows an error of the manifests.
pub fn has_errors(approved: &ApprovedPlan) -> bool {
    approved.plan().targets.iter().any(|target| {
        target.error.is_some()
            || target
                .diagnostics
                .iter()
                .any(|finding| finding.severity == crate::diagnostic::Severity::Error)
    })
}

/// How many changes of a target were made.
pub(crate) fn done_summary(plan: &TargetPlan, report: &TargetReport) -> Summary {
    let mut summary = Summary::default();
    for (planned, outcome) in plan.changes.iter().zip(&report.outcomes) {
        if matches!(outcome, Outcome::Done { .. }) {
            summary.count(&planned.change);
        }
    }
    summary
}
