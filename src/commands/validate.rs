//! `validate`: manifests alone, offline.

use std::collections::BTreeSet;

use super::output::Outputs;
use super::{Exit, Stop, inputs, output};
use crate::cli::{self, Format};
use crate::diagnostic::Severity;
use crate::render::{self, count};

pub(super) async fn run(args: cli::Validate) -> Result<Exit, Stop> {
    if args
        .output
        .iter()
        .any(|output| output.format == Format::Markdown)
    {
        return Err(Stop::usage("`validate` writes text and json"));
    }
    let outputs = Outputs::open(&args.output).await?;
    let loaded = inputs::load(&args.inputs, None, BTreeSet::new())?;
    let of = |severity| {
        loaded
            .diagnostics
            .iter()
            .filter(|d| d.severity == severity)
            .count() as u64
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    let notes = of(Severity::Note);
    let summary = format!(
        "{} in {}: {}, {}, {}",
        count(loaded.documents as u64, "manifest"),
        count(loaded.files as u64, "file"),
        count(errors, "error"),
        count(warnings, "warning"),
        count(notes, "note"),
    );
    let rendered = |format| match format {
        Format::Json => output::json(&serde_json::json!({
            "formatVersion": render::json::FORMAT_VERSION,
            "files": loaded.files,
            "documents": loaded.documents,
            "diagnostics": loaded.diagnostics,
            "summary": { "errors": errors, "warnings": warnings, "notes": notes },
        })),
        Format::Text | Format::Markdown => {
            let mut text = render::finding::findings(&loaded.diagnostics, true);
            text.push_str(&summary);
            text.push('\n');
            text
        }
    };
    outputs.write(rendered).await?;
    Ok(if errors > 0 || !loaded.complete {
        Exit::Failed
    } else {
        Exit::Done
    })
}
