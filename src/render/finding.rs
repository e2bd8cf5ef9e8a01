//! Findings as people read them, in the manner of rustc.
//!
//! ```text
//! error[SW112]: no manifest declares the Target "iam/onelogin-prd"
//!   --> clusters/prod/orders.yaml:6:20
//!    |
//!  6 |   targetRefs: [{ name: onelogin-prd }]
//!    |                        ^^^^^^^^^^^^
//!    |
//!    = help: did you mean `onelogin-prod`?
//! ```

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::visible;
use crate::diagnostic::{Diagnostic, Severity, Span};

/// How wide a finding is.
const WIDTH: usize = 100;

/// Renders findings one below the other, with an empty line between them; an empty text where there are none.
pub fn findings(diagnostics: &[Diagnostic], colored: bool) -> String {
    let renderer = if colored {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.term_width(WIDTH);
    let mut text = String::new();
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&renderer.render(&[group(diagnostic)]));
        text.push('\n');
    }
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level
        .primary_title(&diagnostic.message)
        .id(diagnostic.code.as_str());
    let mut group = Group::with_title(title);
    // Without a line to mark, the label has to stand among the facts.
    let mut label = diagnostic.label.as_deref();
    if let Some(file) = &diagnostic.file {
        let place: Element<'_> = match &diagnostic.span {
            Some(span) if !span.text.is_empty() => Snippet::source(&span.text)
                .path(visible(file.as_str()))
                .line_start(span.line as usize)
                .annotation(
                    AnnotationKind::Primary
                        .span(bytes(span))
                        .label(label.take()),
                )
                .into(),
            Some(span) => Origin::path(visible(file.as_str()))
                .line(span.line as usize)
                .char_column(span.column as usize)
                .into(),
            None => Origin::path(visible(file.as_str())).into(),
        };
        group = group.element(place);
    }
    let facts = diagnostic
        .notes
        .iter()
        .map(|(heading, text)| Level::NOTE.with_name(*heading).message(visible(text)));
    group
        .elements(label.map(|label| Level::NOTE.no_name().message(visible(label))))
        .elements(facts)
        .elements(
            diagnostic
                .help
                .as_deref()
                .map(|help| Level::HELP.message(visible(help))),
        )
}

/// The bytes of the line that a span means: one character where it has no length, the end where it is past it.
fn bytes(span: &Span) -> std::ops::Range<usize> {
    let byte = |character: usize| {
        span.text
            .char_indices()
            .nth(character)
            .map_or(span.text.len(), |(byte, _)| byte)
    };
    let start = (span.column as usize).saturating_sub(1);
    byte(start)..byte(start + span.length.max(1) as usize)
}
