//! Plans for a terminal, 100 columns wide; reports in `report`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anstyle::Style;

use super::style::{ADD, CHANGE, DIM, HEAD, REMOVE, paint};
use super::{Commands, count, eventful, summary_words, target_label, visible};
use crate::plan::access::Grant;
use crate::plan::change::{Change, FieldChange, FieldValue};
use crate::plan::digest::Digest;
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{PlannedChange, Refusal, SkipReason, Skipped, TargetPlan};

mod report;

pub(crate) use report::last_line;
pub use report::report;

/// The width that lines aim at.
const WIDTH: usize = 100;
/// Where a change's object starts.
const OBJECT: usize = 13;

/// What the text depends on beside the data.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Nothing is written after the plan is shown.
    pub dry_run: bool,
    /// Unmanaged objects and other uneventful skips are listed too.
    pub verbose: bool,
    /// What hints repeat.
    pub commands: Commands,
}

/// A plan as a reviewer reads it.
pub fn plan(approved: &ApprovedPlan, options: &Options) -> String {
    let mut out = String::new();
    for verdict in approved.targets() {
        target_plan(&mut out, approved, verdict, options);
    }
    access(&mut out, approved, options.verbose);
    refusals(&mut out, approved, options);
    footer(&mut out, approved);
    out
}

fn target_plan(
    out: &mut String,
    approved: &ApprovedPlan,
    verdict: &ApprovedTarget,
    options: &Options,
) {
    let target = verdict.plan();
    let label = target_label(approved, target);
    let head = if target.title.is_empty() {
        label
    } else {
        format!("{label}  {}", visible(&target.title))
    };
    let tail = if target.suspended {
        "suspended".to_owned()
    } else {
        format!(
            "{}, {} unchanged",
            count(target.requests, "call"),
            target.unchanged
        )
    };
    let line = columns(&head, &tail);
    let _ = writeln!(
        out,
        "{}{}",
        paint(HEAD, &line[..head.len()]),
        paint(DIM, &line[head.len()..])
    );
    if let Some(error) = &target.error {
        let message = visible(&error.message);
        let _ = writeln!(out, "  {} {message}", paint(REMOVE, "! not read"));
        if let Some(help) = &error.help {
            let _ = writeln!(out, "               help: {}", visible(help));
        }
        let _ = writeln!(out, "               nothing is planned or written here");
    }
    for (index, planned) in target.changes.iter().enumerate() {
        change(out, planned, verdict.why_withheld(index));
    }
    skips(out, &target.skipped, options.verbose);
    out.push('\n');
}

/// Left and right text with spaces between, to the full width where it fits.
fn columns(left: &str, right: &str) -> String {
    let used = left.chars().count() + right.chars().count();
    format!(
        "{left}{}{right}",
        " ".repeat(WIDTH.saturating_sub(used).max(2))
    )
}

fn change(out: &mut String, planned: &PlannedChange, withheld: Option<SkipReason>) {
    let (sign, style) = sign(&planned.change);
    let action = planned.change.action();
    let object = match &planned.change {
        Change::RenameScope { before, after, .. } => format!(
            "{} -> {}",
            visible(before.name.as_str()),
            visible(after.name.as_str())
        ),
        _ => visible(&planned.object.label).into_owned(),
    };
    let place = planned.manifest.as_ref().map(|source| {
        let file = visible(file_name(source.file.as_str()));
        format!("{file}:{}", source.line)
    });
    let remark = planned.remark.as_deref().unwrap_or_default();
    let mut remark = visible(remark).into_owned();
    if withheld.is_some() {
        remark = if remark.is_empty() {
            "refused, see below".to_owned()
        } else {
            format!("{remark}; refused, see below")
        };
    }
    let left = if remark.is_empty() {
        format!("{sign} {action:<8} {object}")
    } else {
        format!("{sign} {action:<8} {object:<30}  {remark}")
    };
    let line = match place {
        Some(place) => columns(&format!("  {left}"), &place),
        None => format!("  {left}"),
    };
    let painted = line.replacen(
        &format!("{sign} {action}"),
        &paint(style, format!("{sign} {action}")),
        1,
    );
    let _ = writeln!(out, "{painted}");
    if !matches!(
        planned.change,
        Change::CreateScope { .. } | Change::RenameScope { .. }
    ) {
        planned
            .change
            .fields()
            .iter()
            .for_each(|field| field_change(out, field));
    } else if let Change::RenameScope { .. } = planned.change {
        planned
            .change
            .fields()
            .iter()
            .filter(|field| field.path != "name")
            .for_each(|field| field_change(out, field));
    }
}

fn sign(change: &Change) -> (&'static str, Style) {
    match change {
        Change::CreateScope { .. } | Change::AttachApp { .. } => ("+", ADD),
        Change::UpdateScope { .. }
        | Change::RenameScope { .. }
        | Change::ReplaceAppScopes { .. } => ("~", CHANGE),
        Change::DeleteScope { .. } | Change::DetachApp { .. } => ("-", REMOVE),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn field_change(out: &mut String, field: &FieldChange) {
    let indent = " ".repeat(OBJECT + 2);
    match (&field.before, &field.after) {
        (FieldValue::Set(before), FieldValue::Set(after)) => {
            let mut words: Vec<String> = after
                .difference(before)
                .map(|e| paint(ADD, format!("+ {}", visible(e))))
                .collect();
            words.extend(
                before
                    .difference(after)
                    .map(|e| paint(REMOVE, format!("- {}", visible(e)))),
            );
            words.extend(
                before
                    .intersection(after)
                    .map(|e| format!("= {}", visible(e))),
            );
            let mut line = format!("{indent}{:<12}", field.path);
            let mut width = line.len();
            for word in &words {
                let length = anstream::adapter::strip_str(word)
                    .to_string()
                    .chars()
                    .count()
                    + 3;
                if width + length > WIDTH && width > indent.len() + 12 {
                    let _ = writeln!(out, "{}", line.trim_end());
                    line = format!("{indent}{:<12}", "");
                    width = line.len();
                }
                let _ = write!(line, " {word}  ");
                width += length;
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        (FieldValue::Text(before), FieldValue::Text(after)) => {
            let (before, after) = (
                before.as_deref().unwrap_or_default(),
                after.as_deref().unwrap_or_default(),
            );
            if before.len() + after.len() <= 70 && !before.contains('\n') && !after.contains('\n') {
                let values = format!("{before:?} -> {after:?}");
                let _ = writeln!(out, "{indent}{:<12} {}", field.path, visible(&values));
                return;
            }
            let _ = writeln!(out, "{indent}{}", field.path);
            let diff = similar::TextDiff::from_lines(before, after);
            for line in diff.iter_all_changes() {
                let text = visible(line.value().trim_end_matches('\n'));
                let painted = match line.tag() {
                    similar::ChangeTag::Insert => paint(ADD, format!("+ {text}")),
                    similar::ChangeTag::Delete => paint(REMOVE, format!("- {text}")),
                    similar::ChangeTag::Equal => format!("  {text}"),
                };
                let _ = writeln!(out, "{indent}  {painted}");
            }
        }
        // A field is a text or a set on both sides.
        _ => {}
    }
}

/// Skips that somebody should know of; the uneventful ones as a count, or listed where that is asked for.
fn skips(out: &mut String, skipped: &[Skipped], verbose: bool) {
    let (listed, counted) = eventful(skipped, verbose);
    for skip in listed {
        let entries = if skip.entries.is_empty() {
            String::new()
        } else {
            format!(": {}", visible(&skip.entries.join(", ")))
        };
        let line = format!(
            "  · kept     {:<30}  {}{entries}",
            visible(&skip.object.label),
            skip_words(skip.reason)
        );
        let _ = writeln!(out, "{}", paint(DIM, line));
    }
    for (reason, n) in counted {
        let line = format!("  · {}: {}", skip_words(reason), count(n as u64, "object"));
        let _ = writeln!(out, "{}", paint(DIM, line));
    }
}

/// Why something is left alone, in words.
pub(crate) fn skip_words(reason: SkipReason) -> &'static str {
    match reason {
        SkipReason::Unmanaged => "unmanaged, never touched",
        SkipReason::Matched => {
            "no manifest declares it; found, not made by us, so it stays (`adopt` it to delete it)"
        }
        SkipReason::NoDelete => "not removed in this mode",
        SkipReason::Policy => "the target's policy does not allow it",
        SkipReason::OtherSource => "from a file that this run does not read",
        SkipReason::Moved => {
            "declared, as far as can be told, in a file that this run does not read"
        }
        SkipReason::IncompleteManifests => "not removed, since a document is invalid",
        SkipReason::IncompleteContributors => {
            "not removed, since a resource that it comes from is invalid"
        }
        SkipReason::NotAllowed => {
            "not removed, since a resource that it comes from is not permitted"
        }
        SkipReason::DeletionDelayed => "not removed yet, since its resource changed only lately",
        SkipReason::ObserveIncomplete => "not removed, since the cluster was not seen as a whole",
        SkipReason::NamespaceTerminating => {
            "not removed, since the namespace of its Target is being deleted"
        }
        SkipReason::Selection => "not removed, since the run is narrowed",
        SkipReason::UnknownRepository => {
            "not removed, since the repository has no name that other machines know"
        }
        SkipReason::UnreadTarget => {
            "not removed, since another Target may be this place and was not read"
        }
        SkipReason::Orphaned => "deletionPolicy: Orphan; it stays, and is no longer managed",
        SkipReason::Held => "on hold (scopeward.dev/hold-until)",
        SkipReason::Drift => "changed behind our back; `drift: Report`",
        SkipReason::Duplicate => "the system lists it more than once",
        SkipReason::Inherited => "inherited from a parent configuration",
        SkipReason::RenameBlocked => "waits for a rename that did not happen",
        SkipReason::DependencyFailed => "what it needs was not done",
        SkipReason::Stale => "it moved since it was planned",
        SkipReason::Interrupted => "interrupted before it was sent",
        SkipReason::NextSlice => "left to the next run, which follows at once",
        SkipReason::Refused => "a safety rule stops it",
    }
}

fn access(out: &mut String, approved: &ApprovedPlan, all: bool) {
    const SHOWN: usize = 20;
    let shown = if all { usize::MAX } else { SHOWN };
    let mut lines = Vec::new();
    let grants = |side: fn(&TargetPlan) -> &BTreeSet<Grant>| -> Vec<(String, String)> {
        let of = |target: &TargetPlan| {
            let label = target_label(approved, target);
            let grants = side(target).iter();
            grants
                .map(|grant| {
                    let scope = format!("{} on {label}", visible(&grant.scope));
                    (visible(&grant.subject).into_owned(), scope)
                })
                .collect::<Vec<_>>()
        };
        let targets = approved.targets().iter();
        targets.map(ApprovedTarget::plan).flat_map(of).collect()
    };
    for (word, style, grants) in [
        ("gains", ADD, grants(|t| &t.access.gains)),
        ("loses", REMOVE, grants(|t| &t.access.losses)),
    ] {
        for (index, (subject, scope)) in grants.iter().take(shown).enumerate() {
            let word = if index == 0 {
                paint(style, format!("{word:<7}"))
            } else {
                " ".repeat(7)
            };
            lines.push(format!("{word} {subject:<28} {scope}"));
        }
        if let Some(more @ 1..) = grants.len().checked_sub(shown) {
            lines.push(format!("{} and {more} more (-v lists them)", " ".repeat(7)));
        }
    }
    for (index, line) in lines.iter().enumerate() {
        let head = if index == 0 {
            paint(HEAD, "Access  ")
        } else {
            " ".repeat(8)
        };
        let _ = writeln!(out, "{head} {line}");
    }
    if !lines.is_empty() {
        out.push('\n');
    }
}

fn refusals(out: &mut String, approved: &ApprovedPlan, options: &Options) {
    let all: Vec<(&TargetPlan, &Refusal)> = approved
        .targets()
        .iter()
        .flat_map(|verdict| {
            let refusals = verdict.refusals().iter();
            refusals.map(move |refusal| (verdict.plan(), refusal))
        })
        .collect();
    for (target, refusal) in &all {
        let rule: &str = refusal.rule.into();
        let label = target_label(approved, target);
        let _ = writeln!(
            out,
            "{} {label}: {} (rule {rule})",
            paint(REMOVE, "Refused "),
            visible(&refusal.message)
        );
        let way_through = options.commands.way_through(refusal);
        let _ = writeln!(out, "         {}", visible(&way_through));
    }
    for verdict in approved.targets() {
        // Once a part of it has run, another digest stands for the rest: the report shows that one.
        if verdict.is_liftable() && (options.dry_run || verdict.run_count() == 0) {
            go_ahead(out, "To go ahead once", options, verdict.digest());
        }
    }
    if !all.is_empty() {
        out.push('\n');
    }
}

fn go_ahead(out: &mut String, words: &str, options: &Options, digest: &Digest) {
    let _ = writeln!(
        out,
        "         {words}: {} --approve-plan {digest}",
        visible(&options.commands.run)
    );
}

fn footer(out: &mut String, approved: &ApprovedPlan) {
    let targets = approved.targets();
    let refused: usize = targets.iter().map(|target| target.refusals().len()).sum();
    let errors = targets
        .iter()
        .filter(|target| target.plan().error.is_some())
        .count();
    let mut line = format!(
        "Plan: {} on {}",
        summary_words(&approved.summary()),
        count(targets.len() as u64, "target")
    );
    if refused > 0 {
        let _ = write!(line, "; {}", count(refused as u64, "refusal"));
    }
    if errors > 0 {
        let _ = write!(line, "; {} not read", count(errors as u64, "target"));
    }
    line.push('.');
    // A digest of nothing is no sign that a target is as it was.
    let part = if errors > 0 {
        " (of what was read)"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "{}   digest {}{part}",
        paint(HEAD, line),
        approved.digest()
    );
}
