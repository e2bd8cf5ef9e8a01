//! The few styles that text output uses.

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// A text in a style.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// What is added.
pub(super) const ADD: Style = AnsiColor::Green.on_default();
/// What changes.
pub(super) const CHANGE: Style = AnsiColor::Yellow.on_default();
/// What goes, and what failed.
pub(super) const REMOVE: Style = AnsiColor::Red.on_default();
/// Headings.
pub(super) const HEAD: Style = Style::new().bold();
/// What matters less.
pub(super) const DIM: Style = Style::new().dimmed();
