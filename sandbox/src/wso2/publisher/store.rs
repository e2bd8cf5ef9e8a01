//! The Publisher's tables, and what the key manager holds besides.
//!
//! ```text
//! definitions  name -> display name, description, bindings     shared and API-local scopes alike
//! shared       id   -> name                                    a scope is shared if it stands here
//! orphans      names that only the key manager knows
//! ```
//!
//! Neither table keeps names apart: two shared scopes of one name share a definition, and go together.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use super::super::world::{LocalScope, SharedScope, UsedBy};

/// What is known of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Definition {
    pub(super) display_name: String,
    pub(super) description: Option<String>,
    pub(super) bindings: Vec<String>,
}

/// Who uses a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) count: Option<u32>,
    pub(super) used_by: Vec<UsedBy>,
}

impl Usage {
    /// The number of operations that need the scope; above zero, a DELETE is refused.
    pub(super) fn total(&self) -> usize {
        match self.count {
            Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
            None => self
                .used_by
                .iter()
                .map(|used_by| used_by.api().operations.len().max(1))
                .sum(),
        }
    }
}

/// A shared scope with all that is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) definition: &'a Definition,
    pub(super) usage: Option<&'a Usage>,
}

#[derive(Debug)]
struct SharedRow {
    id: String,
    name: String,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    definitions: HashMap<String, Definition>,
    usages: HashMap<String, Usage>,
    /// In the order of insertion.
    shared: BTreeMap<u64, SharedRow>,
    by_id: BTreeMap<String, u64>,
    by_name: HashMap<String, Vec<u64>>,
    next_row: u64,
    orphans: HashSet<String>,
}

impl Store {
    /// # Errors
    /// An id that stands there twice, or a name that is both shared and local.
    pub(super) fn load(
        shared: Vec<SharedScope>,
        local: Vec<LocalScope>,
        key_manager: Vec<String>,
    ) -> Result<Self, String> {
        let mut store = Self {
            orphans: key_manager.into_iter().collect(),
            ..Self::default()
        };
        for scope in shared {
            let SharedScope {
                id,
                name,
                display_name,
                description,
                bindings,
                usage_count,
                used_by,
            } = scope;
            let id = id.unwrap_or_else(new_id);
            if store.by_id.contains_key(&id) {
                return Err(format!("sharedScopes: the id {id:?} stands there twice"));
            }
            let definition = Definition {
                display_name: display_name.unwrap_or_else(|| name.clone()),
                description,
                bindings,
            };
            let usage = Usage {
                count: usage_count,
                used_by,
            };
            if usage != Usage::default() {
                store.usages.insert(name.clone(), usage);
            }
            store.insert_shared(id, name, definition);
        }
        for scope in local {
            let LocalScope {
                name,
                display_name,
                description,
                bindings,
            } = scope;
            if store.definitions.contains_key(&name) {
                return Err(format!(
                    "localScopes: {name:?} is also a shared scope, or stands there twice"
                ));
            }
            let display_name = display_name.unwrap_or_else(|| name.clone());
            store.insert_local(
                name,
                Definition {
                    display_name,
                    description,
                    bindings,
                },
            );
        }
        Ok(store)
    }

    pub(super) fn world(&self) -> (Vec<SharedScope>, Vec<LocalScope>, Vec<String>) {
        let shared = self
            .shared()
            .map(|scope| SharedScope {
                id: Some(scope.id.to_owned()),
                name: scope.name.to_owned(),
                display_name: Some(scope.definition.display_name.clone()),
                description: scope.definition.description.clone(),
                bindings: scope.definition.bindings.clone(),
                usage_count: scope.usage.and_then(|usage| usage.count),
                used_by: scope
                    .usage
                    .map(|usage| usage.used_by.clone())
                    .unwrap_or_default(),
            })
            .collect();
        let mut local: Vec<LocalScope> = self
            .definitions
            .iter()
            .filter(|(name, _)| !self.by_name.contains_key(*name))
            .map(|(name, definition)| LocalScope {
                name: name.clone(),
                display_name: Some(definition.display_name.clone()),
                description: definition.description.clone(),
                bindings: definition.bindings.clone(),
            })
            .collect();
        local.sort_by(|one, other| one.name.cmp(&other.name));
        let mut orphans: Vec<String> = self.orphans.iter().cloned().collect();
        orphans.sort();
        (shared, local, orphans)
    }

    pub(super) fn len(&self) -> usize {
        self.shared.len()
    }

    /// Every shared scope, in the order of insertion.
    pub(super) fn shared(&self) -> impl Iterator<Item = Shared<'_>> {
        self.shared.values().filter_map(|row| self.joined(row))
    }

    /// Every shared scope, in the order of ids.
    pub(super) fn shared_by_id(&self) -> impl Iterator<Item = Shared<'_>> {
        self.by_id
            .values()
            .filter_map(|row| self.joined(&self.shared[row]))
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Shared<'_>> {
        self.joined(&self.shared[self.by_id.get(id)?])
    }

    /// Whether a name is taken, by a shared scope or by one of a single API.
    pub(super) fn is_defined(&self, name: &str) -> bool {
        self.definitions.contains_key(name)
    }

    pub(super) fn is_orphan(&self, name: &str) -> bool {
        self.orphans.contains(name)
    }

    pub(super) fn add_orphan(&mut self, name: &str) {
        self.orphans.insert(name.to_owned());
    }

    /// Adds a shared scope and gives its id.
    pub(super) fn add(&mut self, name: String, definition: Definition) -> String {
        let id = new_id();
        self.insert_shared(id.clone(), name, definition);
        id
    }

    /// Adds a definition that nothing shares.
    pub(super) fn insert_local(&mut self, name: String, definition: Definition) {
        self.definitions.insert(name, definition);
    }

    /// Replaces what is known of a name.
    pub(super) fn redefine(&mut self, name: &str, definition: Definition) {
        if let Some(known) = self.definitions.get_mut(name) {
            *known = definition;
        }
    }

    /// Removes a name from both tables; false if it is not there.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        for row in self.by_name.remove(name).unwrap_or_default() {
            if let Some(row) = self.shared.remove(&row) {
                self.by_id.remove(&row.id);
            }
        }
        self.usages.remove(name);
        self.definitions.remove(name).is_some()
    }

    fn insert_shared(&mut self, id: String, name: String, definition: Definition) {
        let row = self.next_row;
        self.next_row += 1;
        self.by_id.insert(id.clone(), row);
        self.by_name.entry(name.clone()).or_default().push(row);
        self.definitions.entry(name.clone()).or_insert(definition);
        self.shared.insert(row, SharedRow { id, name });
    }

    fn joined<'a>(&'a self, row: &'a SharedRow) -> Option<Shared<'a>> {
        Some(Shared {
            id: &row.id,
            name: &row.name,
            definition: self.definitions.get(&row.name)?,
            usage: self.usages.get(&row.name),
        })
    }
}

fn new_id() -> String {
    Uuid::new_v4().to_string()
}
