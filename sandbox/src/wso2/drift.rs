//! Changes behind a client's back: the body of `POST /__sandbox/drift`.
//!
//! | change | effect |
//! |---|---|
//! | `{"addScope": {"name", "description", "bindings"}}` | a new scope |
//! | `{"updateScope": {"name", "description"?, "bindings"?}}` | what is named changes; null takes a description away |
//! | `{"deleteScope": "name"}` | the scope is gone |
//! | `{"addSharedScope": …}`, `{"updateSharedScope": …}`, `{"deleteSharedScope": "name"}` | the same, with `displayName`, in the Publisher |
//! | `{"setUsage": {"name", "usageCount"?, "usedBy"?}}` | who uses a shared scope |
//! | `{"switches": {…}}` | other switches; those that are not named stay |
//!
//! The first three go to the Publisher as well where `"api": "Publisher"` or `"sharedScope": true` stands beside them.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Wso2;
use super::publisher::{Definition, Usage};
use super::registration::{Draft, Refused};
use super::world::UsedBy;

/// The members that say where a change goes rather than what it is.
const ADDRESS: [&str; 3] = ["system", "api", "sharedScope"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Added {
    name: String,
    display_name: Option<String>,
    description: Option<String>,
    #[serde(default)]
    bindings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Changed {
    name: String,
    display_name: Option<String>,
    /// Absent: as it was. Null: none from now on.
    #[serde(default, deserialize_with = "present")]
    #[expect(
        clippy::option_option,
        reason = "absent and null mean different things here"
    )]
    description: Option<Option<String>>,
    bindings: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UsageOf {
    name: String,
    usage_count: Option<u32>,
    #[serde(default)]
    used_by: Vec<UsedBy>,
}

#[expect(
    clippy::option_option,
    reason = "absent and null mean different things here"
)]
fn present<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Makes one change.
///
/// # Errors
/// A sentence that says what is wrong with `change`; nothing has changed then.
pub(super) fn apply(server: &mut Wso2, change: &Value) -> Result<(), String> {
    let members = change.as_object().ok_or("a change is an object")?;
    let verbs: Vec<&String> = members
        .keys()
        .filter(|key| !ADDRESS.contains(&key.as_str()))
        .collect();
    let [verb] = verbs[..] else {
        return Err(format!(
            "a change has one verb, not {}: {verbs:?}",
            verbs.len()
        ));
    };
    let argument = members[verb].clone();
    let shared = names_publisher(members)?;
    match (verb.as_str(), shared) {
        ("addScope", false) => add_scope(server, parse(verb, argument)?),
        ("updateScope", false) => update_scope(server, parse(verb, argument)?),
        ("deleteScope", false) => {
            let name: String = parse(verb, argument)?;
            expect(server.registration.remove(&name), &name, "scope")
        }
        ("addSharedScope", _) | ("addScope", true) => {
            add_shared_scope(server, parse(verb, argument)?)
        }
        ("updateSharedScope", _) | ("updateScope", true) => {
            update_shared_scope(server, parse(verb, argument)?)
        }
        ("deleteSharedScope", _) | ("deleteScope", true) => {
            let name: String = parse(verb, argument)?;
            expect(server.publisher.remove(&name), &name, "shared scope")
        }
        ("setUsage", _) => {
            let UsageOf {
                name,
                usage_count,
                used_by,
            } = parse(verb, argument)?;
            let usage = Usage {
                count: usage_count,
                used_by,
            };
            expect(
                server.publisher.set_usage(&name, usage),
                &name,
                "shared scope",
            )
        }
        ("switches", _) => set_switches(server, argument),
        (unknown, _) => Err(format!(
            "{unknown:?} is no change of a WSO2 server; there are addScope, updateScope, deleteScope, addSharedScope, \
             updateSharedScope, deleteSharedScope, setUsage and switches"
        )),
    }
}

fn names_publisher(members: &Map<String, Value>) -> Result<bool, String> {
    let by_api = match members
        .get("api")
        .map(|api| api.as_str().unwrap_or_default())
    {
        None | Some("ScopeRegistration") => false,
        Some("Publisher") => true,
        Some(_) => return Err("api: neither ScopeRegistration nor Publisher".to_owned()),
    };
    match members.get("sharedScope") {
        None => Ok(by_api),
        Some(Value::Bool(shared)) => Ok(*shared || by_api),
        Some(_) => Err("sharedScope: neither true nor false".to_owned()),
    }
}

fn add_scope(server: &mut Wso2, added: Added) -> Result<(), String> {
    let Added {
        name,
        display_name,
        description,
        bindings,
    } = added;
    if display_name.is_some() {
        return Err("addScope: a scope of ScopeRegistration has no displayName".to_owned());
    }
    let draft = Draft {
        name: Some(name.clone()),
        description,
        bindings,
    };
    let added = server.registration.add(draft);
    added.map_err(|Refused| {
        format!("addScope: {name:?} is taken, or a value is longer than the database allows")
    })
}

fn update_scope(server: &mut Wso2, changed: Changed) -> Result<(), String> {
    let Changed {
        name,
        display_name,
        description,
        bindings,
    } = changed;
    if display_name.is_some() {
        return Err("updateScope: a scope of ScopeRegistration has no displayName".to_owned());
    }
    let found = server.registration.update(&name, |draft| Draft {
        name: draft.name,
        description: description.unwrap_or(draft.description),
        bindings: bindings.unwrap_or(draft.bindings),
    });
    let found = found.map_err(|Refused| {
        format!("updateScope: a value of {name:?} is longer than the database allows")
    })?;
    expect(found, &name, "scope")
}

fn add_shared_scope(server: &mut Wso2, added: Added) -> Result<(), String> {
    let Added {
        name,
        display_name,
        description,
        bindings,
    } = added;
    let definition = Definition {
        display_name: display_name.unwrap_or_else(|| name.clone()),
        description,
        bindings,
    };
    if server.publisher.add(&name, definition) {
        Ok(())
    } else {
        Err(format!("addSharedScope: the name {name:?} is taken"))
    }
}

fn update_shared_scope(server: &mut Wso2, changed: Changed) -> Result<(), String> {
    let Changed {
        name,
        display_name,
        description,
        bindings,
    } = changed;
    let found = server.publisher.update(&name, |definition| Definition {
        display_name: display_name.unwrap_or(definition.display_name),
        description: description.unwrap_or(definition.description),
        bindings: bindings.unwrap_or(definition.bindings),
    });
    expect(found, &name, "shared scope")
}

fn set_switches(server: &mut Wso2, argument: Value) -> Result<(), String> {
    let Value::Object(named) = argument else {
        return Err("switches: an object is wanted".to_owned());
    };
    let mut all = serde_json::to_value(&server.switches).map_err(|error| error.to_string())?;
    for (name, value) in named {
        all[name] = value;
    }
    server.switches = parse("switches", all)?;
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(verb: &str, argument: Value) -> Result<T, String> {
    serde_json::from_value(argument).map_err(|error| format!("{verb}: {error}"))
}

fn expect(found: bool, name: &str, kind: &str) -> Result<(), String> {
    if found {
        Ok(())
    } else {
        Err(format!("there is no {kind} {name:?}"))
    }
}
