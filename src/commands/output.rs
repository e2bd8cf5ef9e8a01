//! Where results go: standard output and files. Everything else goes to standard error.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt as _;

use super::Stop;
use crate::cli::{Format, Output};
use crate::render::visible;

/// Where the results of a run go. Files are opened before anything is done: a run that writes to live systems and then
/// finds no place for its report would have to be guessed at.
pub(super) struct Outputs(Vec<(Format, Destination)>);

enum Destination {
    Stdout,
    File(Opened),
}

/// A file that a result goes to.
struct Opened {
    path: PathBuf,
    file: File,
    /// This run made it, and nothing stands in it yet.
    is_new: bool,
}

impl Drop for Opened {
    /// A run that ends before it has a result leaves no empty file, which would be taken for one.
    fn drop(&mut self) {
        if self.is_new {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Outputs {
    /// Opens every file that was asked for; text to standard output where nothing was. What a file holds stays until there
    /// is something to write.
    pub(super) async fn open(outputs: &[Output]) -> Result<Self, Stop> {
        let mut taken = BTreeSet::new();
        for output in outputs {
            if !taken.insert(&output.file) {
                let place = match &output.file {
                    None => "standard output".to_owned(),
                    Some(file) => format!("\"{}\"", file.display()),
                };
                return Err(Stop::usage(format!("two results would go to {place}"))
                    .help("give each its own file: -o FORMAT=FILE"));
            }
        }
        let mut destinations = Vec::new();
        for Output { format, file } in outputs {
            let destination = match file {
                None => Destination::Stdout,
                Some(path) => {
                    let opened = Opened::at(path).await;
                    Destination::File(opened.map_err(|error| cannot(path, &error))?)
                }
            };
            destinations.push((*format, destination));
        }
        if destinations.is_empty() {
            destinations.push((Format::Text, Destination::Stdout));
        }
        Ok(Self(destinations))
    }

    /// Whether standard output carries text for people.
    pub(super) fn is_text(&self) -> bool {
        let is_text = |(format, destination): &(Format, Destination)| {
            *format == Format::Text && matches!(destination, Destination::Stdout)
        };
        self.0.iter().any(is_text)
    }

    /// Writes a result in every format, the others too where one cannot be written.
    pub(super) async fn write(self, render: impl Fn(Format) -> String) -> Result<(), Stop> {
        let mut result = Ok(());
        for (format, destination) in self.0 {
            let text = render(format);
            let written = match destination {
                Destination::Stdout => print(&text),
                Destination::File(mut opened) => {
                    let plain = anstream::adapter::strip_str(&text).to_string();
                    let written = opened.replace(&plain).await;
                    written.map_err(|error| cannot(&opened.path, &error))
                }
            };
            match (&result, written) {
                (Err(_), Err(stop)) => line(&format!("error: {}", stop.message)),
                (Ok(()), written) => result = written,
                (Err(_), Ok(())) => {}
            }
        }
        result
    }
}

impl Opened {
    async fn at(path: &Path) -> io::Result<Self> {
        let made = OpenOptions::new()
            .create_new(true)
            .write(true)
            .open(path)
            .await;
        let is_new = made.is_ok();
        let file = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                OpenOptions::new().write(true).open(path).await?
            }
            made => made?,
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            is_new,
        })
    }

    /// Puts a text in place of what the file holds.
    async fn replace(&mut self, text: &str) -> io::Result<()> {
        self.is_new = false;
        // A pipe or a device has no length.
        if self.file.metadata().await?.is_file() {
            self.file.set_len(0).await?;
        }
        self.file.write_all(text.as_bytes()).await?;
        self.file.flush().await
    }
}

fn cannot(path: &Path, error: &io::Error) -> Stop {
    Stop::failed(format!("cannot write \"{}\": {error}", path.display()))
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

/// Writes a text, styles included, to standard error. Nobody to read it is no error.
pub(super) fn note(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Writes a line to standard error that holds data of others.
pub(super) fn line(text: &str) {
    note(&visible(text));
}

/// JSON as a text that ends with a line's end.
pub(super) fn json(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
