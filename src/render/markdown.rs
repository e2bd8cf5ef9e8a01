//! A plan as a pull request's comment: counts and digest first, then who gains and loses, then what stops it, then the
//! changes of each target folded.

use std::fmt::Write as _;

use super::{count, summary_words, target_label};
use crate::diagnostic::{Diagnostic, Severity};
use crate::plan::Plan;
use crate::plan::access::Grant;
use crate::plan::change::{FieldChange, FieldValue};
use crate::plan::guard::ApprovedPlan;

/// By which a job finds its own comment again, and updates it in place.
pub const MARKER: &str = "<!-- scopeward -->";

/// A plan.
pub fn plan(approved: &ApprovedPlan, diagnostics: &[Diagnostic], command: &str) -> String {
    let plan = approved.plan();
    let mut out = format!(
        "{MARKER}\n## Scopeward: {} on {}\n\n",
        summary_words(&plan.summary()),
        targets(plan)
    );
    let _ = writeln!(out, "Digest `{}`\n", approved.digest());
    access(&mut out, plan);
    refusals(&mut out, approved);
    findings(&mut out, diagnostics);
    for (target, verdict) in approved.targets() {
        let label = code(&target_label(plan, target));
        let title = if target.title.is_empty() {
            String::new()
        } else {
            format!(" {}", escape(&target.title))
        };
        let _ = writeln!(
            out,
            "<details><summary>{label}{title}: {}</summary>\n",
            summary_words(&target.summary())
        );
        if let Some(error) = &target.error {
            let help = error.help.iter().map(|help| format!(" ({help})"));
            let text = error.message.clone() + &help.collect::<String>();
            let _ = writeln!(out, "**Not read:** {}\n", escape(&text));
        }
        for planned in &target.changes {
            let _ = writeln!(
                out,
                "- **{}** {}",
                planned.change.action(),
                code(&planned.object.label)
            );
            planned
                .change
                .fields()
                .iter()
                .for_each(|field| field_line(&mut out, field));
        }
        let _ = writeln!(
            out,
            "\n{}, {} unchanged. Digest `{}`\n\n</details>\n",
            count(target.requests, "call"),
            target.unchanged,
            verdict.digest()
        );
    }
    let _ = writeln!(out, "<sub>{}</sub>", code(command));
    out
}

fn targets(plan: &Plan) -> String {
    count(plan.targets.len() as u64, "target")
}

fn access(out: &mut String, plan: &Plan) {
    let rows: Vec<(&str, &Grant, String)> = plan
        .targets
        .iter()
        .flat_map(|target| {
            let label = target_label(plan, target);
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
            code(&grant.scope),
            code(&label)
        );
    }
    out.push('\n');
}

fn refusals(out: &mut String, approved: &ApprovedPlan) {
    for (target, verdict) in approved.targets() {
        for refusal in verdict.refusals() {
            let rule: &str = refusal.rule.into();
            let label = code(&target_label(approved.plan(), target));
            let _ = writeln!(
                out,
                "> **Refused** on {label} (`{rule}`): {}. {}",
                escape(&refusal.message),
                escape(&refusal.way_through)
            );
            if refusal.liftable {
                let _ = writeln!(out, "> `--approve-plan {}`", verdict.digest());
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
            finding.code.0,
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
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
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
    format!("{fence}{pad}{}{pad}{fence}", text.replace('|', "\\|"))
}

/// A text in which nothing is markup.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
