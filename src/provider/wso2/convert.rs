//! WSO2's JSON and our model. Scope registration and Publisher answer lists of one shape; Publisher's entries carry an
//! id, a display name and a count of users besides.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::system::System;
use crate::model::{Consumers, DisplayNames, LiveScope, RemoteId, RoleName, ScopeName, ScopeState};
use crate::provider::seen::{self, Seen};

/// A list as answered. Fields that this program has no use for are skipped unread.
#[derive(Debug, Deserialize)]
pub(super) struct ScopeList {
    count: Option<u64>,
    list: Vec<WireScope>,
    pagination: Pagination,
}

#[derive(Debug, Deserialize)]
struct Pagination {
    total: u64,
}

/// A scope as answered. Scope registration leaves null fields out; a scope made without a description has none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireScope {
    id: Option<String>,
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    bindings: Option<Vec<Option<String>>>,
    usage_count: Option<u64>,
}

/// Every scope of a list, and the names that it holds more than once.
pub(super) type Scopes = (BTreeMap<ScopeName, LiveScope>, BTreeSet<ScopeName>);

impl ScopeList {
    /// How many scopes the server says there are. `count` speaks of this answer and `total` of the whole table, from two
    /// queries that are not one transaction, so the larger one is believed.
    pub(super) fn total(&self) -> u64 {
        self.pagination.total.max(self.count.unwrap_or_default())
    }

    /// How many are here.
    pub(super) fn rows(&self) -> u64 {
        self.list.len() as u64
    }

    /// Turns the answer into the model. Of a name that is there twice the first stays, beside its mention among the
    /// duplicates: no write touches it.
    ///
    /// # Errors
    /// What is missing: a Publisher scope without an id could never be written to.
    pub(super) fn into_scopes(self, system: System) -> Result<Scopes, String> {
        let mut scopes = BTreeMap::new();
        let mut duplicates = BTreeSet::new();
        for wire in self.list {
            let scope = wire.into_scope(system)?;
            match scopes.entry(scope.state.name.clone()) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(scope);
                }
                std::collections::btree_map::Entry::Occupied(entry) => {
                    duplicates.insert(entry.key().clone());
                }
            }
        }
        Ok((scopes, duplicates))
    }
}

impl WireScope {
    /// The id that Publisher gave.
    pub(super) fn into_id(self) -> Option<RemoteId> {
        self.id.filter(|id| !id.is_empty()).map(RemoteId::new)
    }

    fn into_scope(self, system: System) -> Result<LiveScope, String> {
        let publisher = system == System::Wso2Publisher;
        let remote_id = match (publisher, self.id.filter(|id| !id.is_empty())) {
            (true, Some(id)) => Some(RemoteId::new(id)),
            (true, None) => return Err(format!("the scope `{}` has no id", self.name)),
            (false, _) => None,
        };
        // Blank roles can be stored and are listed; null ones cannot.
        let mut roles = Vec::new();
        let mut seen = BTreeSet::new();
        for role in self.bindings.unwrap_or_default().into_iter().flatten() {
            if seen.insert(role.clone()) {
                roles.push(RoleName::new(role));
            }
        }
        Ok(LiveScope {
            state: ScopeState {
                name: ScopeName::observed(self.name),
                display_name: self.display_name.filter(|_| publisher),
                description: self.description.filter(|text| !text.is_empty()),
                roles,
            },
            remote_id,
            inherited: false,
            consumers: match self.usage_count {
                Some(usages) if publisher => Consumers::Usages(usages),
                _ => Consumers::Unknown,
            },
        })
    }
}

/// What a write to a scope rests on.
#[derive(Debug)]
pub(super) struct RestsOn<'a> {
    /// Its id, where the system gives one.
    pub(super) id: Option<&'a RemoteId>,
    /// What it is.
    pub(super) before: &'a ScopeState,
    /// What it is to be.
    pub(super) then: Then<'a>,
}

/// What a scope is to be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Then<'a> {
    /// This.
    Becomes(&'a ScopeState),
    /// Gone; these are known to use it.
    Goes(&'a BTreeSet<String>),
}

/// How a scope stands that is to be written to.
pub(super) fn see((scopes, duplicates): &Scopes, rests_on: &RestsOn<'_>) -> Seen {
    let RestsOn { id, before, then } = *rests_on;
    let moved = Seen::Moved { ours: false };
    let live = scopes.get(&before.name);
    if live.is_some() && duplicates.contains(&before.name) {
        return moved;
    }
    // One of the same name and another id is another one.
    let live = live.filter(|live| id.is_none_or(|id| live.remote_id.as_ref() == Some(id)));
    let (live, after) = match (live, then) {
        (None, Then::Goes(_)) => return Seen::AsWanted,
        (None, Then::Becomes(_)) => return moved,
        (Some(live), Then::Becomes(after)) => (live, after),
        (Some(live), Then::Goes(planned)) => {
            let is_as_before = live.state.holds(before, DisplayNames::AsShown);
            return if is_as_before && seen::are_known(&live.consumers, planned) {
                Seen::AsBefore
            } else {
                moved
            };
        }
    };
    seen::scope(&live.state, before, after)
}

/// What scope registration is sent, on create and on update: the whole scope.
#[derive(Debug, Serialize)]
pub(super) struct RegistrationBody<'a> {
    name: &'a ScopeName,
    description: &'a str,
    bindings: &'a [RoleName],
}

/// What Publisher is sent, on create and on update: the whole scope. Unknown fields are refused there, so there is none.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PublisherBody<'a> {
    name: &'a ScopeName,
    display_name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    bindings: &'a [RoleName],
}

/// The body for scope registration.
///
/// # Errors
/// A scope without a description: that API answers 500 to it, makes it all the same, and then neither reads nor shows it.
/// And what [`each_once`] refuses.
pub(super) fn registration_body(state: &ScopeState) -> Result<RegistrationBody<'_>, String> {
    each_once(state)?;
    let description = state.description();
    if description.trim().is_empty() {
        return Err(format!(
            "the scope `{}` has no description, and this API breaks a scope without one",
            state.name
        ));
    }
    Ok(RegistrationBody {
        name: &state.name,
        description,
        bindings: &state.roles,
    })
}

/// The body for Publisher. It refuses a scope without a display name, so one that has none is shown by its name.
///
/// # Errors
/// A role with a comma, and what [`each_once`] refuses.
pub(super) fn publisher_body(state: &ScopeState) -> Result<PublisherBody<'_>, String> {
    each_once(state)?;
    if let Some(role) = state.roles.iter().find(|role| role.as_str().contains(',')) {
        return Err(format!(
            "Publisher would split the role `{role}` at its comma and bind the parts"
        ));
    }
    Ok(PublisherBody {
        name: &state.name,
        display_name: state.shown_name(),
        description: state.description.as_deref(),
        bindings: &state.roles,
    })
}

/// Refuses a scope that cannot be made: a name that the system breaks on, or no description, which breaks scope
/// registration at once and Publisher's key managers later.
///
/// # Errors
/// Why not.
pub(super) fn creatable(state: &ScopeState, system: System) -> Result<(), String> {
    if let Some(why) = system.refuses_name(&state.name) {
        return Err(format!("the scope `{}` cannot be made: {why}", state.name));
    }
    match state.description.as_deref().map(str::trim) {
        None | Some("") => Err(format!(
            "the scope `{}` cannot be made without a description",
            state.name
        )),
        Some(_) => Ok(()),
    }
}

/// Refuses a role that is there twice: its second copy outlives its removal in Publisher's key manager.
fn each_once(state: &ScopeState) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    match state.roles.iter().find(|role| !seen.insert(*role)) {
        Some(role) => Err(format!(
            "the scope `{}` names the role `{role}` twice",
            state.name
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, system: System) -> Scopes {
        serde_json::from_str::<ScopeList>(text)
            .expect("a list")
            .into_scopes(system)
            .expect("complete")
    }

    fn state(name: &str, description: Option<&str>, roles: &[&str]) -> ScopeState {
        ScopeState {
            name: ScopeName::observed(name),
            display_name: None,
            description: description.map(str::to_owned),
            roles: roles.iter().map(|role| RoleName::new(*role)).collect(),
        }
    }

    #[test]
    fn a_registration_list_is_read_as_answered_zombies_included() {
        let (scopes, duplicates) = parse(
            r#"{"count":4,"list":[
                {"name":"s","description":"d","bindings":["z-role","a-role","z-role"," "]},
                {"name":"nulled","bindings":[]},
                {"name":"emptied","description":"","bindings":[null,"a"]},
                {"name":"  ","description":"blank name","bindings":[]}
            ],"pagination":{"total":4,"offset":0,"limit":25,"next":"","previous":""}}"#,
            System::Wso2ScopeRegistration,
        );
        assert!(duplicates.is_empty());
        assert_eq!(scopes.len(), 4);
        let scope = |name: &str| &scopes[&ScopeName::observed(name)];
        assert_eq!(
            scope("s").state.roles,
            ["z-role", "a-role", " "].map(RoleName::new).to_vec()
        );
        assert_eq!(scope("s").remote_id, None);
        assert_eq!(scope("s").consumers, Consumers::Unknown);
        assert_eq!(scope("nulled").state.description, None);
        assert_eq!(scope("emptied").state.description, None);
        assert_eq!(scope("emptied").state.roles, [RoleName::new("a")]);
    }

    #[test]
    fn a_publisher_list_carries_ids_display_names_and_usages() {
        let (scopes, duplicates) = parse(
            r#"{"count":3,"list":[
                {"id":"9c3a","name":"s","displayName":"S scope","description":null,"bindings":["admin","Internal/publisher"],"usageCount":3},
                {"id":"11","name":"twice","displayName":"1","description":"first","bindings":[],"usageCount":0},
                {"id":"22","name":"twice","displayName":"2","description":"second","bindings":[],"usageCount":0}
            ],"pagination":{"offset":0,"limit":25,"total":3,"next":"","previous":""}}"#,
            System::Wso2Publisher,
        );
        let scope = &scopes[&ScopeName::observed("s")];
        assert_eq!(scope.remote_id, Some(RemoteId::new("9c3a")));
        assert_eq!(scope.state.display_name.as_deref(), Some("S scope"));
        assert_eq!(scope.state.description, None);
        assert_eq!(scope.consumers, Consumers::Usages(3));
        assert_eq!(duplicates, BTreeSet::from([ScopeName::observed("twice")]));
        assert_eq!(
            scopes[&ScopeName::observed("twice")]
                .state
                .description
                .as_deref(),
            Some("first")
        );
    }

    #[test]
    fn a_publisher_scope_without_an_id_is_no_answer() {
        let list: ScopeList =
            serde_json::from_str(r#"{"count":1,"list":[{"name":"s"}],"pagination":{"total":1}}"#)
                .expect("a list");
        let why = list.into_scopes(System::Wso2Publisher).expect_err("no id");
        assert_eq!(why, "the scope `s` has no id");
    }

    #[test]
    fn an_answer_that_does_not_say_its_total_is_no_list() {
        for text in [
            "{}",
            "[]",
            r#"{"list":[]}"#,
            r#"{"count":0,"pagination":{"total":0}}"#,
            r#"{"list":[],"pagination":{}}"#,
            r#"{"list":[{}],"pagination":{"total":1}}"#,
        ] {
            assert!(serde_json::from_str::<ScopeList>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_larger_of_count_and_total_is_believed() {
        let list: ScopeList = serde_json::from_str(
            r#"{"count":7,"list":[],"pagination":{"total":5,"offset":0,"limit":25}}"#,
        )
        .expect("a list");
        assert_eq!((list.rows(), list.total()), (0, 7));
    }

    #[test]
    fn a_registration_body_is_the_whole_scope() {
        let state = state("a:b", Some("d"), &["z", "a"]);
        let body = registration_body(&state).expect("writable");
        assert_eq!(
            serde_json::to_string(&body).expect("JSON"),
            r#"{"name":"a:b","description":"d","bindings":["z","a"]}"#
        );
    }

    #[test]
    fn registration_is_never_sent_what_it_breaks_on() {
        for broken in [
            state("s", None, &[]),
            state("s", Some(" \t"), &[]),
            state("s", Some("d"), &["a", "a"]),
        ] {
            assert!(registration_body(&broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn a_scope_that_its_system_breaks_on_is_never_made() {
        for (system, name, description) in [
            (System::Wso2ScopeRegistration, "a/b", Some("d")),
            (System::Wso2ScopeRegistration, "a[b", Some("d")),
            (System::Wso2ScopeRegistration, "s", None),
            (System::Wso2Publisher, "5", Some("d")),
            (System::Wso2Publisher, "s", Some(" ")),
        ] {
            let broken = state(name, description, &[]);
            assert!(creatable(&broken, system).is_err(), "{system:?} {broken:?}");
        }
        assert_eq!(
            creatable(&state("a:b", Some("d"), &[]), System::Wso2ScopeRegistration),
            Ok(())
        );
    }

    #[test]
    fn a_publisher_body_always_has_a_display_name() {
        let mut wanted = state("s", None, &["a"]);
        assert_eq!(
            serde_json::to_string(&publisher_body(&wanted).expect("writable")).expect("JSON"),
            r#"{"name":"s","displayName":"s","bindings":["a"]}"#
        );
        wanted.display_name = Some(String::new());
        assert!(
            serde_json::to_string(&publisher_body(&wanted).expect("writable"))
                .expect("JSON")
                .contains(r#""displayName":"s""#)
        );
        wanted.display_name = Some("S scope".to_owned());
        wanted.description = Some("d".to_owned());
        assert_eq!(
            serde_json::to_string(&publisher_body(&wanted).expect("writable")).expect("JSON"),
            r#"{"name":"s","displayName":"S scope","description":"d","bindings":["a"]}"#
        );
    }

    #[test]
    fn publisher_is_never_sent_what_it_would_split_or_lose() {
        for broken in [
            state("s", Some("d"), &["a,b"]),
            state("s", Some("d"), &["a", "a"]),
        ] {
            assert!(publisher_body(&broken).is_err(), "{broken:?}");
        }
    }
}
