//! Finds the place of a finding: from a JSON pointer to a line, a column and a length.
//!
//! A tree of places is built by parsing the document once more, and only for documents that have findings.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::MAX_FINDINGS;
use super::chunk::{self, Chunk};
use crate::diagnostic::{Diagnostic, Place, Span};

/// Adds a key to a JSON pointer (RFC 6901).
pub(super) fn push_key(pointer: &mut String, key: &str) {
    pointer.push('/');
    pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

/// Gives the findings of one file their places in its text, `chunks`.
pub(super) fn locate<'a>(
    findings: impl IntoIterator<Item = &'a mut Diagnostic>,
    chunks: &[Chunk<'_>],
) {
    let mut trees: BTreeMap<usize, Option<Node>> = BTreeMap::new();
    for finding in findings {
        let Some(place) = finding.place.as_ref().filter(|_| finding.span.is_none()) else {
            continue;
        };
        let Some(chunk) = chunks.get(place.document) else {
            continue;
        };
        let tree = trees
            .entry(place.document)
            .or_insert_with(|| Node::read(*chunk));
        let span = tree
            .as_ref()
            .and_then(|tree| tree.find(place))
            .and_then(|location| chunk::span(*chunk, location));
        let mut span = span.unwrap_or_else(|| chunk::start(*chunk));
        if !place.quoted {
            span.text.clear();
        }
        finding.span = Some(span);
    }
}

/// Every key of a document that stands twice in its mapping, with the place of the later one.
pub(super) fn duplicates(chunk: Chunk<'_>) -> Vec<(String, Span)> {
    fn walk(node: &Node, chunk: Chunk<'_>, found: &mut Vec<(String, Span)>) {
        match &node.0.value {
            Kind::Mapping(members) => {
                let mut seen = HashSet::new();
                for (key, value) in members {
                    if !seen.insert(key.value.as_str())
                        && found.len() < MAX_FINDINGS
                        && let Some(span) = chunk::span(chunk, key.referenced)
                    {
                        found.push((key.value.clone(), span));
                    }
                    walk(value, chunk, found);
                }
            }
            Kind::Sequence(items) => {
                for item in items {
                    walk(item, chunk, found);
                }
            }
            Kind::Scalar => {}
        }
    }
    let mut found = Vec::new();
    if let Some(tree) = Node::read(chunk) {
        walk(&tree, chunk, &mut found);
    }
    found
}

/// A value's place, and those of what is in it.
#[derive(Deserialize)]
#[serde(transparent)]
struct Node(Spanned<Kind>);

enum Kind {
    Mapping(Vec<(Spanned<String>, Node)>),
    Sequence(Vec<Node>),
    Scalar,
}

impl Node {
    fn read(chunk: Chunk<'_>) -> Option<Self> {
        let options = chunk::options(DuplicateKeyPolicy::PassThrough);
        serde_saphyr::from_str_with_options(chunk.text, options).ok()
    }

    /// The place of a value, or of the nearest thing around it that is there.
    fn find(&self, place: &Place) -> Option<Location> {
        let mut node = self;
        let mut key = None;
        let mut complete = true;
        for step in place.pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let next = match &node.0.value {
                Kind::Mapping(members) => members
                    .iter()
                    .rev()
                    .find(|(name, _)| name.value == step)
                    .map(|(name, value)| (Some(name.referenced), value)),
                Kind::Sequence(items) => step
                    .parse()
                    .ok()
                    .and_then(|index: usize| items.get(index))
                    .map(|item| (None, item)),
                Kind::Scalar => None,
            };
            let Some((name, value)) = next else {
                complete = false;
                break;
            };
            (key, node) = (name, value);
        }
        // A mapping or a list has no end worth marking: its key is, and its first key where it has none.
        let scalar = matches!(node.0.value, Kind::Scalar);
        match key {
            Some(key) if place.key || !complete || !scalar => Some(key),
            _ => match &node.0.value {
                Kind::Mapping(members) => members.first().map(|(name, _)| name.referenced),
                _ => Some(node.0.referenced),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

/// Takes every scalar for what it is here: a place.
macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {
        $(
            fn $method<E>(self, _: $type) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }
        )*
    };
}

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64, visit_str: &str, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Scalar)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = items.next_element()? {
            nodes.push(node);
        }
        Ok(Kind::Sequence(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Kind, A::Error> {
        let mut nodes = Vec::new();
        while let Some(entry) = members.next_entry()? {
            nodes.push(entry);
        }
        Ok(Kind::Mapping(nodes))
    }
}
