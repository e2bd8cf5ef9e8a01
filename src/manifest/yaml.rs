//! Documents into values: parsing each within bounds, and saying what is wrong with it.

use serde_json::Value;
use serde_saphyr::Error;
use serde_saphyr::options::DuplicateKeyPolicy;

use super::chunk::{Chunk, options, span, start};
use super::locate;
use crate::diagnostic::{Code, Diagnostic, Span, codes};
use crate::model::SourceFile;

/// The most bytes of a file.
pub(crate) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// The most documents of a file.
const MAX_DOCUMENTS: usize = 50_000;
/// Parses a document.
///
/// # Errors
/// What is wrong with it, with a place. For a key that stands twice the value comes all the same, the last one taken, so
/// that the rest can be checked.
pub(super) fn parse(
    chunk: Chunk<'_>,
    file: &SourceFile,
) -> Result<Value, (Vec<Diagnostic>, Option<Value>)> {
    match serde_saphyr::from_str_with_options::<Value>(
        chunk.text,
        options(DuplicateKeyPolicy::Error),
    ) {
        Ok(value) => Ok(value),
        Err(Error::DuplicateMappingKey { key, location }) => {
            let value = serde_saphyr::from_str_with_options::<Value>(
                chunk.text,
                options(DuplicateKeyPolicy::LastWins),
            );
            let mut found: Vec<Diagnostic> = locate::duplicates(chunk)
                .into_iter()
                .map(|(key, span)| duplicate(file, &key, Some(span)))
                .collect();
            if found.is_empty() {
                let key = key.unwrap_or_default();
                found.push(duplicate(file, &key, span(chunk, location)));
            }
            Err((found, value.ok()))
        }
        Err(error) => Err((vec![diagnose(&error, chunk, file)], None)),
    }
}

/// Whether a file's size and number of documents are bearable.
pub(super) fn check_size(file: &SourceFile, bytes: usize, documents: usize) -> Option<Diagnostic> {
    let limit = |code: Code, message: String| {
        let mut diagnostic = Diagnostic::error(code, message);
        diagnostic.file = Some(file.clone());
        Some(diagnostic)
    };
    if bytes > MAX_BYTES {
        let message = format!("the file is larger than {} MiB", MAX_BYTES / (1024 * 1024));
        return limit(codes::TOO_LARGE, message);
    }
    if documents > MAX_DOCUMENTS {
        let message =
            format!("the file has {documents} documents, and at most {MAX_DOCUMENTS} are read");
        return limit(codes::TOO_MANY_DOCUMENTS, message);
    }
    None
}

fn duplicate(file: &SourceFile, key: &str, span: Option<Span>) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(
        codes::DUPLICATE_KEY,
        format!("the key {key:?} stands twice in one mapping"),
    );
    diagnostic.file = Some(file.clone());
    diagnostic.span = span;
    diagnostic
}

fn diagnose(error: &Error, chunk: Chunk<'_>, file: &SourceFile) -> Diagnostic {
    let error = match error.without_snippet() {
        Error::AliasError { error, .. } => error.without_snippet(),
        error => error,
    };
    let tell = |code, message: &str| Diagnostic::error(code, message);
    let diagnostic = match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => tell(
            codes::TOO_COMPLEX,
            "the document is nested too deeply or too large once its aliases are followed",
        )
        .help("write the values out, or split the document"),
        Error::UnknownAnchor { .. } => tell(
            codes::SYNTAX,
            "`*` refers to an anchor that the document does not have",
        )
        .help("anchors do not reach across `---`; quote the text if it starts with `*`"),
        Error::NonFiniteFloat { .. } => tell(codes::SYNTAX, "not a number that can be used")
            .help("put it in quotes if the text is meant"),
        Error::InvalidScalar { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. }
        | Error::TaggedScalarCannotDeserializeIntoString { .. } => {
            tell(codes::SYNTAX, "the value is not what its tag (`!!…`) says")
        }
        other => {
            let said = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let said = unplaced(&said);
            if said.contains("recursion") || said.contains("nesting") {
                tell(codes::TOO_COMPLEX, "the document is nested too deeply").help(
                    "no manifest is that deep: look for brackets or indentation that do not end",
                )
            } else if said.contains("tab") {
                Diagnostic::error(codes::SYNTAX, format!("not valid YAML: {said}"))
                    .help("indent with spaces")
            } else {
                Diagnostic::error(codes::SYNTAX, format!("not valid YAML: {said}"))
            }
        }
    };
    let mut diagnostic = diagnostic;
    diagnostic.file = Some(file.clone());
    diagnostic.span = error.location().and_then(|location| span(chunk, location));
    let span = diagnostic.span.get_or_insert_with(|| start(chunk));
    // What cannot be parsed cannot be told to be no credential either.
    let text = chunk.text.to_lowercase();
    let words = [
        "secret",
        "password",
        "token",
        "private",
        "serviceaccountkey",
    ];
    if words.iter().any(|word| text.contains(word)) {
        span.text.clear();
    }
    diagnostic
}

/// A parser's message without its own place, which counts from the start of the document.
fn unplaced(message: &str) -> &str {
    message
        .rsplit_once(" at line ")
        .map_or(message, |(message, _)| message)
}
