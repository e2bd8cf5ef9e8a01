//! Where results go: standard output and files. Everything else goes to standard error.

use std::io::{self, Write as _};

use super::Stop;
use crate::cli::{Format, Output};

/// Writes a result in every format that was asked for; text to standard output where none was.
pub(super) async fn write(
    outputs: &[Output],
    render: impl Fn(Format) -> String,
) -> Result<(), Stop> {
    if outputs.is_empty() {
        return print(&render(Format::Text));
    }
    for output in outputs {
        let text = render(output.format);
        match &output.file {
            None => print(&text)?,
            Some(file) => {
                let plain = anstream::adapter::strip_str(&text).to_string();
                tokio::fs::write(file, plain).await.map_err(|error| {
                    Stop::failed(format!("cannot write \"{}\": {error}", file.display()))
                })?;
            }
        }
    }
    Ok(())
}

/// Whether standard output carries text for people.
pub(super) fn is_text(outputs: &[Output]) -> bool {
    outputs.is_empty()
        || outputs
            .iter()
            .any(|output| output.file.is_none() && output.format == Format::Text)
}

/// Writes to standard output. A reader that went away (`| head`) is no error.
pub(super) fn print(text: &str) -> Result<(), Stop> {
    let mut stdout = anstream::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Stop::failed(format!(
            "cannot write to standard output: {error}"
        ))),
        _ => Ok(()),
    }
}

/// Writes a line to standard error. Nobody to read it is no error.
pub(super) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// JSON as a text that ends with a line's end.
pub(super) fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
