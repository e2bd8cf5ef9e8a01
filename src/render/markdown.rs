//! A plan or a report as a pull request's comment: counts and digest first, then who gains and loses, then what stops it,
//! then the changes of each target folded.

use std::fmt::Write as _;

use super::{
    Commands, count, eventful, summary_words, target_label, text::last_line, text::skip_words,
    visible,
};
use crate::apply::{Outcome, Report, TargetReport};
use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::access::Grant;
use crate::plan::change::{FieldChange, FieldValue};
use crate::plan::guard::{ApprovedPlan, ApprovedTarget};
use crate::plan::{Failure, SkipReason, Skipped, TargetPlan};

/// By which a job finds its own comment again, and updates it in place.
pub const MARKER: &str = "<!-- scopeward -->";

/// A plan.
pub fn plan(approved: &ApprovedPlan, diagnostics: &[Diagnostic], commands: &Commands) -> String {
    let mut out = format!(
        "{MARKER}\n## Scopeward: {} on {}\n\n",
        summary_words(&approved.summary()),
        count(approved.targets().len() as u64, "target")
    );
    let _ = writeln!(out, "Digest `{}`\n", approved.digest());
    access(&mut out, approved);
    refusals(&mut out, approved, commands, None);
    findings(&mut out, diagnostics);
    for verdict in approved.targets() {
        target_block(&mut out, approved, verdict, None);
    }
    let _ = writeln!(out, "<sub>{}</sub>", code(&commands.run));
    out
}

/// A report: what became of each change. `invalid` says that a document was left out or a finding stands.
pub fn report(
    report: &Report,
    diagnostics: &[Diagnostic],
    invalid: bool,
    commands: &Commands,
) -> String {
    let approved = &report.approved;
    let mut out = format!(
        "{MARKER}\n## Scopeward: {}\n\n",
        escape(&last_line(report, invalid))
    );
    let _ = writeln!(
        out,
        "Planned: {} on {}. Digest `{}`\n",
        summary_words(&approved.summary()),
        count(approved.targets().len() as u64, "target"),
        approved.digest()
    );
    access(&mut out, approved);
    refusals(&mut out, approved, commands, Some(report));
    findings(&mut out, diagnostics);
    for (verdict, result) in approved.targets().iter().zip(&report.targets) {
        target_block(&mut out, approved, verdict, Some(result));
    }
    let _ = writeln!(out, "<sub>{}</sub>", code(&commands.run));
    out
}

fn target_block(
    out: &mut String,
    approved: &ApprovedPlan,
    verdict: &ApprovedTarget,
    result: Option<&TargetReport>,
) {
    let target = verdict.plan();
    let title = if target.title.is_empty() {
        String::new()
    } else {
        format!(" {}", html(&target.title))
    };
    let _ = writeln!(
        out,
        "<details><summary><code>{}</code>{title}: {}</summary>\n",
        html(&target_label(approved, target)),
        summary_words(&target.summary())
    );
    if let Some(error) = &target.error {
        failed(out, "Not read", error);
    } else if let Some(error) = result.and_then(|result| result.error.as_ref()) {
        failed(out, "Failed", error);
    }
    for (index, planned) in target.changes.iter().enumerate() {
        let _ = write!(
            out,
            "- **{}** {}",
            planned.change.action(),
            code(&planned.object.label)
        );
        let mut marks: Vec<String> = planned.remark.iter().map(|remark| escape(remark)).collect();
        match result.and_then(|result| result.outcomes.get(index)) {
            Some(outcome) => marks.push(outcome_mark(outcome)),
            None => marks.extend(withheld_mark(verdict.why_withheld(index))),
        }
        if !marks.is_empty() {
            let _ = write!(out, " ({})", marks.join("; "));
        }
        out.push('\n');
        for field in planned.change.fields() {
            field_line(out, &field);
        }
    }
    skips(out, &target.skipped);
    let requests = result.map_or(target.requests, |result| result.requests);
    let _ = write!(
        out,
        "\n{}, {} unchanged. Digest `{}`",
        count(requests, "call"),
        target.unchanged,
        verdict.digest()
    );
    let remaining = result.and_then(|result| result.remaining.as_ref());
    if let Some(left) = remaining.filter(|left| !left.changes.is_empty()) {
        let words = summary_words(&left.summary());
        let _ = write!(out, "\n\n**Left:** {words}. Digest `{}`", left.digest());
    }
    out.push_str("\n\n</details>\n\n");
}

fn failed(out: &mut String, word: &str, error: &Failure) {
    let help = error.help.iter().map(|help| format!(" ({help})"));
    let text = error.message.clone() + &help.collect::<String>();
    let _ = writeln!(out, "**{word}:** {}\n", escape(&text));
}

/// Whether a change of a plan runs.
fn withheld_mark(why: Option<SkipReason>) -> Option<String> {
    why.map(|reason| match reason {
        SkipReason::Refused => "**refused**, see above".to_owned(),
        reason => format!("**withheld**: {}", skip_words(reason)),
    })
}

/// What became of a change.
fn outcome_mark(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { .. } => "done".to_owned(),
        Outcome::Failed(error) => format!("**failed**: {}", escape(&error.message)),
        Outcome::Unknown(error) => format!(
            "**unknown**: {}; it may have taken effect",
            escape(&error.message)
        ),
        Outcome::Skipped(reason) => format!("**not done**: {}", skip_words(*reason)),
    }
}

/// Skips that somebody should know of, and the uneventful ones as a count.
fn skips(out: &mut String, skipped: &[Skipped]) {
    let (listed, counted) = eventful(skipped, false);
    for skip in listed {
        let entries: Vec<String> = skip.entries.iter().map(|entry| code(entry)).collect();
        let entries = if entries.is_empty() {
            String::new()
        } else {
            format!(": {}", entries.join(", "))
        };
        let _ = writeln!(
            out,
            "- kept {}: {}{entries}",
            code(&skip.object.label),
            skip_words(skip.reason)
        );
    }
    for (reason, n) in counted {
        let _ = writeln!(
            out,
            "- {}: {}",
            skip_words(reason),
            count(n as u64, "object")
        );
    }
}

fn access(out: &mut String, approved: &ApprovedPlan) {
    let rows: Vec<(&str, &Grant, String)> = approved
        .targets()
        .iter()
        .map(ApprovedTarget::plan)
        .flat_map(|target| {
            let label = target_label(approved, target);
            let gains = target.access.gains.iter().map(|grant| ("gains", grant));
            let losses = target.access.losses.iter().map(|grant| ("loses", grant));
            gains
                .chain(losses)
                .map(move |(word, grant)| (word, grant, label.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    out.push_str("| who | | scope | target |\n|---|---|---|---|\n");
    for (word, grant, label) in rows {
        let _ = writeln!(
            out,
            "| {} | {word} | {} | {} |",
            escape(&grant.subject),
            cell(&grant.scope),
            cell(&label)
        );
    }
    out.push('\n');
}

fn refusals(
    out: &mut String,
    approved: &ApprovedPlan,
    commands: &Commands,
    report: Option<&Report>,
) {
    for (index, verdict) in approved.targets().iter().enumerate() {
        // Once a part of a plan has run, another digest stands for the rest.
        let result = report.and_then(|report| report.targets.get(index));
        let left = result.and_then(|result| result.remaining.as_ref());
        let digest = left.map_or_else(|| verdict.digest().clone(), TargetPlan::digest);
        for refusal in verdict.refusals() {
            let rule: &str = refusal.rule.into();
            let label = code(&target_label(approved, verdict.plan()));
            let _ = writeln!(
                out,
                "> **Refused** on {label} (`{rule}`): {}. {}",
                escape(&refusal.message),
                escape(&commands.way_through(refusal))
            );
            if refusal.rule.is_liftable() {
                let _ = writeln!(out, "> `--approve-plan {digest}`");
            }
            out.push('\n');
        }
    }
}

fn findings(out: &mut String, diagnostics: &[Diagnostic]) {
    for finding in diagnostics
        .iter()
        .filter(|finding| finding.severity != Severity::Note)
    {
        let place = finding.file.as_ref().map(|file| {
            let line = finding
                .span
                .as_ref()
                .map(|span| format!(":{}", span.line))
                .unwrap_or_default();
            format!(" {}", code(&format!("{file}{line}")))
        });
        let word = if finding.severity == Severity::Error {
            "Error"
        } else {
            "Warning"
        };
        let _ = writeln!(
            out,
            "> **{word}** `{}`{}: {}\n",
            finding.code.as_str(),
            place.unwrap_or_default(),
            escape(&finding.message)
        );
    }
}

fn field_line(out: &mut String, field: &FieldChange) {
    let line = match (&field.before, &field.after) {
        (FieldValue::Set(before), FieldValue::Set(after)) => {
            let added = after
                .difference(before)
                .map(|entry| format!("+{}", code(entry)));
            let gone = before
                .difference(after)
                .map(|entry| format!("−{}", code(entry)));
            added.chain(gone).collect::<Vec<_>>().join(" ")
        }
        (FieldValue::Text(before), FieldValue::Text(after)) => format!(
            "{} → {}",
            code(before.as_deref().unwrap_or_default()),
            code(after.as_deref().unwrap_or_default())
        ),
        _ => return,
    };
    let _ = writeln!(out, "  - {}: {line}", field.path);
}

/// A text as code, whatever it holds.
fn code(text: &str) -> String {
    let text = visible(text);
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A text as code in a table, whose cells end at a bar even there.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A text in which nothing is markup, and nobody is mentioned: a role may well be called `@acme/everyone`.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in html(text).chars() {
        match c {
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => out.extend(['\\', c]),
            // Behind a word it is an address of mail.
            '@' if !before.is_alphanumeric() => out.push_str("<code>@</code>"),
            _ => out.push(c),
        }
        before = c;
    }
    out
}

/// A text in which nothing is HTML; where a tag stands, markdown is not read.
fn html(text: &str) -> String {
    visible(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_text_mentions_nobody_and_marks_nothing_up() {
        let table = [
            ("role @acme/everyone", "role <code>@</code>acme/everyone"),
            ("@here", "<code>@</code>here"),
            ("ann@example.com", "ann@example.com"),
            ("a|b *c* [d](e) <f>", "a\\|b \\*c\\* \\[d\\](e) &lt;f&gt;"),
        ];
        for (text, escaped) in table {
            assert_eq!(escape(text), escaped);
        }
    }
}
