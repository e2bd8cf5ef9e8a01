//! A file into the texts of its documents, and places in them.
//!
//! A file is split before it is parsed. A line that starts with `---` or `...` always ends a document, whatever the
//! document is in the middle of (YAML 1.2.2, rule `c-forbidden`), so the split is exact, and one broken document hides
//! none of the others.

use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Options};

use crate::diagnostic::Span;

/// The deepest nesting: four times what a manifest needs.
const MAX_DEPTH: usize = 32;
/// The most scalars, lists and mappings of one document, aliases followed.
const MAX_NODES: usize = 100_000;

/// The longest line that a finding shows.
const MAX_SHOWN: usize = 2000;

/// The text of one document of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk<'a> {
    /// Which document, counted from 0. Empty ones are not counted.
    pub(super) index: usize,
    /// The text, from its `---` on.
    pub(super) text: &'a str,
    /// How many lines stand before it.
    pub(super) lines_before: u32,
    /// The line where its content starts, counted from 1.
    pub(super) line: u32,
}

/// Splits a file. Empty documents and those of comments alone are dropped.
pub(super) fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let (mut start, mut offset, mut line, mut lines_before) = (0, 0, 0_u32, 0_u32);
    let mut content = None;
    let mut close = |start: usize, end: usize, lines_before: u32, content: &mut Option<u32>| {
        if let Some(line) = content.take() {
            chunks.push(Chunk {
                index: chunks.len(),
                text: &text[start..end],
                lines_before,
                line,
            });
        }
    };
    for full in text.split_inclusive('\n') {
        line += 1;
        let words = full.trim_end_matches(['\n', '\r']);
        let marker = ["---", "..."].into_iter().find(|marker| {
            words
                .strip_prefix(marker)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
        });
        let rest = match marker {
            Some(marker) => {
                close(start, offset, lines_before, &mut content);
                // `...` belongs to what it ends; what follows starts after it.
                (start, lines_before) = match marker {
                    "..." => (offset + full.len(), line),
                    _ => (offset, line - 1),
                };
                if marker == "..." { "" } else { &words[3..] }
            }
            None => words,
        };
        let rest = rest.trim_start();
        // A directive before the first content belongs to the document after it, and says nothing that matters here.
        let directive = content.is_none() && words.starts_with('%');
        if content.is_none() && !rest.is_empty() && !rest.starts_with('#') && !directive {
            content = Some(line);
        }
        offset += full.len();
    }
    close(start, offset, lines_before, &mut content);
    chunks
}

/// How documents are parsed: YAML 1.1's booleans and `<<`, as `kubectl` reads them, within bounds.
pub(super) fn options(duplicate_keys: DuplicateKeyPolicy) -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 4 * MAX_NODES,
            max_documents: 2,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_merge_keys: 1_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_NODES,
            max_replay_stack_depth: 16,
        },
        duplicate_keys: duplicate_keys,
        // `0123` is another number for every reader of YAML: it stays the text that it looks like.
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        with_snippet: false,
    }
}

/// The place of the file that a parser's location within a chunk means; `None` where it means none.
pub(super) fn span(chunk: Chunk<'_>, location: Location) -> Option<Span> {
    let offset = match location.span().byte_offset() {
        Some(offset) => usize::try_from(offset).ok()?,
        None => offset(chunk.text, location)?,
    };
    let before = chunk.text.get(..offset).filter(|_| location.line() > 0)?;
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let lines = before.split('\n').count();
    let text = chunk.text[line_start..].lines().next().unwrap_or_default();
    let width = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    let column = u32::try_from(before[line_start..].chars().count() + 1).unwrap_or(u32::MAX);
    let length = u32::try_from(location.span().len()).unwrap_or(0);
    Some(Span {
        line: chunk.lines_before + u32::try_from(lines).unwrap_or(u32::MAX),
        column,
        // A text of several lines is marked on its first.
        length: length.min((width + 1).saturating_sub(column)),
        text: shown(chunk, text),
    })
}

/// The byte that a line and a column mean, as the parser counts lines: a lone carriage return ends one, which no editor
/// thinks.
fn offset(text: &str, location: Location) -> Option<usize> {
    let mut ends = text
        .char_indices()
        .filter(|(at, c)| *c == '\n' || (*c == '\r' && !text[*at..].starts_with("\r\n")));
    let start = match usize::try_from(location.line()).ok()?.checked_sub(1)? {
        0 => 0,
        line => ends.nth(line - 1)?.0 + 1,
    };
    let column = usize::try_from(location.column()).ok()?.saturating_sub(1);
    let mut line = text[start..].char_indices();
    Some(start + line.nth(column).map_or(text.len() - start, |(at, _)| at))
}

/// The first line of a document's content.
pub(super) fn start(chunk: Chunk<'_>) -> Span {
    let before = (chunk.line - chunk.lines_before) as usize - 1;
    Span {
        line: chunk.line,
        column: 1,
        length: 0,
        text: shown(chunk, chunk.text.lines().nth(before).unwrap_or_default()),
    }
}

/// A line as a finding may show it: whole, unless it is endless or may hold secrets.
fn shown(chunk: Chunk<'_>, line: &str) -> String {
    let credentials = line.split("://").skip(1).any(|rest| {
        rest.split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
    });
    let asks = |rest: &str| {
        rest.split_whitespace()
            .next()
            .is_some_and(|url| url.contains(['?', '#']))
    };
    let credentials = credentials || line.split("://").skip(1).any(asks) || has_secret_key(line);
    if credentials || line.len() > MAX_SHOWN || is_secret(chunk.text) {
        return String::new();
    }
    line.to_owned()
}

/// Whether a line has a key that would hold a secret, wherever somebody may have written one.
fn has_secret_key(line: &str) -> bool {
    const WORDS: [&str; 5] = ["password", "passphrase", "token", "secret", "privatekey"];
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    line.match_indices(':').any(|(at, _)| {
        let before = line[..at].trim_end_matches(['"', '\'', ' ']);
        let start = before.rfind(|c| !is_part(c)).map_or(0, |last| last + 1);
        let key = before.get(start..).unwrap_or_default().to_lowercase();
        let key = key.replace(['_', '-'], "");
        // It names a Secret and holds none.
        key != "casecretref" && WORDS.iter().any(|word| key.contains(word))
    })
}

/// Whether a document looks like a `v1` Secret, of which no line is shown. Judged by its text, since it may not parse.
fn is_secret(text: &str) -> bool {
    let word = |(at, _): (usize, &str)| {
        let before = text[..at].chars().next_back();
        let after = text[at + "Secret".len()..].chars().next();
        // `caSecretRef` is none.
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    };
    text.contains("stringData") || text.match_indices("Secret").any(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_up(text: &str) -> Vec<(&str, u32, u32)> {
        let chunks = split(text).into_iter();
        chunks.map(|c| (c.text, c.lines_before, c.line)).collect()
    }

    #[test]
    fn documents_are_split_where_yaml_ends_them() {
        assert_eq!(
            split_up("a: 1\n---\nb: 2\n"),
            [("a: 1\n", 0, 1), ("---\nb: 2\n", 1, 3)]
        );
        assert_eq!(
            split_up("# one\n\n---\n# two\n---\n\nb: 2"),
            [("---\n\nb: 2", 4, 7)]
        );
        assert_eq!(split_up("a: 1\n...\n# end\n"), [("a: 1\n", 0, 1)]);
        assert_eq!(
            split_up("a: 1\n...\nb: 2\n"),
            [("a: 1\n", 0, 1), ("b: 2\n", 2, 3)]
        );
        assert_eq!(split_up("%YAML 1.2\n---\na: 1\n"), [("---\na: 1\n", 1, 3)]);
        assert_eq!(split_up("--- {a: 1}\n--- # x\nb: 2\n").len(), 2);
        assert_eq!(
            split_up("a: |\n  ---\n  text\n----\n"),
            [("a: |\n  ---\n  text\n----\n", 0, 1)]
        );
        assert_eq!(split_up("\u{feff}a: 1\r\n---\r\nb: 2\r\n").len(), 2);
        assert!(split_up("").is_empty());
        assert!(split_up("---\n---\n...\n").is_empty());
    }
}
