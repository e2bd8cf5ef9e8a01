//! The table of scopes, with the order and the limits of the database beneath it.
//!
//! A PUT deletes a row and inserts another, so a changed scope stands at the end of the table from then on.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::target::{is_blank, utf16_length};

const NAME_LENGTH: usize = 255;
const DESCRIPTION_LENGTH: usize = 512;
const BINDING_LENGTH: usize = 255;

/// What a POST or a PUT asks for; nothing is required of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) bindings: Vec<String>,
}

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) name: Arc<str>,
    pub(super) description: Option<String>,
    /// In the order of the request, repeated and blank ones included.
    pub(super) bindings: Vec<String>,
}

impl Row {
    /// Whether a GET of the name finds the row: it does not where the name or the description is blank.
    pub(super) fn is_readable(&self) -> bool {
        !is_blank(&self.name) && !self.description.as_deref().is_none_or(is_blank)
    }
}

/// A name, ordered by UTF-16 code units as Java orders strings.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name(Arc<str>);

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encode_utf16().cmp(other.0.encode_utf16())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The database refuses a row: no name, too long a value, or a name that is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

/// The rows, by id and by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    rows: BTreeMap<u64, Row>,
    ids: BTreeMap<Name, u64>,
    next_id: u64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.ids.contains_key(&Name(name.into()))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Row> {
        self.rows.get(self.ids.get(&Name(name.into()))?)
    }

    /// Every row in the table's order.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// The rows of a page: chosen in the table's order, then sorted by name.
    pub(super) fn page(&self, offset: usize, limit: Option<usize>) -> Vec<&Row> {
        if offset == 0 && limit.is_none_or(|limit| limit >= self.rows.len()) {
            // The whole table in one page is what careful clients ask for: the index has it sorted.
            return self.ids.values().map(|id| &self.rows[id]).collect();
        }
        let rows = self.rows.values().skip(offset);
        let mut page: Vec<&Row> = match limit {
            Some(limit) => rows.take(limit).collect(),
            None => rows.collect(),
        };
        page.sort_by_cached_key(|row| Name(row.name.clone()));
        page
    }

    /// Adds a row at the end.
    pub(super) fn insert(&mut self, draft: Draft) -> Result<&Row, Refused> {
        let row = checked(draft)?;
        if self.contains(&row.name) {
            return Err(Refused);
        }
        Ok(self.append(row))
    }

    /// Puts a row in place of the one of the same name, if there is one, and at the end in any case.
    pub(super) fn replace(&mut self, draft: Draft) -> Result<&Row, Refused> {
        // One transaction: a row that the database refuses leaves the old one as it was.
        let row = checked(draft)?;
        self.remove(&row.name);
        Ok(self.append(row))
    }

    pub(super) fn remove(&mut self, name: &str) -> Option<Row> {
        let id = self.ids.remove(&Name(name.into()))?;
        self.rows.remove(&id)
    }

    fn append(&mut self, row: Row) -> &Row {
        let id = self.next_id;
        self.next_id += 1;
        self.ids.insert(Name(row.name.clone()), id);
        self.rows.entry(id).or_insert(row)
    }
}

fn checked(draft: Draft) -> Result<Row, Refused> {
    let Draft {
        name,
        description,
        bindings,
    } = draft;
    let name = name.ok_or(Refused)?;
    let fits = utf16_length(&name) <= NAME_LENGTH
        && description
            .as_deref()
            .is_none_or(|text| utf16_length(text) <= DESCRIPTION_LENGTH)
        && bindings
            .iter()
            .all(|binding| utf16_length(binding) <= BINDING_LENGTH);
    if !fits {
        return Err(Refused);
    }
    Ok(Row {
        name: name.into(),
        description,
        bindings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(name: &str) -> Draft {
        Draft {
            name: Some(name.to_owned()),
            description: Some("d".to_owned()),
            bindings: Vec::new(),
        }
    }

    fn table(names: &[&str]) -> Table {
        let mut table = Table::default();
        for name in names {
            table.insert(draft(name)).unwrap();
        }
        table
    }

    fn names(rows: &[&Row]) -> Vec<String> {
        rows.iter().map(|row| row.name.to_string()).collect()
    }

    #[test]
    fn a_page_is_chosen_by_age_and_sorted_by_name() {
        let table = table(&["c", "a", "e", "b", "d"]);
        assert_eq!(names(&table.page(0, Some(2))), ["a", "c"]);
        assert_eq!(names(&table.page(2, Some(2))), ["b", "e"]);
        assert_eq!(names(&table.page(0, None)), ["a", "b", "c", "d", "e"]);
        assert_eq!(names(&table.page(3, None)), ["b", "d"]);
    }

    #[test]
    fn a_replaced_row_moves_to_the_end() {
        let mut table = table(&["a", "b", "c"]);
        table.replace(draft("a")).unwrap();
        assert_eq!(names(&table.rows().collect::<Vec<_>>()), ["b", "c", "a"]);
    }

    #[test]
    fn a_refused_row_leaves_the_old_one_alone() {
        let mut table = table(&["a"]);
        let long = Draft {
            bindings: vec!["b".repeat(256)],
            ..draft("a")
        };
        assert_eq!(table.replace(long), Err(Refused));
        assert_eq!(table.insert(draft("a")), Err(Refused));
        assert_eq!(table.insert(Draft::default()), Err(Refused));
        assert!(table.get("a").unwrap().bindings.is_empty());
        assert_eq!(table.len(), 1);
    }

    #[test]
    fn names_sort_by_code_unit() {
        let table = table(&["\u{ffee}", "😀", "a", "Z"]);
        assert_eq!(names(&table.page(0, None)), ["Z", "a", "😀", "\u{ffee}"]);
    }
}
