//! Logs, on standard error, and the words of errors.

use std::io;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging.
///
/// # Errors
/// A sentence that says what is wrong with the filter.
pub fn start(filter: &str, color: bool) -> Result<(), String> {
    // A word alone would be taken for the name of a module, and a mistyped level would log next to nothing.
    let is_part = |part: &&str| part.contains(['=', '[', ']', '{', '}', ':']) || part.is_empty();
    let mut words = filter
        .split(',')
        .map(str::trim)
        .filter(|part| !is_part(part));
    if let Some(word) = words.find(|word| word.parse::<LevelFilter>().is_err()) {
        return Err(format!(
            "--log {filter:?}: {word:?} is no level; write off, error, warn, info, debug or trace, or MODULE=LEVEL"
        ));
    }
    let filter =
        EnvFilter::try_new(filter).map_err(|error| format!("--log {filter:?}: {error}"))?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(color)
        .with_target(true);
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())
}

/// An error and everything beneath it, as one sentence.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
