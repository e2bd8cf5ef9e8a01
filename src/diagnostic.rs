//! What is wrong with an input, where, and what to do: data only. `render` turns it into text and JSON, `manifest::locate`
//! finds its place in the file.

pub mod codes;

use serde::Serialize;

use crate::model::{Source, SourceFile, TargetId};

/// How much a diagnostic weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is left out, and the run removes nothing.
    Error,
    /// It works, and is probably not meant.
    Warning,
    /// Worth knowing.
    Note,
}

/// A check's code, such as `SW114`: stable, and an anchor of `docs/checks.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Code(&'static str);

impl Code {
    /// The text.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Which check.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// Where, as the manifest's structure says it.
    #[serde(skip)]
    pub place: Option<Place>,
    /// The words under the marked text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Facts that help, each a heading and a text: `allowed`, `READ, WRITE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<(&'static str, String)>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<SourceFile>,
    /// Where in the file, once located.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// The one Target that it is about, where its manifest goes on for its others.
    #[serde(skip)]
    pub on: Option<TargetId>,
}

/// A place in a document, named by its structure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which document of the file, counted from 0.
    pub document: usize,
    /// The JSON pointer (RFC 6901) of the value: `/spec/scopes/2`. Empty is the document itself.
    pub pointer: String,
    /// Whether the key is meant rather than its value.
    pub key: bool,
    /// Whether the line may be shown.
    pub quoted: bool,
}

/// A place in a file's text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// Counted from 1.
    pub line: u32,
    /// Counted from 1, in characters.
    pub column: u32,
    /// How many characters are meant; 0 where that is not known.
    #[serde(skip)]
    pub length: u32,
    /// The whole line, without its end.
    #[serde(skip)]
    pub text: String,
}

impl Diagnostic {
    /// A finding without a place.
    pub fn new(code: Code, severity: Severity, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            message: message.into(),
            place: None,
            label: None,
            notes: Vec::new(),
            help: None,
            file: None,
            span: None,
            on: None,
        }
    }

    /// An error.
    pub fn error(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Error, message)
    }

    /// A warning.
    pub fn warning(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Warning, message)
    }

    /// A note.
    pub fn note(code: Code, message: impl Into<String>) -> Self {
        Self::new(code, Severity::Note, message)
    }

    /// Whether it leaves its document out.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says where: a JSON pointer in the document of `source`.
    pub fn at(mut self, source: &Source, pointer: impl Into<String>) -> Self {
        self.file = Some(source.file.clone());
        self.place = Some(Place {
            document: source.document,
            pointer: pointer.into(),
            key: false,
            quoted: true,
        });
        self
    }

    /// Means the key of the place rather than its value.
    pub fn at_key(mut self) -> Self {
        if let Some(place) = &mut self.place {
            place.key = true;
        }
        self
    }

    /// Keeps the text of the place to itself.
    pub fn unquoted(mut self) -> Self {
        if let Some(place) = &mut self.place {
            place.quoted = false;
        }
        self
    }

    /// Puts words under the marked text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds a fact.
    pub fn fact(mut self, heading: &'static str, text: impl Into<String>) -> Self {
        self.notes.push((heading, text.into()));
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
